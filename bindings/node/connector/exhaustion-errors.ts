// ExhaustionErrors: why there is no port, as an error that says which limit was met, and how many
// connections the sources could carry.

import { EMPTY_RANGE, NO_MEMORY } from "../../../assembly/abi.ts";
import { explained } from "../../errors.ts";
import { unreservedIn } from "../../groups/reserved.ts";
import { type Explanation, IPV6, type PortRange, Refusal, UDP } from "../../index.ts";
import type { LeasedPorts } from "../blocks/leased-ports.ts";
import type { Destination } from "../sources/destination.ts";
import type { Pair } from "../sources/pair.ts";
import { meetsItself, type PairRequest, type PairTable } from "../sources/pair-table.ts";
import type { Source } from "../sources/source.ts";
import { type Capacity, ConnectorError, type Exhausted } from "./connector-error.ts";
import { explainRefused } from "./connector-explanation.ts";
import type { ConnectorSettings } from "./connector-options.ts";
import { effectiveRange } from "./effective-range.ts";
import { counted, figure } from "./words.ts";

const UNROUTED =
  "no address of the block can be bound (bind: EADDRNOTAVAIL): the system must route it to itself, " +
  "and net.ipv6.ip_nonlocal_bind be 1";
const NO_RECORD = "the memory limit allows no more records";

export class ExhaustionErrors {
  readonly #pairs: PairTable;
  readonly #settings: ConnectorSettings;
  readonly #fileLimit: number;
  /** How many ports of a range are not reserved, for the range that was asked about last. */
  #lastCount: { range: PortRange; count: number } | undefined;

  constructor(pairs: PairTable, settings: ConnectorSettings, fileLimit: number) {
    this.#pairs = pairs;
    this.#settings = settings;
    this.#fileLimit = fileLimit;
  }

  /**
   * How many connections there can be to so many destinations, from so many sources.
   * @param avoided by destination: how many ports cannot be used there, the largest first.
   */
  capacity(destinations: number, sources: number, avoided: readonly number[] = []): Capacity {
    const range = this.#range();
    const perPair = range === undefined ? 0 : this.#countIn(range);
    const [most = 0] = avoided;
    const lost = avoided.slice(0, destinations).reduce((sum, count) => sum + count, 0);
    const byPorts = perPair * sources * destinations - lost;
    const isByFiles = this.#fileLimit < byPorts;
    return {
      connections: isByFiles ? this.#fileLimit : byPorts,
      perDestination: perPair * sources - most,
      perPair,
      headroom: this.#keptFreeIn(range),
      sources,
      leased: this.#pairs.leases?.metrics().ports,
      limitedBy: sources === 0 ? "sources" : isByFiles ? "files" : "ports",
    };
  }

