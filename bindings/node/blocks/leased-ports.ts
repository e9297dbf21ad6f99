// LeasedPorts: the ports of one source and transport that come from leased blocks. It decides which
// blocks ports are taken from, when to ask for more, and which go back.
//
//            ask                 need less              last port free
//   (none) ──────▶ open ─────────────────────▶ draining ──────────────▶ given back
//                   ▲  │         need more         │
//                   │  └───────────────────────────┘
//                   └─ ports are taken from open blocks alone: all other ports are masked
//
// The mask is a list of reserved ports that the pools of the source share: all ports that are not
// in an open block. Blocks fill before others open, and the emptiest runs dry first, so that few
// are half used.
//
// Must stay true: a block goes back only when no port of it is held, cools down or is quarantined,
// to any destination.

import { PORT_MAX } from "../../../assembly/abi.ts";
import type { Random } from "../../core/random.ts";
import { type PortRange, ReservedPorts } from "../../index.ts";
import { BlockKeeper, type KeeperListener } from "./block-keeper.ts";
import {
  BLOCK_COUNT,
  BLOCK_PORTS,
  type BlockGrant,
  type BlockScope,
  type BlockStore,
  blockOf,
  firstPortOf,
} from "./block-store.ts";
import type { Clock } from "./clock.ts";
import { isLending, type LoanRequest, Loans } from "./loans.ts";
import { PairUse } from "./pair-use.ts";

/** Another block is asked for when so few ports are left for a destination. */
const AHEAD = 16;
/**
 * A block starts to drain when more than so many ports, or this share of those in use, are left
 * over without it.
 */
const SPARE_PORTS = 2 * AHEAD;
const SPARE_SHARE = 1 / 64;
/** Blocks that a request asks for beside one: a part of those held, up to so many. */
const GROWTH = 1 / 8;
const WANT_MAX = 32;
/** The last blocks are given back when no port has been taken for so long. */
const IDLE_MS = 10_000;
/** So many ports that are left over for a destination are not lent. */
const LEND_KEPT = 4;
/** So many ports of others may turn out to be taken within so many milliseconds. */
const SPILL_CONFLICTS_MAX = 64;
const SPILL_WINDOW_MS = 20;

/** A socket that is closed when its block is lost. */
interface LeasedSocket {
  destroy(): unknown;
  resetAndDestroy?(): unknown;
}

/** The events of leased ports, for the connector. */
export interface LeasedPortsListener {
  /** Blocks have come, or cannot come now: waiting calls may look again. */
  onChange(): void;
  onAcquired(ports: LeasedPorts, blocks: readonly number[]): void;
  onReturned(ports: LeasedPorts, blocks: readonly number[]): void;
  onRefused(ports: LeasedPorts, grant: BlockGrant | undefined, error: unknown): void;
  onLost(ports: LeasedPorts, blocks: readonly number[]): void;
  onError(ports: LeasedPorts, error: unknown): void;
  /** Does a call wait for a port? */
  isWaited(): boolean;
}

interface LeasedPortsOptions {
  readonly scope: BlockScope;
  readonly store: BlockStore;
  readonly clock: Clock;
  readonly reserved: ReservedPorts;
  readonly random: Random;
  /** The ports that may be used now; none if a group leaves nothing. */
  readonly range: () => PortRange | undefined;
  /** Are sockets closed when their block is lost? */
  readonly destroys: boolean;
  readonly listener: LeasedPortsListener;
}

export class LeasedPorts implements KeeperListener {
  /** All ports but those of open blocks. */
  readonly mask: ReservedPorts = new ReservedPorts(`0-${PORT_MAX}`);
  readonly #options: LeasedPortsOptions;
  readonly #keeper: BlockKeeper;
  /** By block: ports in use, once for each destination. */
  readonly #uses: Uint32Array = new Uint32Array(BLOCK_COUNT);
  /** Open blocks, and how many ports of each may be used. */
  readonly #open: Map<number, number> = new Map();
  readonly #draining: Set<number> = new Set();
  /** The same blocks, as a list to draw from. */
  #openList: readonly number[] = [];
  /** Ports of the open blocks that may be used. */
  #openPorts = 0;
  readonly #members: Set<PairUse> = new Set();
  readonly #loans: Set<Loans> = new Set();
  /** Ports that are lent to other holders. */
  lentPorts = 0;
  readonly #sockets: Map<number, Set<LeasedSocket>> = new Map();
  /** When a port was last taken, as of the last `tidy`: takes do not read the clock. */
  #lastUsed: number;
  #wasUsed = false;
  /** Of the last refusal. */
  #refusal: { readonly holders: readonly string[]; readonly error: unknown } | undefined;
  #spillAt = 0;
  #spillConflicts = 0;
  #spillWindowEnd = 0;
  /** Of the range that was asked about last. */
  #lastSpans: { readonly range: PortRange; readonly spans: Spans } | undefined;

