// ConnectorOptions: the options of a connector, checked once.

import { wrongType, wrongValue } from "../../errors.ts";
import { checkGroup, type PortGroup } from "../../groups/group.ts";
import type { PortRange, ReservedPorts, WhenCooling } from "../../index.ts";
import { checkBoolean, checkInteger, checkUint32, readOptions } from "../../requests/checks.ts";
import { checkRangeObject } from "../../requests/range.ts";
import type { BlockStore } from "../blocks/block-store.ts";
import type { HostState } from "../host/host-state.ts";
import { LINUX_RANGE, rangeUse } from "../host/use.ts";
import { type Block, parseSourcesAndBlocks } from "../sources/sources.ts";
import { SPREADS, type Spread } from "../sources/spread.ts";
import {
  HEADROOM_MOST,
  HEADROOM_SHARE,
  portsKeptFree,
  portsListenedOn,
  withPorts,
} from "./headroom.ts";

/** Linux `TCP_TIMEWAIT_LEN`: how long a closed connection's tuple stays, milliseconds. */
export const TIME_WAIT_MS = 60_000;
/** With TCP timestamps a tuple in TIME_WAIT may be taken over a second later (RFC 6191). */
const TAKEOVER_WAIT_MS = 1000;
const QUARANTINE_MS = 30_000;
const ATTEMPTS_MAX = 64;
/** RFC 8305 § 8, Connection Attempt Delay; Node's default, too. */
const ATTEMPT_DELAY_MS = 250;
const DAY_MS = 86_400_000;
const WAITERS_MAX = 0xffffffff;
const UNPRIVILEGED_FIRST = 1024;

/** How long to wait for a port when there is none, and how many may wait. */
export interface WaitOptions {
  /** Milliseconds, 0..86400000; 0, the default: as long as it takes. */
  timeout?: number | undefined;
  /** How many may wait at the same time, 1..4294967295; as many as there are by default. */
  limit?: number | undefined;
}

