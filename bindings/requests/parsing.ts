// Parsing: everything that a caller can say about a reservation or a pool is checked here, before
// the core is asked, and becomes a key: what the request block holds.

import {
  LOAD_BALANCED,
  MODE_BIND,
  MODE_CONNECT,
  MOST_RECENT,
  NETWORKS_MAX,
  TUPLE_ONLY,
} from "../../assembly/abi.ts";
import { isRevoked } from "../core/brands.ts";
import type { Core } from "../core/core.ts";
import { invalid, unknownOption, wrongType, wrongValue } from "../errors.ts";
import type { PortGroup } from "../groups/group.ts";
import { type ReservedPorts, reservedAddress } from "../groups/reserved.ts";
import { type Address, ANY, parseAddress } from "./address.ts";
import { groupAt } from "./block.ts";
import {
  checkBoolean,
  checkInteger,
  checkPortOrZero,
  checkUint32,
  plainOptions,
} from "./checks.ts";
import {
  type Destination,
  type Flags,
  type PoolOptions,
  type PoolRequest,
  type ReserveRequest,
  TCP,
  UDP,
} from "./request.ts";

/** A checked description, as the core will see it. */
export interface Key {
  readonly networks: readonly number[];
  readonly transport: number;
  readonly address: Address;
  readonly device: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly flags: number;
  /** The group, which may be removed while it is not in use. */
  readonly group: PortGroup | undefined;
  readonly reserved: ReservedPorts | undefined;
}

/** A checked request. */
export interface Asked extends OwnOptions {
  readonly key: Key;
  /** The explicit port, or 0. */
  readonly port: number;
  /** Where a search starts, if the caller says so. */
  readonly offset: number | undefined;
}

/** Options of pools, not checked. */
interface OwnOptions {
  readonly mode?: unknown;
  readonly unique?: unknown;
  readonly cooldown?: unknown;
  readonly selection?: unknown;
  readonly avoid?: unknown;
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
const MODE = 1 << 10;
const UNIQUE = 1 << 11;
const GROUP = 1 << 12;
const RESERVED = 1 << 13;
const COOLDOWN = 1 << 14;
const SELECTION = 1 << 15;
const AVOID = 1 << 16;
const BLOCKS = 1 << 17;
const OPTION_NAMES = [
  ...["networks", "transport", "address", "bindToDevice", "destination", "flags"],
  ...["reuseAddr", "reusePort", "port", "offset", "mode", "unique", "group", "reserved"],
  ...["cooldown", "selection", "avoid", "blocks"],
];

/** Options of pools alone. */
const OWN_OPTIONS = MODE | UNIQUE | COOLDOWN | SELECTION | AVOID | BLOCKS;

// The options that each method knows.
export const POOL_OPTIONS: number = (PORT - 1) | GROUP | RESERVED | OWN_OPTIONS;
export const TUPLE_OPTIONS: number = (PORT - 1) | PORT;
export const LISTENER_OPTIONS: number = TUPLE_OPTIONS & ~DESTINATION;
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
      return MODE;
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
    case "avoid":
      return AVOID;
    case "blocks":
      return BLOCKS;
    default:
      return 0;
  }
}

const DEVICE_MAX = 0x7fffffff;

// The key made last. The next request often has the same description: then it gets this key, and
// the request block, which is known to hold it, is not written again (block.ts).
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
};

/**
 * Checks a request and makes its key. Absent options are not read: that would take many times
 * longer where every request has another shape, as with spreads.
 * @param known the options of the method.
 */
export function askedOf(core: Core, request: Request, known: number): Asked {
  const options = plainOptions("request", request, OPTION_NAMES);
  let given = 0;
  for (const name in options) {
    const bit = optionBit(name);
    if ((bit & known) === 0) throw unknownOption("request", name, namesOf(known));
    given |= bit;
  }
  const transport = checkUint32("transport", given & TRANSPORT ? options.transport : undefined);
  const destination = given & DESTINATION ? options.destination : undefined;
  const to = destination === undefined ? ANYWHERE : checkDestination(destination);
  const group = given & GROUP ? options.group : undefined;
  const reserved = given & RESERVED ? options.reserved : undefined;
  const networks = checkNetworks(given & NETWORKS ? options.networks : undefined);
  const address = given & ADDRESS ? parseAddress("address", options.address) : ANY;
  const device = given & DEVICE ? checkDevice(options.bindToDevice) : 0;
  const flags = given & (FLAGS | REUSE_ADDR | REUSE_PORT) ? flagsOf(options, given, transport) : 0;
  const port = given & PORT ? checkPortOrZero("port", options.port) : 0;
  const offset = given & OFFSET ? checkOffset(options.offset) : undefined;
  if (reserved !== undefined) reservedAddress(reserved, core);
  const last = lastKey;
  const isLast =
    last.address === address &&
    last.destination === to.address &&
    last.destinationPort === to.port &&
    last.networks === networks &&
    last.transport === transport &&
    last.flags === flags &&
    last.device === device &&
    group === undefined &&
    reserved === undefined;
  const key = isLast
    ? last
    : {
        networks,
        transport,
        address,
        device,
        destination: to.address,
        destinationPort: to.port,
        flags,
        group: groupAt(core, group) === 0 ? undefined : group,
        reserved,
      };
  // A group or a list may become garbage, so a key with one is not kept here.
  if (group === undefined && reserved === undefined) lastKey = key;
  return (given & OWN_OPTIONS) === 0
    ? { key, port, offset }
    : { ...ownOf(options, given), key, port, offset };
}

