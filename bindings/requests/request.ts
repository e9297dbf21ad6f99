// Requests: everything that a caller can say about a reservation is checked here, before the core
// is asked, and becomes a key: what the request block holds.

import {
  LOAD_BALANCED,
  MODE_BIND,
  MODE_CONNECT,
  MOST_RECENT,
  NETWORKS_MAX,
  REQUEST_ADDRESS,
  REQUEST_DESTINATION,
  REQUEST_DESTINATION_PORT,
  REQUEST_DEVICE,
  REQUEST_FLAGS,
  REQUEST_GROUP,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_RESERVED,
  REQUEST_TRANSPORT,
  TUPLE_ONLY,
} from "../../assembly/abi.ts";
import type { CooldownOption } from "../cooldown.ts";
import type { Core } from "../core/core.ts";
import { invalid, unknownOption, wrongType, wrongValue } from "../errors.ts";
import { groupAddress, isGone, type PortGroup } from "../groups/group.ts";
import { type ReservedPorts, reservedAddress } from "../groups/reserved.ts";
import { type Address, ANY, parseAddress } from "./address.ts";
import { checkBoolean, checkInteger, checkObject, checkPortOrZero, checkUint32 } from "./checks.ts";

/** Network number of IPv4. Networks are opaque numbers; these two are the usual ones. */
export const IPV4 = 4;
/** Network number of IPv6. */
export const IPV6 = 6;
/** IANA protocol number of TCP: the one transport whose ephemeral ports are never shared. */
export const TCP = 6;
/** IANA protocol number of UDP. */
export const UDP = 17;

/** Which kinds of reuse a holder allows (gVisor `ports.Flags`). All are false by default. */
export interface Flags {
  /** The newest holder gets the traffic: `SO_REUSEADDR` of a UDP socket. */
  mostRecent?: boolean;
  /** The holders share the traffic: `SO_REUSEPORT`. */
  loadBalanced?: boolean;
  /** Holders of other tuples may use the port too: `SO_REUSEADDR` of a TCP socket. */
  tupleOnly?: boolean;
}

/** The remote end (gVisor `Reservation.Dest`). */
export interface Destination {
  /** IPv4 or IPv6 text. Absent, `""`, `"0.0.0.0"` and `"::"` are the wildcard. */
  address?: string;
  /** 0..65535, 0 by default. A wildcard may carry a port: it is part of the key. */
  port?: number;
}

/** What a socket wants: who holds a port (gVisor `ports.Reservation`, without the port). */
export interface PoolRequest {
  /** One to 16 network numbers, {@link IPV4} and {@link IPV6} as a rule. All are reserved, or none. */
  networks: readonly number[];
  /** Transport protocol number, 0..4294967295: {@link TCP}, {@link UDP} or any other. */
  transport: number;
  /** Local address. Absent, `""`, `"0.0.0.0"` and `"::"` mean any. v4-mapped IPv6 is IPv4. */
  address?: string;
  /** Interface number, 0..2147483647; 0, the default, is no device. */
  bindToDevice?: number;
  /** The remote end; the wildcard by default. */
  destination?: Destination;
  /** Reuse flags. Not together with `reuseAddr` or `reusePort`. */
  flags?: Flags;
  /** `SO_REUSEADDR`: `tupleOnly` for TCP, `mostRecent` for UDP, as gVisor's endpoints map it. */
  reuseAddr?: boolean;
  /** `SO_REUSEPORT`: `loadBalanced`. */
  reusePort?: boolean;
}

/** A request for one port. */
export interface PortRequest extends PoolRequest {
  /** 1..65535. */
  port: number;
}

/** The group that a request is made in. */
export interface GroupOption {
  /**
   * Whose port ranges count: the bind range, or for what has a destination address the connect
   * range. The group is in use until the reservation has been released. None by default.
   */
  group?: PortGroup | undefined;
}

/** What an automatic pick passes over. */
export interface ReservedOption {
  /** Reserved ports: an automatic pick passes over them, a port that is named does not. None by default. */
  reserved?: ReservedPorts | undefined;
}

/** A request for a port that is named, or for any port of the ephemeral range. */
export interface ReserveRequest extends PoolRequest, GroupOption, ReservedOption {
  /** 1..65535, or 0 (the default) for an ephemeral port. */
  port?: number;
  /** Where the search of the ephemeral range starts: 0..4294967295, modulo the range's count. Random by default. */
  offset?: number;
}