  constructor(options: LeasedPortsOptions) {
    const { scope, store, clock } = options;
    this.#options = options;
    this.#keeper = new BlockKeeper(scope, store, this, clock);
    this.#lastUsed = clock.monotonic();
  }

  get scope(): BlockScope {
    return this.#options.scope;
  }

  /** The blocks that are leased here. */
  get blocks(): Iterable<number> {
    return this.#keeper.held.keys();
  }

  holds(block: number): boolean {
    return this.#keeper.held.has(block);
  }

  get heldBlocks(): number {
    return this.#keeper.held.size;
  }

  get drainingBlocks(): number {
    return this.#draining.size;
  }

  /** How many ports of leased blocks may be used. */
  get leasedPorts(): number {
    let count = 0;
    for (const block of this.#keeper.held.keys()) count += this.#usable(block).length;
    return count;
  }

  /** Will an answer to a request for blocks come shortly? */
  get isAsking(): boolean {
    return this.#keeper.isAsking;
  }

  /** The same, unless the last request was refused. */
  get isHopeful(): boolean {
    return this.#refusal === undefined && this.#keeper.isAsking;
  }

  /** The holders of blocks, and the error, as far as the last refusal told them. */
  get refusal(): { readonly holders: readonly string[]; readonly error: unknown } | undefined {
    return this.#refusal;
  }

  /** Is there any block that is of use and not leased here? */
  get couldGrow(): boolean {
    return this.spans().some(([first, last]) => {
      for (let block = first; block <= last; block++) {
        if (!this.#keeper.held.has(block)) return true;
      }
      return false;
    });
  }

  /** May ports be taken? If not, the term of the blocks is over. */
  isUsable(): boolean {
    return this.#keeper.isUsable();
  }

  /** A pair that takes ports from here. */
  join(): PairUse {
    const use = new PairUse(this);
    this.#members.add(use);
    return use;
  }

  leave(use: PairUse, loans?: Loans): void {
    this.#members.delete(use);
    if (loans === undefined) return;
    loans.close();
    this.#loans.delete(loans);
  }

  // ── More ports ──────────────────────────────────────────────────────────────────────────

  /** Has the pair used up the open blocks, as far as their number shows? */
  isFull(use: PairUse): boolean {
    return use.ownSize >= this.#openPorts;
  }

  /**
   * Where a search for a port is to begin: at a random port of a random open block. From anywhere
   * in the range it would mostly end at the first port of the next open block, which can be
   * guessed.
   * @returns an offset from the first port of the range.
   */
  startOffset(): number {
    const range = this.#options.range();
    const { random } = this.#options;
    const block = this.#openList[random.next() % this.#openList.length];
    if (range === undefined || block === undefined) return 0;
    const port = firstPortOf(block) + (random.next() % BLOCK_PORTS);
    return Math.min(Math.max(port, range.first), range.last) - range.first;
  }

  /** Opens another block at once. If there is none, one is asked for, and the answer is false. */
  grow(): boolean {
    const fullest = this.#mostUsed(this.#draining);
    if (fullest !== undefined) {
      this.#draining.delete(fullest);
      this.#openBlock(fullest);
      return true;
    }
    const block = this.#keeper.tryAcquire();
    if (block === undefined) {
      this.#ask();
      return false;
    }
    this.#refusal = undefined;
    this.#options.listener.onAcquired(this, [block]);
    this.#openBlock(block);
    return true;
  }

  /** Asks for a block before the last one is full; stores that need not wait are asked then. */
  askAhead(use: PairUse): void {
    if (this.#options.store.tryAcquire !== undefined) return;
    if (use.ownSize + AHEAD < this.#openPorts) return;
    if (this.#draining.size > 0) this.grow();
    else this.#ask();
  }

  #ask(): void {
    const want = 1 + Math.floor(this.heldBlocks * GROWTH);
    this.#keeper.ask(Math.min(want, WANT_MAX), this.#options.listener.isWaited());
  }

  /**
   * A port of a block that is not leased here, further down each time; 0 if there is none. Where
   * the kernel judges, it may be free for a destination although the block has another holder.
   */
  nextSpilled(): number {
    const range = this.#options.range();
    if (range === undefined || this.#isSpilledOut()) return 0;
    const count = range.last - range.first + 1;
    // Holders begin at different places, so that they do not try the same ports.
    if (this.#spillAt === 0) this.#spillAt = range.first + Math.floor(Math.random() * count);
    for (let step = 0; step < count; step++) {
      const port = this.#spillAt;
      this.#spillAt = port <= range.first || port > range.last ? range.last : port - 1;
      if (this.#isOfOthers(port)) return port;
    }
    return 0;
  }

  /** A port of another holder turned out to be taken. */
  onSpillConflict(): void {
    this.#spillConflicts++;
  }

  /** Each try costs a socket, so there are only so many tries where most ports are taken. */
  #isSpilledOut(): boolean {
    const now = this.#options.clock.monotonic();
    if (now >= this.#spillWindowEnd) {
      this.#spillWindowEnd = now + SPILL_WINDOW_MS;
      this.#spillConflicts = 0;
    }
    return this.#spillConflicts >= SPILL_CONFLICTS_MAX;
  }

  // ── Loans ───────────────────────────────────────────────────────────────────────────────

  /** Ports that are borrowed of other holders. */
  get borrowedPorts(): number {
    return [...this.#loans].reduce((sum, { size }) => sum + size, 0);
  }

  /** The loans of a pair; `undefined` where holders do not lend. */
  loansOf(use: PairUse, destination: Pick<LoanRequest, "address" | "port">): Loans | undefined {
    const { store, scope, clock, range, listener } = this.#options;
    if (!isLending(store)) return undefined;
    const loans = new Loans({
      ...{ store, scope, clock, range, use, destination },
      isOfUse: (port) => this.#isOfOthers(port),
      ownLeft: () => this.#leftFor(use),
      onChange: () => listener.onChange(),
    });
    this.#loans.add(loans);
    return loans;
  }

  /** Ports that can be lent for a destination: first those of blocks that run dry. */
  *portsToLend(use: PairUse, first: number, last: number): Generator<number> {
    const isFree = (port: number): boolean => port >= first && port <= last && !use.has(port);
    for (const block of this.#draining) yield* this.#usable(block).filter(isFree);
    let left = this.#leftFor(use) - LEND_KEPT;
    for (const block of left > 0 ? this.#openList : []) {
      for (const port of this.#usable(block).filter(isFree)) if (left-- > 0) yield port;
    }
  }

  /** How many ports of open blocks are left for a destination. */
  #leftFor(use: PairUse): number {
    let left = this.#openPorts;
    for (const block of this.#openList) left -= use.countIn(block);
    return left;
  }

  #isOfOthers(port: number): boolean {
    const { reserved, range } = this.#options;
    const { first = 1, last = 0 } = range() ?? {};
    const isOurs = this.#keeper.held.has(blockOf(port));
    return port >= first && port <= last && !isOurs && !reserved.has(port);
  }

  // ── Uses ────────────────────────────────────────────────────────────────────────────────

  onTaken(port: number): void {
    const block = blockOf(port);
    this.#uses[block] = (this.#uses[block] as number) + 1;
    this.#wasUsed = true;
  }

  onFreed(port: number): void {
    const block = blockOf(port);
    const left = (this.#uses[block] as number) - 1;
    this.#uses[block] = left;
    if (left === 0 && this.#draining.has(block)) this.#giveBack([block]);
  }

  /** Closes the socket when its block is lost, if that is the policy. */
  watch(port: number, socket: LeasedSocket): void {
    if (!this.#options.destroys) return;
    const block = blockOf(port);
    const sockets = this.#sockets.get(block) ?? new Set<LeasedSocket>();
    this.#sockets.set(block, sockets.add(socket));
  }

  unwatch(port: number, socket: LeasedSocket): void {
    const block = blockOf(port);
    const sockets = this.#sockets.get(block);
    if (sockets?.delete(socket) && sockets.size === 0) this.#sockets.delete(block);
  }

  // ── Fewer ports ─────────────────────────────────────────────────────────────────────────

  /** Gives back ports and blocks that are left over; to be called now and then. */
  tidy(): void {
    if (!this.isUsable()) return;
    const most = Math.max(0, ...[...this.#members].map(({ size }) => size));
    while (this.#open.size > 1) {
      const emptiest = this.#leastUsed(this.#open.keys()) as number;
      const left = this.#openPorts - (this.#open.get(emptiest) as number) - most;
      if (left <= Math.max(SPARE_PORTS, most * SPARE_SHARE)) break;
      this.#drain(emptiest);
    }
    const now = this.#options.clock.monotonic();
    if (this.#wasUsed) this.#lastUsed = now;
    this.#wasUsed = false;
    const idleMs = now - this.#lastUsed;
    if (most === 0 && idleMs > IDLE_MS) this.#drainIdle();
  }

  /** Gives back all blocks without a port in use. */
  #drainIdle(): void {
    for (const block of [...this.#open.keys()]) if (this.#uses[block] === 0) this.#drain(block);
  }

  #drain(block: number): void {
    this.#closeBlock(block);
    this.#draining.add(block);
    if (this.#uses[block] === 0) this.#giveBack([block]);
  }

  #giveBack(blocks: readonly number[]): void {
    for (const block of blocks) this.#draining.delete(block);
    this.#options.listener.onReturned(this, blocks);
    this.#keeper.giveBack(blocks);
  }

  /** Asks for no more blocks, and gives back those that are held. */
  async close(): Promise<void> {
    for (const block of [...this.#open.keys()]) this.#closeBlock(block);
    this.#draining.clear();
    await this.#keeper.close();
  }

  // ── What the keeper tells ───────────────────────────────────────────────────────────────

  onAcquired(blocks: readonly number[]): void {
    this.#refusal = undefined;
    for (const block of blocks) this.#openBlock(block);
    this.#options.listener.onAcquired(this, blocks);
    this.#options.listener.onChange();
  }

  onRefused(grant: BlockGrant | undefined, error: unknown): void {
    this.#refusal = { holders: grant?.holders ?? [], error };
    this.#options.listener.onRefused(this, grant, error);
    this.#options.listener.onChange();
  }

  onLost(blocks: readonly number[]): void {
    for (const block of blocks) {
      if (this.#open.has(block)) this.#closeBlock(block);
      this.#draining.delete(block);
    }
    this.#options.listener.onLost(this, blocks);
    for (const block of blocks) {
      for (const socket of [...(this.#sockets.get(block) ?? [])]) {
        if (socket.resetAndDestroy === undefined) socket.destroy();
        else socket.resetAndDestroy();
      }
    }
  }

  onError(error: unknown): void {
    this.#options.listener.onError(this, error);
  }

  /** Gives back idle blocks, the wanted one among them. */
  onWanted(): void {
    if (!this.isUsable()) return;
    this.#drainIdle();
  }

  spans(): Spans {
    const range = this.#options.range();
    if (range === undefined) return [];
    const known = this.#lastSpans;
    if (known?.range.first === range.first && known.range.last === range.last) return known.spans;
    const blocks: number[] = [];
    for (let block = blockOf(range.first); block <= blockOf(range.last); block++) {
      if (this.#usable(block).length > 0) blocks.push(block);
    }
    const spans = spansOf(blocks);
    this.#lastSpans = { range, spans };
    return spans;
  }

  // ── The mask ────────────────────────────────────────────────────────────────────────────

  #openBlock(block: number): void {
    const ports = this.#usable(block);
    this.#open.set(block, ports.length);
    this.#openPorts += ports.length;
    this.#openList = [...this.#open.keys()];
    for (const [first, last] of spansOf(ports)) this.mask.delete(first, last);
  }

  #closeBlock(block: number): void {
    this.#openPorts -= this.#open.get(block) ?? 0;
    this.#open.delete(block);
    this.#openList = [...this.#open.keys()];
    this.mask.add(firstPortOf(block), firstPortOf(block) + BLOCK_PORTS - 1);
  }

  /** The ports of a block that are in the range and not reserved. */
  #usable(block: number): number[] {
    const { reserved, range } = this.#options;
    const within = range();
    const ports: number[] = [];
    if (within === undefined) return ports;
    const first = Math.max(within.first, firstPortOf(block));
    const last = Math.min(within.last, firstPortOf(block) + BLOCK_PORTS - 1);
    for (let port = first; port <= last; port++) if (!reserved.has(port)) ports.push(port);
    return ports;
  }

  #mostUsed(blocks: Iterable<number>): number | undefined {
    return [...blocks].sort((a, b) => (this.#uses[b] as number) - (this.#uses[a] as number))[0];
  }

  #leastUsed(blocks: Iterable<number>): number | undefined {
    return [...blocks].sort((a, b) => (this.#uses[a] as number) - (this.#uses[b] as number))[0];
  }
}

type Spans = readonly (readonly [first: number, last: number])[];

/** Ascending numbers as spans of them. */
function spansOf(numbers: readonly number[]): Spans {
  const spans: [number, number][] = [];
  for (const number of numbers) {
    const before = spans.at(-1);
    if (before?.[1] === number - 1) before[1] = number;
    else spans.push([number, number]);
  }
  return spans;
}