function ownOf(options: Request, given: number): OwnOptions {
  return {
    mode: given & MODE ? options.mode : undefined,
    unique: given & UNIQUE ? options.unique : undefined,
    cooldown: given & COOLDOWN ? options.cooldown : undefined,
    selection: given & SELECTION ? options.selection : undefined,
    avoid: given & AVOID ? options.avoid : undefined,
  };
}

/**
 * Checks networks that a caller narrows a description to: some of its own, each once.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE`.
 */
export function checkSome(value: unknown, { networks }: Key): readonly number[] {
  const some = checkNetworks(value);
  if (some.every((network) => networks.includes(network))) return some;
  throw wrongValue("networks", `some of the networks ${networks.join(", ")}`, value);
}

/** The same description, in another group. */
export function withGroup(key: Key, group: PortGroup | undefined): Key {
  return { ...key, group };
}

/** How `take` picks, as the core's number. */
export function checkMode(value: unknown, key: Key): number {
  if (value === undefined) return key.destination === ANY ? MODE_BIND : MODE_CONNECT;
  if (value === "bind") return MODE_BIND;
  if (value === "connect") return MODE_CONNECT;
  throw wrongValue("mode", '"bind" or "connect"', value);
}

function namesOf(known: number): string[] {
  return OPTION_NAMES.filter((name) => (optionBit(name) & known) !== 0);
}

function checkOffset(value: unknown): number | undefined {
  return value === undefined ? undefined : checkUint32("offset", value);
}

function checkDevice(value: unknown): number {
  return value === undefined ? 0 : checkInteger("bindToDevice", value, 0, DEVICE_MAX);
}

// ── The remote end ────────────────────────────────────────────────────────────────────────

const ANYWHERE: { readonly address: Address; readonly port: number } = { address: ANY, port: 0 };
const DESTINATION_NAMES = ["address", "port"];

function checkDestination(value: Destination): typeof ANYWHERE {
  const destination = plainOptions(
    "destination",
    value,
    DESTINATION_NAMES,
    "an object, { address, port }",
  );
  let hasAddress = false;
  let hasPort = false;
  for (const name in destination) {
    if (name === "address") hasAddress = true;
    else if (name === "port") hasPort = true;
    else throw unknownOption("destination", name, DESTINATION_NAMES);
  }
  return {
    address: hasAddress ? parseAddress("destination.address", destination.address) : ANY,
    port: hasPort ? checkPortOrZero("destination.port", destination.port) : 0,
  };
}

// ── Networks ──────────────────────────────────────────────────────────────────────────────

let lastNetworks: readonly number[] = [];

/** The networks, each once, in the order given. A list like the last one gives the same object. */
function checkNetworks(value: unknown): readonly number[] {
  if (!isLikeLast(value)) lastNetworks = readNetworks(value);
  return lastNetworks;
}

function isLikeLast(value: unknown): boolean {
  if (isRevoked(value) || !Array.isArray(value)) return false;
  if (value.length !== lastNetworks.length) return false;
  for (let index = 0; index < value.length; index++) {
    if (value[index] !== lastNetworks[index]) return false;
  }
  return value.length > 0;
}

function readNetworks(value: unknown): readonly number[] {
  if (isRevoked(value) || !Array.isArray(value)) {
    throw wrongType("networks", "an array of network numbers, such as [4] or [4, 6]", value);
  }
  if (value.length === 0) {
    throw wrongValue("networks", "a list of at least one network number, such as [4]", value);
  }
  const networks: number[] = [];
  for (let index = 0; index < value.length; index++) {
    const network = checkUint32("networks[]", value[index]);
    if (networks.includes(network)) continue;
    if (networks.length === NETWORKS_MAX) {
      throw wrongValue("networks", `a list of at most ${NETWORKS_MAX} different numbers`, value);
    }
    networks.push(network);
  }
  return networks;
}

// ── Flags ─────────────────────────────────────────────────────────────────────────────────

const FLAG_NAMES = ["mostRecent", "loadBalanced", "tupleOnly"];

function flagsOf(request: Request, given: number, transport: number): number {
  const flags = given & FLAGS ? request.flags : undefined;
  const reuseAddr = given & REUSE_ADDR ? request.reuseAddr : undefined;
  const reusePort = given & REUSE_PORT ? request.reusePort : undefined;
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

function maskOf(value: Flags): number {
  const flags = plainOptions("flags", value, FLAG_NAMES);
  let mask = 0;
  for (const name in flags) {
    if (name === "mostRecent") mask |= flagBit(name, flags.mostRecent, MOST_RECENT);
    else if (name === "loadBalanced") mask |= flagBit(name, flags.loadBalanced, LOAD_BALANCED);
    else if (name === "tupleOnly") mask |= flagBit(name, flags.tupleOnly, TUPLE_ONLY);
    else throw unknownOption("flags", name, FLAG_NAMES);
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
