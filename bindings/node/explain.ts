// Explain: why there is no port, as an error that says which limit was met, and how many connections the
// sources could carry.

import { NO_MEMORY, NO_RANGE } from "../../assembly/abi.ts";
import { IPV6, type PortGroup, type PortRange, Refusal, UDP } from "../index.ts";
import { type Capacity, ConnectorError, type Exhausted } from "./connector-error.ts";
import type { ConnectorSettings } from "./connector-options.ts";
import type { Pair } from "./pair.ts";
import type { Pool, Wish } from "./pool.ts";
import { counted, figure } from "./words.ts";

const NO_RECORD = "the memory limit allows no more records";

export class Explain {
  readonly #pool: Pool;
  readonly #settings: ConnectorSettings;
  readonly #fileLimit: number;
  /** How many ports of a range are not reserved, for the range that was asked about last. */
  #lastCount: { range: PortRange; count: number } | undefined;

  constructor(pool: Pool, settings: ConnectorSettings, fileLimit: number) {
    this.#pool = pool;
    this.#settings = settings;
    this.#fileLimit = fileLimit;
  }

  /** How many connections there can be to so many destinations, from so many sources. */
  capacity(destinations: number, sources: number): Capacity {
    const range = this.#range();
    const perPair = range === undefined ? 0 : this.#countIn(range);
    const perDestination = perPair * sources;
    const byPorts = perDestination * destinations;
    const isByFiles = this.#fileLimit < byPorts;
    return {
      connections: isByFiles ? this.#fileLimit : byPorts,
      perDestination,
      perPair,
      sources,
      limitedBy: isByFiles ? "files" : "ports",
    };
  }

  /** Why no port could be picked just now. */
  noPort(wish: Wish): ConnectorError {
    const { destination } = wish;
    const pairs = this.#pool.pairsFor(wish);
    const kind = destination.family === IPV6 ? "IPv6" : "IPv4";
    if (this.#sourceCount(wish) === 0) {
      return this.#error("sources", wish, `no source is an ${kind} address`);
    }
    if (pairs.length === 0 || this.#areBroken(pairs)) {
      return this.noSource(wish);
    }
    const exhausted = this.#whatOf(pairs, this.#sourceCount(wish));
    return this.#error(exhausted, wish, this.#state(pairs, exhausted));
  }

  /** The system lets us bind none of the sources. */
  noSource(wish: Wish): ConnectorError {
    const message = "none of the sources is an address of this machine (bind: EADDRNOTAVAIL)";
    return this.#error("sources", wish, message);
  }

  noMemory(wish: Wish): ConnectorError {
    return this.#error("memory", wish, NO_RECORD);
  }

  noFile(wish: Wish, cause: Error): ConnectorError {
    const message = "no more files may be opened (ulimit -n)";
    return this.#error("files", wish, message, cause);
  }

  tooManyTries(wish: Wish, tries: number, cause: Error): ConnectorError {
    const what = counted(tries, "picked port");
    return this.#error("tries", wish, `${what} turned out to be in other hands`, cause);
  }

  tooManyWaiters(wish: Wish, limit: number): ConnectorError {
    return this.#error("waiters", wish, `${figure(limit)} wait already, and no more may`);
  }

  waitedTooLong(wish: Wish, timeout: number): ConnectorError {
    return this.#error("time", wish, `nothing came free within ${timeout} ms`);
  }

  #error(exhausted: Exhausted, wish: Wish, why: string, cause?: Error): ConnectorError {
    const { destination, source } = wish;
    const capacity = this.capacity(1, this.#livingCount(wish));
    const isUdp = destination.transport === UDP;
    const range = this.#range();
    const { address, port } = destination;
    const details = {
      syscall: isUdp ? "bind" : "connect",
      ...(!isUdp && { destination: { address, port } }),
      ...(source !== undefined && { address: source.address }),
      ...(range !== undefined && { searched: range }),
    };
    const what = exhausted === "files" ? "no file" : "no local port";
    const whom = isUdp ? "a UDP socket" : `a connection to ${destination.name}`;
    const message = `${what} for ${whom}: ${why}; ${carried(capacity, isUdp)}`;
    return new ConnectorError(exhausted, message, capacity, details, cause);
  }