/** Options of {@link createConnector}. */
export interface ConnectorOptions {
  /**
   * The local addresses that connections come from: one, a range `"10.0.0.1-10.0.0.9"`, a block
   * `"10.0.0.0/28"`, several apart by commas, or a list of such. IPv4, IPv6 or both. Of an IPv6
   * block up to /64 that is too large to be listed each connection takes an address of its own, at
   * random or by its key. They must be addresses of this host: one that the system does not let the
   * connector bind is left out for as long as {@link quarantine} says, and one connection runs into
   * 1,024 such at most.
   */
  sources: string | readonly string[];
  /**
   * Local ports to use. By default the system's (Linux `ip_local_port_range`), else 32768..60999.
   * `"outside"`: those below the system's range that any user may bind, without ports that some
   * socket of this host listens on when the connector is made.
   */
  portRange?: PortRange | "outside" | undefined;
  /**
   * How many ports of the system's range are kept free, for programs that let the kernel pick: its
   * connect() passes over each port that any socket was bound to, whatever the address. At most a
   * quarter of the range; a tenth by default; 0: none. All connectors of a host leave the same
   * ones, and those outside of {@link portRange} count.
   */
  headroom?: number | undefined;
  /**
   * Ports to pass over, as Linux `ip_local_reserved_ports` lists them. By default the system's
   * list.
   */
  reserved?: string | undefined;
  /** The control group whose connect range limits the ports. */
  group?: PortGroup | undefined;
  /**
   * Leases the ports in blocks of 64, so that several threads, processes or machines can share the
   * sources: ports come from leased blocks alone. A store serves one connector, which closes it.
   * Sources must be addresses then, neither the wildcard nor with a zone.
   */
  blocks?: BlockStore | undefined;
  /**
   * What becomes of connections whose block is lost, because the store did not answer in time or
   * gave it to another holder: `"drain"`, the default, lets them end by themselves; `"destroy"`
   * resets them.
   */
  blocksLost?: "drain" | "destroy" | undefined;
  /**
   * Where no block can be had, borrow ports that other holders can spare. If no holder can, try
   * ports of their blocks: the kernel knows whether one is free for the destination. For stores of
   * one host only, and there on by default.
   */
  spill?: boolean | undefined;
  /** How connections are spread over the sources; `"round-robin"` by default. */
  spread?: Spread | undefined;
  /**
   * Which port of a pair is picked: `"random"`, the default; `"sequential"`: the next free one
   * behind the last, from a random one on; or `"fifo"`: one that has never been used, else the one
   * released longest ago.
   */
  selection?: "random" | "sequential" | "fifo" | undefined;
  /**
   * How long a port cools down after a connection that this side closed first, whose tuple the
   * system keeps in TIME_WAIT: milliseconds in 0..86400000, `"none"`, or `"timestamps"`, the
   * default: one second where the system uses TCP timestamps (RFC 6191; Linux `tcp_timestamps`),
   * since it then lets the tuple be taken over, else a minute. A port cools down up to 1/64 longer;
   * where only cooling ports are left it is tried a little before that. Ports of connections that
   * the other side closed first, or that were reset, do not cool down.
   */
  cooldown?: number | "none" | "timestamps" | undefined;
  /**
   * What to do when only cooling ports are left: `"oldest"` takes the one that has cooled down
   * longest (as Linux `tcp_tw_reuse` would), `"refuse"` fails, `"wait"` waits until one has cooled
   * down. By default `"oldest"` for `"timestamps"` where the system uses them; else `"wait"` if
   * {@link wait} is on, else `"refuse"`.
   */
  whenCooling?: WhenCooling | undefined;
  /** Wait for a port instead of failing, first come, first served. Default false. */
  wait?: boolean | WaitOptions | undefined;
  /**
   * How long a port is quarantined that turned out to be held by another program, milliseconds in
   * 1..86400000; 30,000 by default. If only the tuple is taken, most likely by a connection of the
   * connector that the system still keeps: 20 ms, and twice as long each time, up to a second.
   */
  quarantine?: number | undefined;
  /**
   * How many ports held by another program one connection may run into before it fails, 1..65535;
   * 64 by default. A taken
   * tuple counts once, however often it is tried (with {@link quarantine} below 20, each time).
   */
  maxAttempts?: number | undefined;
  /**
   * How long it may take until a connection is open, resolving and waiting included, milliseconds
   * in 0..86400000; 0, the default: as long as the system tries.
   */
  connectTimeout?: number | undefined;
  /**
   * For host names with several addresses: how long one attempt has a start on the next,
   * milliseconds in 10..86400000; 250 by default (RFC 8305 § 5). Each attempt has a port of its
   * own.
   */
  attemptDelay?: number | undefined;
  /** Resolves host names; Node's `dns.lookup` by default, and called like it, with `all: true`. */
  lookup?: Lookup | undefined;
  /** Makes picks repeatable, 0..4294967295, and predictable. */
  seed?: number | undefined;
  /** Bytes that records of ports may take, 1024..4294967295. */
  memoryLimit?: number | undefined;
  /**
   * Look at the kernel's table of sockets (Linux): for ports that other programs hold, when the
   * connector is made; and where only cooling ports are left, at most once a second, for those
   * whose tuples the system does not keep, which need not cool down. Default true.
   */
  skipUsed?: boolean | undefined;
}

/** An address of a host, as `dns.lookup` gives it. */
export interface LookupAddress {
  address: string;
  family: number;
}