/** What a handle is opened with. */
export interface PoolOptions extends PoolRequest, GroupOption, ReservedOption, CooldownOption {
  /**
   * How `take` picks. `"bind"`: as bind() with port 0, where an ephemeral TCP port is never shared
   * (gVisor `ReservePort`). `"connect"`: each port is judged as if it had been named, so TCP shares
   * ports between destinations (gVisor `PickEphemeralPort`). Default: `"connect"` if there is a
   * destination address, else `"bind"`.
   */
  mode?: "bind" | "connect";
  /**
   * Never hold the same tuple twice, even where TupleOnly would let it through: what gVisor's
   * transport demuxer adds to its port manager. Default false; a pool with a cooldown, or in the order
   * `"fifo"`, always does so.
   */
  unique?: boolean;
  /**
   * `"fifo"`: `take` offers ports that this pool has never been offered, from the offset on, then the one
   * that the pool released first, and so on. Ports that others hold are tried one by one. Default: the
   * selection of the manager.
   */
  selection?: "fifo" | undefined;
}

/** A checked request, as the core will see it. */
export interface Key {
  readonly networks: readonly number[];
  readonly transport: number;
  readonly address: Address;
  readonly device: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly flags: number;
  /** The group, which may be removed while nobody uses it. */
  readonly group: PortGroup | undefined;
  /** Reserved ports, and where the core keeps them; 0: none. */
  readonly reserved: ReservedPorts | undefined;
  readonly reservedAt: number;
}

/** What a request asks for. */
interface Asked {
  readonly key: Key;
  /** The port that is named, or 0. */
  readonly port: number;
  /** Where a search starts, if the caller says so. */
  readonly offset: number | undefined;
}

type Request = PoolRequest & Partial<ReserveRequest & PoolOptions>;

// A bit for each option, so that a set of them is a number.
const NETWORKS = 1 << 0;
const TRANSPORT = 1 << 1;
const ADDRESS = 1 << 2;
const DEVICE = 1 << 3;
const DESTINATION = 1 << 4;
const FLAGS = 1 << 5;
const REUSE_ADDR = 1 << 6;
const REUSE_PORT = 1 << 7;
const PORT = 1 << 8;
const OFFSET = 1 << 9;
const PICKING = 1 << 10;
const UNIQUE = 1 << 11;
const GROUP = 1 << 12;
const RESERVED = 1 << 13;
const COOLDOWN = 1 << 14;
const SELECTION = 1 << 15;
const OPTION_NAMES = [
  ...["networks", "transport", "address", "bindToDevice", "destination", "flags"],
  ...["reuseAddr", "reusePort", "port", "offset", "mode", "unique", "group", "reserved"],
  ...["cooldown", "selection"],
];

/** The options that each word knows. */
export const POOL_OPTIONS: number =
  (PORT - 1) | PICKING | UNIQUE | GROUP | RESERVED | COOLDOWN | SELECTION;
export const TUPLE_OPTIONS: number = (PORT - 1) | PORT;
export const PORT_OPTIONS: number = TUPLE_OPTIONS | GROUP;
export const RESERVE_OPTIONS: number = PORT_OPTIONS | OFFSET | RESERVED;

/** The bit of an option, or 0. A switch takes a third of the time of a list or a set. */
function optionBit(name: string): number {
  switch (name) {
    case "networks":
      return NETWORKS;
    case "transport":
      return TRANSPORT;
    case "address":
      return ADDRESS;
    case "port":
      return PORT;
    case "destination":
      return DESTINATION;
    case "flags":
      return FLAGS;
    case "reuseAddr":
      return REUSE_ADDR;
    case "reusePort":
      return REUSE_PORT;
    case "bindToDevice":
      return DEVICE;
    case "offset":
      return OFFSET;
    case "mode":
      return PICKING;
    case "unique":
      return UNIQUE;
    case "group":
      return GROUP;
    case "reserved":
      return RESERVED;
    case "cooldown":
      return COOLDOWN;
    case "selection":
      return SELECTION;
    default:
      return 0;
  }
}

const DEVICE_MAX = 0x7fffffff;

// The key that was made last: the next request often has the same one, and the core has read it.
let lastKey: Key = {
  networks: [],
  transport: 0,
  address: ANY,
  device: 0,
  destination: ANY,
  destinationPort: 0,
  flags: 0,
  group: undefined,
  reserved: undefined,
  reservedAt: 0,
};

/**
 * Checks a request and makes its key; `known` says which options the word knows. What is absent is
 * not asked for: that would cost many times more where every request has another shape, as spreads
 * make them.
 */
