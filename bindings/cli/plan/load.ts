// A load: so many connections per second, each living so long, from some sources to some
// destinations; and the part of it that is simulated where the whole would take too long.

import { PORT_MAX } from "../../../assembly/abi.ts";
import type { WhenCooling } from "../../cooldown.ts";
import { unreservedIn } from "../../groups/reserved.ts";
import { IPV4, PortManager, type PortRange, type ReservedPorts, TCP } from "../../index.ts";
import { withPorts } from "../../node/connector/headroom.ts";
import { figure } from "../../node/connector/words.ts";

/** How long connections live, in seconds. */
export type Lifetime =
  | { readonly kind: "fixed"; readonly seconds: number }
  | { readonly kind: "uniform"; readonly least: number; readonly most: number }
  | { readonly kind: "exponential"; readonly mean: number };

/** A load, and the sources and ports that carry it. */
export interface Load {
  /** How many local addresses connections come from. */
  readonly sources: number;
  /** How many remote ends, address and port, they go to. */
  readonly destinations: number;
  /** Connections per second, of all together; they come at equal intervals. */
  readonly rate: number;
  readonly lifetime: Lifetime;
  /**
   * Seconds that a port cools down, for its source and destination, after a connection has ended.
   */
  readonly cooldown: number;
  /**
   * The cooldown ends to the nanosecond, as the kernel's TIME_WAIT does; by default as a pool's
   * does.
   */
  readonly isExact?: boolean | undefined;
  /** When only cooling ports are left: refuse, or take the one that has cooled down longest. */
  readonly whenCooling: Exclude<WhenCooling, "wait">;
  /** The local ports of each source. */
  readonly range: PortRange;
  /** Ports of the range that are passed over, as `ReservedPorts` takes them. */
  readonly reserved: string;
  /** Further ports of the range, that are kept free for other programs. */
  readonly keptFree: readonly number[];
  /** How many connections may be open at once; `Infinity` for no limit. */
  readonly files: number;
  /** How long it goes on, in seconds. */
  readonly seconds: number;
  /** For lifetimes that vary, and for picking ports. */
  readonly seed: number;
}

/** A part of a load that behaves as the whole does, because all its pools are alike. */
export interface Share {
  readonly sources: number;
  readonly destinations: number;
  /** How many times fewer ports, and connections per second, each pool has than in the load. */
  readonly ports: number;
  /** Simulated seconds: all, or where that is too long, until nothing changes any more. */
  readonly seconds: number;
}

// In this many average lifetimes all but one in a thousand exponential ones have passed.
const LIFETIMES = 7;
/** The longest that a port of a pool cools down, in periods. */
export const COOLDOWN_MOST: number = longestCooldown();
// When a load has settled, so much longer shows whether it stays so.
const SETTLED_TIMES = 10;
const FLOWS_MAX = 4096;
const NONE = { reserved: "", keptFree: [] };

/** The average lifetime, in seconds. */
export function meanOf(lifetime: Lifetime): number {
  if (lifetime.kind === "fixed") return lifetime.seconds;
  return lifetime.kind === "uniform" ? (lifetime.least + lifetime.most) / 2 : lifetime.mean;
}

/** Lifetimes so many times as long. */
export function stretch(lifetime: Lifetime, factor: number): Lifetime {
  if (lifetime.kind === "fixed") return { kind: "fixed", seconds: lifetime.seconds * factor };
  if (lifetime.kind === "exponential") return { kind: "exponential", mean: lifetime.mean * factor };
  return { kind: "uniform", least: lifetime.least * factor, most: lifetime.most * factor };
}

/** Seconds until as many connections, and cooldowns, end as begin. */
export function settledAfter({ lifetime, cooldown }: Pick<Load, "lifetime" | "cooldown">): number {
  const longest =
    lifetime.kind === "fixed"
      ? lifetime.seconds
      : lifetime.kind === "uniform"
        ? lifetime.most
        : lifetime.mean * LIFETIMES;
  return longest + cooldown * COOLDOWN_MOST;
}

type Ports = Pick<Load, "range" | "reserved" | "keptFree">;

/** The ports that are passed over. */
export function passedOver({ reserved, keptFree }: Ports): ReservedPorts {
  return withPorts(reserved, keptFree);
}

/** The ports of the range that are not passed over: what one source has for each destination. */
export function portsOf(load: Ports): number {
  return unreservedIn(passedOver(load), load.range);
}

/** The same for programs that also use the ports that a connector keeps free. */
export function withoutHeadroom<L extends Ports>(load: L): L {
  return { ...load, keptFree: [] };
}

/** The ports of the range that are passed over, in words. */
export function passedOverText(load: Ports): string {
  const reserved = reservedIn(load);
  return [
    ...(reserved === 0 ? [] : [`${figure(reserved)} of it reserved`]),
    ...(load.keptFree.length === 0 ? [] : [`${figure(load.keptFree.length)} kept free`]),
  ]
    .map((part) => `, ${part}`)
    .join("");
}

export function reservedIn(load: Ports): number {
  return load.range.last - load.range.first + 1 - portsOf(withoutHeadroom(load));
}

/** The part of a load to simulate, so that about `arrivalsMax` connections are made. */
export function shareOf(load: Load, arrivalsMax: number): Share {
  const isShort = load.rate * load.seconds <= arrivalsMax;
  const settled = SETTLED_TIMES * settledAfter(load);
  const seconds = isShort ? load.seconds : Math.min(load.seconds, settled);
  const arrivals = load.rate * seconds;
  const pools = load.sources * load.destinations;
  const poolsMax = Math.max(1, Math.min(FLOWS_MAX, Math.floor((pools * arrivalsMax) / arrivals)));
  const destinations = Math.max(
    1,
    Math.min(load.destinations, Math.floor(poolsMax / load.sources)),
  );
  const sources = Math.max(1, Math.min(load.sources, Math.floor(poolsMax / destinations)));
  const left = (arrivals * sources * destinations) / pools;
  const available = portsOf(load);
  const times = Math.max(1, left / arrivalsMax);
  // Nothing is divided where no port is left: all are refused, however many that is.
  const ports = available === 0 ? times : available / Math.max(1, Math.floor(available / times));
  return { sources, destinations, ports, seconds };
}

/** The load that a share is: what is really simulated. */
export function reduced(load: Load, share: Share): Load {
  const part =
    (share.sources * share.destinations) / (load.sources * load.destinations) / share.ports;
  const { sources, destinations, seconds } = share;
  // A full limit of a part of one file would be none at all.
  const files = load.files === 0 ? 0 : Math.max(1, Math.round(load.files * part));
  const smaller = { ...load, sources, destinations, seconds, rate: load.rate * part, files };
  const count = Math.round(portsOf(load) / share.ports);
  if (share.ports === 1 || count === 0) return smaller;
  return { ...smaller, range: { first: PORT_MAX - count + 1, last: PORT_MAX }, ...NONE };
}

/**
 * The cooldown of a port, as a pool itself reports it, that was released just when a slot of the
 * period begins.
 */
function longestCooldown(): number {
  const period = 65_536;
  using manager = PortManager.open({ seed: 1 });
  const pool = manager.pool({ networks: [IPV4], transport: TCP, cooldown: period });
  pool.coolDown(pool.take(), 0);
  return (pool.nextExpiry as number) / period;
}