  #state(pairs: readonly Pair[], exhausted: Exhausted): string {
    const range = this.#range();
    if (range === undefined) return "the group leaves nothing of the range";
    if (exhausted === "memory") return NO_RECORD;
    const sum = (figure: (pair: Pair) => number): number =>
      pairs.reduce((total, pair) => total + figure(pair), 0);
    const held = sum(({ heldCount }) => heldCount);
    const resting = sum(({ restingCount }) => restingCount);
    const parked = sum(({ parked }) => parked.size);
    const reserved = range.last - range.first + 1 - this.#countIn(range);
    const allowed = exhausted === "group" ? ", all that the group allows," : "";
    return [
      `of ${range.first}..${range.last}${allowed} from ${counted(pairs.length, "source")}`,
      `${figure(held)} held`,
      `${figure(resting)} resting`,
      `${figure(parked)} set aside (in other hands, or not quite closed)`,
      ...(reserved > 0 ? [`${figure(reserved)} reserved`] : []),
    ].join(", ");
  }

  #areBroken(pairs: readonly Pair[]): boolean {
    const now = this.#pool.now();
    return pairs.every(({ source }) => source.brokenUntil > now);
  }

  /** What was used up, by how the flows of these pairs answered. */
  #whatOf(pairs: readonly Pair[], sourceCount: number): Exhausted {
    if (pairs.every(({ refusal }) => refusal === NO_RANGE)) return "group";
    if (pairs.some(({ refusal }) => refusal === NO_MEMORY)) return "memory";
    if (pairs.some(({ refusal }) => refusal === Refusal.RESTING)) return "resting";
    if (pairs.every(({ heldCount }) => heldCount === 0)) return "range";
    if (this.#isNarrowed()) return "group";
    return sourceCount === 1 ? "source" : "destination";
  }

  /** Does the group allow less than the range? */
  #isNarrowed(): boolean {
    const { first, last } = this.#settings.portRange;
    const range = this.#range();
    return range === undefined || range.first > first || range.last < last;
  }

  /** How many sources would do and are not left alone. */
  #livingCount({ destination, source }: Wish): number {
    if (source === undefined) return this.#pool.livingSources(destination.family);
    return source.brokenUntil > this.#pool.now() ? 0 : 1;
  }

  /** How many sources would do. */
  #sourceCount({ destination, source }: Wish): number {
    return source === undefined ? this.#pool.sourcesOf(destination.family).length : 1;
  }

  /** The range, as far as the group allows. */
  #range(): PortRange | undefined {
    const { portRange, group } = this.#settings;
    if (group === undefined) return portRange;
    const allowed = allowedBy(group);
    if (allowed === undefined) return undefined;
    const first = Math.max(portRange.first, allowed.first);
    const last = Math.min(portRange.last, allowed.last);
    return first <= last ? { first, last } : undefined;
  }

  #countIn(range: PortRange): number {
    const last = this.#lastCount;
    if (last?.range.first === range.first && last.range.last === range.last) return last.count;
    const { reserved } = this.#settings;
    let count = range.last - range.first + 1;
    if (reserved.size > 0) {
      for (let port = range.first; port <= range.last; port++) if (reserved.has(port)) count--;
    }
    this.#lastCount = { range, count };
    return count;
  }
}

/** What the sources can carry, in words. */
function carried({ sources, perPair, perDestination }: Capacity, isUdp: boolean): string {
  if (sources === 0) return "no source is left";
  const each = isUdp ? "" : " to each destination";
  return sources === 1
    ? `the one source can carry ${figure(perPair)}${each}`
    : `the ${sources} sources can carry ${figure(perDestination)}${each}`;
}

/** What a group allows; nothing if it is gone. */
function allowedBy(group: PortGroup): PortRange | undefined {
  try {
    return group.effective.connect;
  } catch {
    return undefined;
  }
}