export function askedOf(core: Core, request: Request, known: number): Asked {
  checkObject("request", request);
  let given = 0;
  for (const name in request) {
    const bit = optionBit(name);
    if ((bit & known) === 0) throw unknownOption("request", name, namesOf(known));
    given |= bit;
  }
  const transport = checkUint32("transport", given & TRANSPORT ? request.transport : undefined);
  const destination = given & DESTINATION ? request.destination : undefined;
  const to = destination === undefined ? ANYWHERE : checkDestination(destination);
  const group = given & GROUP ? request.group : undefined;
  const reserved = given & RESERVED ? request.reserved : undefined;
  const networks = checkNetworks(given & NETWORKS ? request.networks : undefined);
  const address = given & ADDRESS ? parseAddress("address", request.address) : ANY;
  const device = given & DEVICE ? checkDevice(request.bindToDevice) : 0;
  const flags = given & (FLAGS | REUSE_ADDR | REUSE_PORT) ? flagsOf(request, transport) : 0;
  const port = given & PORT ? checkPortOrZero("port", request.port) : 0;
  const offset = given & OFFSET ? checkOffset(request.offset) : undefined;
  const inGroup = groupAt(core, group) === 0 ? undefined : group;
  const reservedAt = reserved === undefined ? 0 : reservedAddress(reserved, core);
  const last = lastKey;
  if (
    last.address === address &&
    last.transport === transport &&
    last.networks === networks &&
    last.destination === to.address &&
    last.destinationPort === to.port &&
    last.flags === flags &&
    last.device === device &&
    inGroup === undefined &&
    reserved === undefined
  ) {
    return { key: last, port, offset };
  }
  const key: Key = {
    networks,
    transport,
    address,
    device,
    destination: to.address,
    destinationPort: to.port,
    flags,
    group: inGroup,
    reserved,
    reservedAt,
  };
  // One with a group or a list is not kept here: those may be forgotten.
  if (inGroup === undefined && reserved === undefined) lastKey = key;
  return { key, port, offset };
}

/** Where the core keeps a group; 0: none. */
export function groupAt(core: Core, group: PortGroup | undefined): number {
  return group === undefined ? 0 : groupAddress(group, core);
}

/** The same request, made in another group. */
export function withGroup(key: Key, group: PortGroup | undefined): Key {
  return { ...key, group };
}

/**
 * Writes a key into the request block.
 * @throws PortError `ENOENT`, `EBADF`: its group is gone.
 */
export function writeKey(core: Core, key: Key): void {
  writeInGroup(core, key, groupAt(core, key.group));
}

/** Writes a key that is held, and perhaps no longer: a group that is gone is not used by it. */
export function writeHeldKey(core: Core, key: Key): void {
  writeInGroup(core, key, liveGroupAt(core, key.group));
}

/** Where the core keeps a group; 0: none, or it is gone. */
export function liveGroupAt(core: Core, group: PortGroup | undefined): number {
  return group === undefined || isGone(group) ? 0 : groupAddress(group, core);
}

function writeInGroup(core: Core, key: Key, group: number): void {
  const block = core.request;
  block[REQUEST_GROUP >> 2] = group;
  if (core.written === key) return;
  core.written = key;
  const { networks, address, destination } = key;
  block[REQUEST_TRANSPORT >> 2] = key.transport;
  block[REQUEST_DEVICE >> 2] = key.device;
  block[REQUEST_DESTINATION_PORT >> 2] = key.destinationPort;
  writeAddress(block, REQUEST_DESTINATION >> 2, destination);
  writeAddress(block, REQUEST_ADDRESS >> 2, address);
  block[REQUEST_RESERVED >> 2] = key.reservedAt;
  block[REQUEST_FLAGS >> 2] = key.flags;
  block[REQUEST_NETWORK_COUNT >> 2] = networks.length;
  for (let index = 0; index < networks.length; index++) {
    block[(REQUEST_NETWORKS >> 2) + index] = networks[index] as number;
  }
}

/** A key as an error message shows it: `tcp 10.0.0.1:80 -> 10.0.0.2:443`. */
export function showKey(key: Key, port: number): string {
  const transport =
    key.transport === TCP ? "tcp" : key.transport === UDP ? "udp" : `transport ${key.transport}`;
  const device = key.device === 0 ? "" : ` on device ${key.device}`;
  const isWildcard = key.destination === ANY && key.destinationPort === 0;
  const destination = isWildcard
    ? ""
    : ` -> ${showEnd(key.destination.text || "*", key.destinationPort)}`;
  return `${transport} ${showEnd(addressText(key), port)}${device}${destination}`;
}

/** The local address in the form that Node's `listen` and `localAddress` take. */
export function addressText(key: Key): string {
  return key.address.text || (key.networks.includes(IPV6) ? "::" : "0.0.0.0");
}