  /** The same, if the known destinations may be among them. */
  capacityOf(destinations: number, family: number): Capacity {
    const known = [...this.#pairs.destinations].filter((one) => one.family === family);
    const avoided = known.map((one) => this.avoidedTo(one)).filter((count) => count > 0);
    const sources = this.#pairs.presentSources(family);
    return this.capacity(
      destinations,
      sources,
      avoided.sort((a, b) => b - a),
    );
  }

  /**
   * How many ports cannot be used to that destination, because a connection would be one to itself.
   */
  avoidedTo(destination: Destination, wanted?: Source): number {
    const { port, family } = destination;
    const range = this.#range();
    if (range === undefined || port < range.first || port > range.last) return 0;
    if (this.#settings.reserved.has(port)) return 0;
    const sources = wanted === undefined ? this.#pairs.sourcesOf(family) : [wanted];
    return sources.filter((one) => one.place >= 0 && meetsItself(one, destination)).length;
  }

  /** Why no port could be picked just now. */
  noPort(request: PairRequest): ConnectorError {
    const { destination } = request;
    const pairs = this.#pairs.pairsFor(request);
    const kind = destination.family === IPV6 ? "IPv6" : "IPv4";
    if (this.#sourceCount(request) === 0) {
      return this.#error("sources", request, `no source is an ${kind} address`);
    }
    if (pairs.length === 0 || this.#areAbsent(pairs)) {
      return this.noSource(request);
    }
    const exhausted = this.#whatOf(pairs, this.#sourceCount(request));
    if (exhausted === "blocks") return this.#noBlock(request, pairs);
    return this.#error(exhausted, request, this.#state(pairs, exhausted));
  }

  /** All ports of the leased blocks are in use, and no other block can be had now. */
  #noBlock(request: PairRequest, pairs: readonly Pair[]): ConnectorError {
    const leased = pairs.flatMap(({ leased }) => (leased === undefined ? [] : [leased]));
    const blocks = leased.reduce((sum, { heldBlocks }) => sum + heldBlocks, 0);
    const store = this.#pairs.leases?.store.name;
    const why = [
      this.#state(pairs, "blocks"),
      `${counted(blocks, "block")} of 64 ports leased (${store}), and no other to be had now`,
      holdersOf(leased, store),
    ];
    const cause = leased.find(({ refusal }) => refusal?.error !== undefined)?.refusal?.error;
    if (cause !== undefined) why.push(`the store could not be asked: ${messageOf(cause)}`);
    return this.#error("blocks", request, why.filter((part) => part !== "").join("; "), cause);
  }

  /** The system lets the connector bind none of the sources. */
  noSource(request: PairRequest, tried = 0): ConnectorError {
    const areSome = tried > 0 && tried < this.#sourceCount(request);
    const which = areSome ? `none of ${figure(tried)} sources tried` : "none of the sources";
    const message = `${which} is an address of this machine (bind: EADDRNOTAVAIL)`;
    const isBlock = request.destination.family === IPV6 && this.#pairs.sources.prefixes.length > 0;
    return this.#error("sources", request, isBlock ? UNROUTED : message);
  }

  noMemory(request: PairRequest): ConnectorError {
    return this.#error("memory", request, NO_RECORD);
  }

  noFile(request: PairRequest, cause: unknown): ConnectorError {
    const message = "no more files may be opened (ulimit -n)";
    return this.#error("files", request, message, cause);
  }

  tooManyAttempts(request: PairRequest, attempts: number, cause: unknown): ConnectorError {
    const what = counted(attempts, "picked port");
    return this.#error(
      "attempts",
      request,
      `${what} turned out to be held by another program`,
      cause,
    );
  }

  tooManyWaiters(request: PairRequest, limit: number): ConnectorError {
    return this.#error("waiters", request, `${figure(limit)} wait already, and no more may`);
  }

  waitedTooLong(request: PairRequest, timeout: number): ConnectorError {
    return this.#error("time", request, `nothing came free within ${timeout} ms`);
  }

  #error(exhausted: Exhausted, request: PairRequest, why: string, cause?: unknown): ConnectorError {
    const { destination, source } = request;
    const avoided = [this.avoidedTo(destination, source)];
    const capacity = this.capacity(1, this.#presentCount(request), avoided);
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
    const error = new ConnectorError(exhausted, message, capacity, details, cause);
    explained(error, () => this.#explain(exhausted, request, why));
    return error;
  }

  #explain(exhausted: Exhausted, request: PairRequest, why: string): Explanation {
    const range = this.#range();
    const keptFree = this.#keptFreeIn(range);
    const { portRange } = this.#settings;
    const all = portRange.last - portRange.first + 1;
    const allowed = range === undefined ? 0 : range.last - range.first + 1;
    const usable = range === undefined ? 0 : this.#countIn(range);
    const reserved = allowed - usable - keptFree;
    return explainRefused({
      exhausted,
      why,
      ports: { range: portRange, outside: all - allowed, reserved, keptFree },
      pairs: this.#pairs.pairsFor(request),
      sources: this.#presentCount(request),
      avoided: this.avoidedTo(request.destination, request.source),
      now: this.#pairs.now(),
    });
  }