/** Node's `dns.lookup` with the option `all`. */
export type Lookup = (
  hostname: string,
  options: { all: true; family?: number | undefined; hints?: number | undefined },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** The options, checked and complete. */
export interface ConnectorSettings {
  readonly sources: readonly string[];
  /** IPv6 blocks whose addresses are used on demand. */
  readonly sourceBlocks: readonly Block[];
  readonly portRange: PortRange;
  /** Ports to pass over, those that are kept free among them. */
  readonly reserved: ReservedPorts;
  /** Ports of the range that are kept free for other programs. */
  readonly keptFree: readonly number[];
  readonly group: PortGroup | undefined;
  readonly blocks: BlockStore | undefined;
  readonly blocksLost: "drain" | "destroy";
  readonly spills: boolean;
  readonly spread: Spread;
  readonly selection: "random" | "sequential" | "fifo";
  /** Milliseconds; 0: ports do not cool down. */
  readonly cooldown: number;
  readonly whenCooling: "refuse" | "oldest";
  /** Wait when only cooling ports are left. */
  readonly waitsForCooling: boolean;
  /** Wait when there is no port at all. */
  readonly waits: boolean;
  readonly waitTimeout: number;
  readonly waitLimit: number;
  readonly quarantine: number;
  readonly maxAttempts: number;
  readonly connectTimeout: number;
  readonly attemptDelay: number;
  readonly lookup: Lookup | undefined;
  readonly seed: number | undefined;
  readonly memoryLimit: number | undefined;
  readonly skipUsed: boolean;
}

const NAMES = [
  ...[
    "sources",
    "portRange",
    "reserved",
    "group",
    "spread",
    "selection",
    "cooldown",
    "whenCooling",
  ],
  ...["wait", "quarantine", "maxAttempts", "connectTimeout", "attemptDelay", "lookup", "seed"],
  ...["memoryLimit", "skipUsed", "blocks", "blocksLost", "spill", "headroom"],
];

/** The options, checked, with defaults from the host's state. */
export function checkOptions(given: ConnectorOptions, host: HostState): ConnectorSettings {
  const options = readOptions("options", given, NAMES);
  const { addresses: sources, blocks: sourceBlocks } = parseSourcesAndBlocks(options.sources);
  if (sources.length + sourceBlocks.length === 0)
    throw wrongValue("sources", "at least one local address", sources);
  if (options.blocks !== undefined)
    checkStore(options.blocks, [...sources, ...sourceBlocks.map(({ text }) => text)]);
  const cooldown = cooldownOf(options.cooldown, host);
  const wait = waitOf(options.wait);
  const isTakenOver = hasTimestamps(host) && isByTimestamps(options.cooldown);
  const preferred = isTakenOver ? "oldest" : wait === undefined ? "refuse" : "wait";
  const whenCooling = oneOf(
    "whenCooling",
    options.whenCooling,
    ["refuse", "wait", "oldest"],
    preferred,
  );
  const { lookup, seed, memoryLimit, group, reserved } = options;
  if (group !== undefined) checkGroup(group);
  if (reserved !== undefined && typeof reserved !== "string") {
    throw wrongType("reserved", 'a list of ports as text, "8080,9000-9010"', reserved);
  }
  if (lookup !== undefined && typeof lookup !== "function") {
    throw wrongType("lookup", "a function like dns.lookup", lookup);
  }
  const ports = portsToUse(options, host);
  return {
    sources,
    sourceBlocks,
    portRange: ports.portRange,
    get reserved() {
      return ports.reserved;
    },
    get keptFree() {
      return ports.keptFree;
    },
    group,
    blocks: options.blocks,
    blocksLost: oneOf("blocksLost", options.blocksLost, ["drain", "destroy"], "drain"),
    spills: spillOf(options.spill, options.blocks),
    spread: oneOf("spread", options.spread, SPREADS, "round-robin"),
    selection: oneOf("selection", options.selection, ["random", "sequential", "fifo"], "random"),
    cooldown,
    whenCooling: whenCooling === "oldest" ? "oldest" : "refuse",
    waitsForCooling: whenCooling === "wait",
    waits: wait !== undefined,
    waitTimeout: wait?.timeout ?? 0,
    waitLimit: wait?.limit ?? WAITERS_MAX,
    quarantine: integer("quarantine", options.quarantine, 1, DAY_MS, QUARANTINE_MS),
    maxAttempts: integer("maxAttempts", options.maxAttempts, 1, 65535, ATTEMPTS_MAX),
    connectTimeout: integer("connectTimeout", options.connectTimeout, 0, DAY_MS, 0),
    attemptDelay: integer("attemptDelay", options.attemptDelay, 10, DAY_MS, ATTEMPT_DELAY_MS),
    lookup,
    seed: seed === undefined ? undefined : checkUint32("seed", seed),
    memoryLimit,
    skipUsed: options.skipUsed === undefined || checkBoolean("skipUsed", options.skipUsed),
  };
}

type PortsToUse = Pick<ConnectorSettings, "portRange" | "reserved" | "keptFree">;

/**
 * The range, and which ports of it are passed over. Thousands may be kept free, so they are worked
 * out when they are first asked for: at the first connection.
 */
export function portsToUse(
  options: Pick<ConnectorOptions, "portRange" | "reserved" | "headroom">,
  host: HostState,
): PortsToUse {
  const portRange = rangeOf(options.portRange, host);
  const listening = options.portRange === "outside" ? portsListenedOn(host) : [];
  const reserved = withPorts(options.reserved ?? host.reserved ?? "", listening);
  const system = rangeUse(host);
  const most = Math.floor(system.available * HEADROOM_MOST);
  const byDefault = Math.floor(system.available * HEADROOM_SHARE);
  const headroom = integer("headroom", options.headroom, 0, most, byDefault);
  let lists: Omit<PortsToUse, "portRange"> | undefined;
  const made = (): Omit<PortsToUse, "portRange"> => {
    if (lists === undefined) {
      const keptFree = portsKeptFree(headroom, system, portRange, reserved);
      lists = { keptFree, reserved: withPorts(reserved.text, keptFree) };
    }
    return lists;
  };
  return {
    portRange,
    get keptFree() {
      return made().keptFree;
    },
    get reserved() {
      return made().reserved;
    },
  };
}

function rangeOf(range: ConnectorOptions["portRange"], host: HostState): PortRange {
  const system = host.portRange ?? LINUX_RANGE;
  if (range === undefined) return system;
  if (range !== "outside") {
    const advice = `the default is ${system.first}..${system.last}`;
    if (typeof range === "string") {
      throw wrongType("portRange", 'an object, { first, last }, or "outside"', range);
    }
    return checkRangeObject("portRange", range, advice);
  }
  const first = host.unprivilegedPortStart ?? UNPRIVILEGED_FIRST;
  if (first < system.first) return { first: Math.max(1, first), last: system.first - 1 };
  const valid = `a range: below the system's, ${system.first}..${system.last}, no port may be bound`;
  throw wrongValue("portRange", valid, range);
}

/** Does the system use TCP timestamps, as far as is known? */
export function hasTimestamps({ tcpTimestamps }: HostState): boolean {
  return tcpTimestamps !== undefined && tcpTimestamps > 0;
}

function isByTimestamps(cooldown: ConnectorOptions["cooldown"]): boolean {
  return cooldown === undefined || cooldown === "timestamps";
}

/** How long ports cool down, in milliseconds, by the option `cooldown`. */
export function cooldownOf(cooldown: ConnectorOptions["cooldown"], host: HostState): number {
  if (isByTimestamps(cooldown)) return hasTimestamps(host) ? TAKEOVER_WAIT_MS : TIME_WAIT_MS;
  if (cooldown === "none") return 0;
  if (typeof cooldown === "number") return checkInteger("cooldown", cooldown, 0, DAY_MS);
  const valid = '"none", "timestamps" or milliseconds';
  throw typeof cooldown === "string"
    ? wrongValue("cooldown", valid, cooldown)
    : wrongType("cooldown", valid, cooldown);
}

const STORE_METHODS = ["acquire", "renew", "release", "close"] as const;

/** Checks a store, and the sources whose ports are leased. */
function checkStore(store: BlockStore, sources: readonly string[]): void {
  const valid = "a BlockStore, such as hostBlocks()";
  if (typeof store !== "object" || store === null) throw wrongType("blocks", valid, store);
  for (const name of STORE_METHODS) {
    if (typeof store[name] !== "function")
      throw wrongType(`blocks.${name}`, "a function", store[name]);
  }
  if (typeof store.name !== "string") throw wrongType("blocks.name", "a string", store.name);
  if (!(store.ttl > 0)) throw wrongValue("blocks.ttl", "milliseconds, or Infinity", store.ttl);
  const isOdd = (text: string): boolean => text === "0.0.0.0" || text === "::" || /[%/]/.test(text);
  const odd = sources.find(isOdd);
  if (odd === undefined) return;
  const wanted = "addresses: no wildcard, no zone and no large block, where blocks are leased";
  throw wrongValue("sources", wanted, odd);
}

function spillOf(spill: boolean | undefined, store: BlockStore | undefined): boolean {
  const isOneHost = store?.isOneHost === true;
  if (spill === undefined) return isOneHost;
  if (!checkBoolean("spill", spill) || isOneHost) return spill;
  throw wrongValue("spill", "false, but for blocks of one host (hostBlocks)", spill);
}

function waitOf(wait: ConnectorOptions["wait"]): Required<WaitOptions> | undefined {
  if (wait === undefined || typeof wait === "boolean") {
    return wait ? { timeout: 0, limit: WAITERS_MAX } : undefined;
  }
  const like = "a boolean or an object, { timeout, limit }";
  const { timeout, limit } = readOptions("wait", wait, ["timeout", "limit"], like);
  return {
    timeout: integer("wait.timeout", timeout, 0, DAY_MS, 0),
    limit: integer("wait.limit", limit, 1, WAITERS_MAX, WAITERS_MAX),
  };
}

function integer(
  name: string,
  value: unknown,
  min: number,
  max: number,
  byDefault: number,
): number {
  return value === undefined ? byDefault : checkInteger(name, value, min, max);
}

function oneOf<T extends string>(
  name: string,
  value: T | undefined,
  known: readonly T[],
  byDefault: T,
): T {
  if (value === undefined) return byDefault;
  if (known.includes(value)) return value;
  const valid = known.map((one) => `"${one}"`).join(", ");
  throw typeof value === "string" ? wrongValue(name, valid, value) : wrongType(name, valid, value);
}