/** An address and port as messages show them. */
export function showEnd(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function writeAddress(block: Uint32Array, at: number, address: Address): void {
  const { words } = address;
  block[at] = words[0];
  block[at + 1] = words[1];
  block[at + 2] = words[2];
  block[at + 3] = words[3];
}

// ── Checks ────────────────────────────────────────────────────────────────────────────────

function checkOffset(value: unknown): number | undefined {
  return value === undefined ? undefined : checkUint32("offset", value);
}

/** How `take` picks, as the core's number. */
export function checkMode(value: unknown, key: Key): number {
  if (value === undefined) return key.destination === ANY ? MODE_BIND : MODE_CONNECT;
  if (value === "bind") return MODE_BIND;
  if (value === "connect") return MODE_CONNECT;
  throw wrongValue("mode", '"bind" or "connect"', value);
}

const ANYWHERE: { readonly address: Address; readonly port: number } = { address: ANY, port: 0 };

function checkDestination(destination: Destination): typeof ANYWHERE {
  checkObject("destination", destination, "an object, { address, port }");
  let hasAddress = false;
  let hasPort = false;
  for (const name in destination) {
    if (name === "address") hasAddress = true;
    else if (name === "port") hasPort = true;
    else throw unknownOption("destination", name, ["address", "port"]);
  }
  return {
    address: hasAddress ? parseAddress("destination.address", destination.address) : ANY,
    port: hasPort ? checkPortOrZero("destination.port", destination.port) : 0,
  };
}

function checkDevice(value: unknown): number {
  return value === undefined ? 0 : checkInteger("bindToDevice", value, 0, DEVICE_MAX);
}

function namesOf(known: number): string[] {
  return OPTION_NAMES.filter((name) => (optionBit(name) & known) !== 0);
}

/** The networks, each once, in the order given. */
function checkNetworks(value: unknown): readonly number[] {
  if (!Array.isArray(value)) {
    throw wrongType("networks", "an array of network numbers, such as [4] or [4, 6]", value);
  }
  if (value.length === 0) {
    throw wrongValue("networks", "a list of at least one network number, such as [4]", value);
  }
  if (value.length === 1) return singleNetwork(checkUint32("networks[]", value[0]));
  const networks: number[] = [];
  for (let index = 0; index < value.length; index++) {
    const network = checkUint32("networks[]", value[index]);
    if (networks.includes(network)) continue;
    if (networks.length === NETWORKS_MAX) {
      throw wrongValue("networks", `a list of at most ${NETWORKS_MAX} different numbers`, value);
    }
    networks.push(network);
  }
  return sameAsLast(networks);
}

let lastNetworks: readonly number[] = [];

/** A list of several networks; the one before if that is like it. */
function sameAsLast(networks: readonly number[]): readonly number[] {
  const isSame =
    networks.length === lastNetworks.length &&
    networks.every((network, index) => network === lastNetworks[index]);
  if (!isSame) lastNetworks = networks;
  return lastNetworks;
}

const REMEMBERED_MAX = 256;
const singles: (readonly number[] | undefined)[] = [];

/** A list of one network; for small numbers the same list each time. */
function singleNetwork(network: number): readonly number[] {
  if (network >= REMEMBERED_MAX) return [network];
  singles[network] ??= [network];
  return singles[network];
}

function flagsOf(request: Request, transport: number): number {
  const { flags, reuseAddr, reusePort } = request;
  if (flags === undefined) {
    const addressBit = checkBoolean("reuseAddr", reuseAddr) ? reuseAddrBit(transport) : 0;
    return addressBit | (checkBoolean("reusePort", reusePort) ? LOAD_BALANCED : 0);
  }
  if (reuseAddr === undefined && reusePort === undefined) return maskOf(flags);
  throw invalid(
    "ERR_INVALID_ARG_VALUE",
    "flags and reuseAddr/reusePort say the same thing in two ways: give one of them",
  );
}

function maskOf(flags: Flags): number {
  checkObject("flags", flags);
  let mask = 0;
  for (const name in flags) {
    if (name === "mostRecent") mask |= flagBit(name, flags.mostRecent, MOST_RECENT);
    else if (name === "loadBalanced") mask |= flagBit(name, flags.loadBalanced, LOAD_BALANCED);
    else if (name === "tupleOnly") mask |= flagBit(name, flags.tupleOnly, TUPLE_ONLY);
    else throw unknownOption("flags", name, ["mostRecent", "loadBalanced", "tupleOnly"]);
  }
  return mask;
}

function flagBit(name: string, value: unknown, bit: number): number {
  return checkBoolean(name, value) ? bit : 0;
}

/** SO_REUSEADDR means different things to gVisor's TCP and UDP endpoints. */
function reuseAddrBit(transport: number): number {
  if (transport === TCP) return TUPLE_ONLY;
  if (transport === UDP) return MOST_RECENT;
  throw invalid(
    "ERR_INVALID_ARG_VALUE",
    `reuseAddr is defined for TCP (6) and UDP (17); for transport ${transport} give flags`,
  );
}