  #state(pairs: readonly Pair[], exhausted: Exhausted): string {
    const range = this.#range();
    if (range === undefined) return "the group leaves nothing of the range";
    if (exhausted === "memory") return NO_RECORD;
    const sum = (figure: (pair: Pair) => number): number =>
      pairs.reduce((total, pair) => total + figure(pair), 0);
    const held = sum(({ heldCount }) => heldCount);
    const lent = sum(({ lentCount }) => lentCount);
    const cooling = sum(({ coolingCount }) => coolingCount);
    const quarantined = sum(({ quarantined }) => quarantined.size);
    const keptFree = this.#keptFreeIn(range);
    const reserved = range.last - range.first + 1 - this.#countIn(range) - keptFree;
    const allowed = exhausted === "group" ? ", all that the group allows," : "";
    return [
      `of ${range.first}..${range.last}${allowed} from ${counted(pairs.length, "source")}`,
      `${figure(held)} held`,
      `${figure(cooling)} cooling`,
      `${figure(quarantined)} quarantined (held by another program, or not quite closed)`,
      ...(lent > 0 ? [`${figure(lent)} lent to other holders of blocks`] : []),
      ...(reserved > 0 ? [`${figure(reserved)} reserved`] : []),
      ...(keptFree > 0 ? [`${figure(keptFree)} kept free for other programs (headroom)`] : []),
    ].join(", ");
  }

  #areAbsent(pairs: readonly Pair[]): boolean {
    const now = this.#pairs.now();
    return pairs.every(({ source }) => source.absentUntil > now);
  }

  /** The limit that was met, by the answers of these pairs' pools. */
  #whatOf(pairs: readonly Pair[], sourceCount: number): Exhausted {
    if (pairs.every(({ refusal }) => refusal === EMPTY_RANGE)) return "group";
    if (pairs.some(({ refusal }) => refusal === NO_MEMORY)) return "memory";
    const isCooling = pairs.some(({ refusal }) => refusal === Refusal.COOLING);
    if (isCooling && !pairs.some((pair) => pair.isAsking)) return "cooling";
    if (pairs.some(({ leased }) => leased?.couldGrow)) return "blocks";
    if (this.#keptFreeIn(this.#range()) > 0) return "headroom";
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

  /** How many sources fit the request and are not quarantined. */
  #presentCount({ destination, source }: PairRequest): number {
    if (source === undefined) return this.#pairs.presentSources(destination.family);
    return source.absentUntil > this.#pairs.now() ? 0 : 1;
  }

  /** How many sources fit the request. */
  #sourceCount({ destination, source }: PairRequest): number {
    return source === undefined ? this.#pairs.sources.count(destination.family) : 1;
  }

  #range(): PortRange | undefined {
    return effectiveRange(this.#settings);
  }

  #keptFreeIn(range: PortRange | undefined): number {
    if (range === undefined) return 0;
    const { keptFree, portRange } = this.#settings;
    if (range === portRange) return keptFree.length;
    return keptFree.filter((port) => port >= range.first && port <= range.last).length;
  }

  #countIn(range: PortRange): number {
    const last = this.#lastCount;
    if (last?.range.first === range.first && last.range.last === range.last) return last.count;
    const count = unreservedIn(this.#settings.reserved, range);
    this.#lastCount = { range, count };
    return count;
  }
}

/** What the sources can carry, in words. */
function carried({ sources, perDestination }: Capacity, isUdp: boolean): string {
  if (sources === 0) return "no source is left";
  const each = isUdp ? "" : " to each destination";
  return sources === 1
    ? `the one source can carry ${figure(perDestination)}${each}`
    : `the ${sources} sources can carry ${figure(perDestination)}${each}`;
}

/** The holders of the blocks, as far as the store tells. */
function holdersOf(leased: readonly LeasedPorts[], store: string | undefined): string {
  const names = [...new Set(leased.flatMap(({ refusal }) => refusal?.holders ?? []))];
  if (names.length > 0) return `held by ${names.join(", ")}`;
  return store === "host" ? "npx portwarden show --blocks says which processes have them" : "";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
