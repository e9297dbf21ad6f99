// BlockKeeper: holds the blocks of one scope, and talks with the store about them.
//
//   ask ──▶ acquire ──▶ held ── renewed every third of the term ──▶ given back
//                        │
//                        ├──▶ lost: the store says so
//                        └──▶ lost: no renewal came in time, by either clock
//
// One request is under way at a time, and each has a time limit of its own, because clients of
// stores may wait for ever. The term of a grant counts from before the request was sent, less a
// margin.
//
// Must stay true: past its term a block is not usable, and what has ended stays ended, whatever
// answer comes later.

import { invalid, show } from "../../errors.ts";
import type { BlockGrant, BlockScope, BlockStore, HeldBlocks, Renewal } from "./block-store.ts";
import {
  type Clock,
  type ClockTimer,
  type Deadline,
  deadlineIn,
  hasPassed,
  soonerOf,
} from "./clock.ts";

/** The part of a term that is not used, because clocks of two machines do not run alike. */
const MARGIN = 1 / 10;
/** Renewals per term; a request may take as long as from one to the next. */
const RENEWALS = 3;
/** How long a request may take where grants do not end. */
const REQUEST_MS = 10_000;
/**
 * After an error the next request waits for so long, twice as long each time, up to a term's part.
 */
const BACKOFF_MS = 100;
const BACKOFF_MS_MAX = 5_000;
/** Where all is leased and the store does not say when to ask again. */
const RETRY_MS = 50;
/** A store that answers at once is not asked more often than this while it has no block. */
const NONE_MS = 10;

/** The events of a keeper. */
export interface KeeperListener {
  onAcquired(blocks: readonly number[]): void;
  /** A request got no block: the store has none, or could not be asked (`error`). */
  onRefused(grant: BlockGrant | undefined, error: unknown): void;
  /** These are not to be used from now on. */
  onLost(blocks: readonly number[]): void;
  /** The store could not be asked, or did not answer in time. */
  onError(error: unknown): void;
  /** Another holder found nothing free. */
  onWanted(block: number | undefined): void;
  /** The blocks that are of use, as spans. */
  spans(): readonly (readonly [first: number, last: number])[];
}

export class BlockKeeper {
  readonly scope: BlockScope;
  readonly #store: BlockStore;
  readonly #listener: KeeperListener;
  readonly #clock: Clock;
  readonly #held: Map<number, string> = new Map();
  readonly #toRelease: Map<number, string> = new Map();
  /** Of all that is held; none where grants do not end. */
  #deadline: Deadline | undefined;
  #renewAt = Number.POSITIVE_INFINITY;
  /** How many blocks are wanted of the next request. */
  #want = 0;
  /** The store is not asked before that, by the monotonic clock. */
  #notBefore = 0;
  /** The store that answers at once had no block: it is not asked again before that. */
  #noneUntil = 0;
  #backoff = BACKOFF_MS;
  #isBusy = false;
  #isAcquiring = false;
  #isClosed = false;
  #timer: ClockTimer | undefined;
  #turn = 0;

  constructor(scope: BlockScope, store: BlockStore, listener: KeeperListener, clock: Clock) {
    this.scope = scope;
    this.#store = store;
    this.#listener = listener;
    this.#clock = clock;
  }

  get held(): HeldBlocks {
    return this.#held;
  }

  /** Will an answer to a request for blocks come shortly? */
  get isAsking(): boolean {
    return this.#isAcquiring || (this.#want > 0 && this.#clock.monotonic() >= this.#notBefore);
  }

  /** May ports of the blocks be used now? If not, the blocks are lost from here on. */
  isUsable(): boolean {
    if (this.#deadline === undefined || !hasPassed(this.#clock, this.#deadline)) return true;
    this.#loseAll();
    return false;
  }

  /** A block at once, from a store that answers at once. */
  tryAcquire(): number | undefined {
    if (this.#store.tryAcquire === undefined || this.#isClosed) return undefined;
    if (this.#clock.monotonic() < this.#noneUntil) return undefined;
    for (const [first, last] of this.#listener.spans()) {
      const grant = this.#store.tryAcquire(this.scope, first, last);
      if (grant !== undefined && !Array.isArray(Object(grant).blocks)) {
        const message = `tryAcquire must answer a grant or undefined, got ${show(grant)}`;
        throw invalid("ERR_INVALID_RETURN_VALUE", message);
      }
      const block = grant?.blocks[0];
      if (grant === undefined || block === undefined) continue;
      this.#hold(grant, undefined);
      return block;
    }
    this.#noneUntil = this.#clock.monotonic() + NONE_MS;
    return undefined;
  }

  /**
   * Asks for more blocks, as soon as possible. `isWaited`: a caller waits, so the process lives on.
   */
  ask(want: number, isWaited: boolean): void {
    if (this.#isClosed || this.#isAcquiring) return;
    this.#want = Math.max(this.#want, want);
    this.#next();
    if (this.#want > 0) this.#timer?.keepAlive(isWaited);
  }

  /** Gives blocks back. They must not be in use in any way. */
  giveBack(blocks: readonly number[]): void {
    for (const block of blocks) {
      const grant = this.#held.get(block);
      if (grant === undefined) continue;
      this.#held.delete(block);
      this.#toRelease.set(block, grant);
    }
    this.#next();
  }

  /** Gives back all blocks, and sends no requests any more. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#turn++;
    for (const [block, grant] of this.#held) this.#toRelease.set(block, grant);
    this.#held.clear();
    if (this.#toRelease.size > 0) await this.#store.release(this.scope, this.#toRelease);
  }

  // ── Requests ────────────────────────────────────────────────────────────────────────────

  /** The request that is due, if none is under way; else a timer for the next. */
  #next(): void {
    if (this.#isBusy || this.#isClosed) return;
    const now = this.#clock.monotonic();
    if (now >= this.#renewAt && this.#held.size > 0) this.#renew();
    else if (this.#toRelease.size > 0) this.#release();
    else if (this.#want > 0 && now >= this.#notBefore) this.#acquire();
    else this.#setTimer(now);
  }

  #setTimer(now: number): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const renewAt = this.#held.size > 0 ? this.#renewAt : Number.POSITIVE_INFINITY;
    const due = Math.min(renewAt, this.#want > 0 ? this.#notBefore : Number.POSITIVE_INFINITY);
    if (!Number.isFinite(due)) return;
    // The wall clock may end a term sooner than the timer; each use checks both clocks.
    this.#timer = this.#clock.after(Math.max(1, due - now), () => {
      this.isUsable();
      this.#next();
    });
  }

  #acquire(): void {
    const want = this.#want;
    this.#want = 0;
    this.#isAcquiring = true;
    const deadline = this.#newDeadline();
    this.#run(
      () => this.#acquireIn(this.#listener.spans(), want),
      (grant) => {
        this.#isAcquiring = false;
        if (grant.blocks.length > 0) this.#onGrant(grant, deadline);
        else this.#onRefused(grant, undefined);
      },
      (error) => {
        this.#isAcquiring = false;
        this.#onRefused(undefined, error);
      },
      (late) => this.#onLateGrant(late),
    );
  }

  /** Span by span, until one has something. */
  async #acquireIn(
    spans: readonly (readonly [number, number])[],
    want: number,
  ): Promise<BlockGrant> {
    let refused: BlockGrant = { blocks: [], grant: "" };
    for (const [first, last] of spans) {
      const grant = await this.#store.acquire(this.scope, want, first, last);
      if (grant.blocks.length > 0) return grant;
      refused = grant;
    }
    return refused;
  }

  #onGrant(grant: BlockGrant, deadline: Deadline | undefined): void {
    this.#backoff = BACKOFF_MS;
    this.#notBefore = 0;
    const isLate = deadline !== undefined && hasPassed(this.#clock, deadline);
    if (isLate) {
      this.#onLateGrant(grant);
      this.#onRefused(undefined, new Error("the grant came after its term"));
      return;
    }
    this.#hold(grant, deadline);
    this.#listener.onAcquired(grant.blocks);
  }

  #hold({ blocks, grant }: BlockGrant, deadline: Deadline | undefined): void {
    const isFirst = this.#held.size === 0;
    for (const block of blocks) {
      this.#held.set(block, grant);
      this.#toRelease.delete(block);
    }
    if (deadline === undefined) return;
    const known = isFirst ? undefined : this.#deadline;
    this.#deadline = known === undefined ? deadline : soonerOf(known, deadline);
    if (isFirst) this.#renewAt = this.#clock.monotonic() + this.#store.ttl / RENEWALS;
  }

  /** The request was given up: only the store knows of these blocks. */
  #onLateGrant({ blocks, grant }: BlockGrant): void {
    const unknown = blocks.filter((block) => this.#held.get(block) !== grant);
    for (const block of unknown) this.#toRelease.set(block, grant);
    this.#next();
  }

  #onRefused(grant: BlockGrant | undefined, error: unknown): void {
    const wait = error === undefined ? (grant?.retryAfter ?? RETRY_MS) : this.#backoff;
    if (error !== undefined) {
      this.#backoff = Math.min(this.#backoff * 2, BACKOFF_MS_MAX);
    }
    this.#notBefore = this.#clock.monotonic() + wait;
    this.#listener.onRefused(grant, error);
  }

  #renew(): void {
    const held = new Map(this.#held);
    const deadline = this.#newDeadline();
    const sentAt = this.#clock.monotonic();
    this.#renewAt = sentAt + this.#store.ttl / RENEWALS;
    this.#run(
      () => this.#store.renew(this.scope, held),
      (renewal) => this.#onRenewed(renewal, held, deadline),
      () => {
        // Sooner than usual: the term goes on.
        this.#renewAt = this.#clock.monotonic() + this.#backoff;
        this.#backoff = Math.min(this.#backoff * 2, this.#store.ttl / RENEWALS);
      },
    );
  }

  #onRenewed(renewal: Renewal, said: HeldBlocks, deadline: Deadline | undefined): void {
    this.#backoff = BACKOFF_MS;
    // A term that has ended meanwhile stays ended.
    if (!this.isUsable() || this.#held.size === 0) return;
    this.#deadline = deadline;
    const lost = renewal.lost.filter((block) => this.#held.get(block) === said.get(block));
    this.#lose(lost);
    if (renewal.wanted) this.#listener.onWanted(undefined);
  }

  #release(): void {
    const blocks = new Map(this.#toRelease);
    this.#toRelease.clear();
    // If this fails, the next renewal says all that is held.
    this.#run(
      () => this.#store.release(this.scope, blocks),
      () => {},
      () => {},
    );
  }

  /** Runs one request. An answer after its time limit is no answer. */
  #run<T>(
    request: () => Promise<T>,
    onAnswer: (answer: T) => void,
    onFailure: (error: unknown) => void,
    onLate: (answer: T) => void = () => {},
  ): void {
    const turn = ++this.#turn;
    this.#isBusy = true;
    this.#timer?.cancel();
    const limit = Number.isFinite(this.#store.ttl) ? this.#store.ttl / RENEWALS : REQUEST_MS;
    const end = (act: () => void): void => {
      if (turn !== this.#turn) return;
      this.#turn++;
      timer.cancel();
      this.#isBusy = false;
      act();
      this.#next();
    };
    const fail = (error: unknown): void =>
      end(() => {
        this.#listener.onError(error);
        onFailure(error);
      });
    const timer = this.#clock.after(limit, () =>
      fail(new Error(`${this.#store.name} did not answer within ${Math.round(limit)} ms`)),
    );
    // As long as a caller waits, the client of the store, or this timer, keeps the process alive.
    if (this.#isAcquiring) timer.keepAlive(true);
    const settled = (answer: T): void => {
      if (turn === this.#turn) end(() => onAnswer(answer));
      else onLate(answer);
    };
    // A store that throws at once has failed, too.
    new Promise<T>((resolve) => resolve(request())).then(settled, fail);
  }

  // ── The end of a term ───────────────────────────────────────────────────────────────────

  #newDeadline(): Deadline | undefined {
    const { ttl } = this.#store;
    return Number.isFinite(ttl) ? deadlineIn(this.#clock, ttl * (1 - MARGIN)) : undefined;
  }

  #loseAll(): void {
    this.#deadline = undefined;
    this.#renewAt = Number.POSITIVE_INFINITY;
    this.#lose([...this.#held.keys()]);
  }

  #lose(blocks: readonly number[]): void {
    if (blocks.length === 0) return;
    for (const block of blocks) this.#held.delete(block);
    if (this.#held.size === 0) this.#deadline = undefined;
    this.#listener.onLost(blocks);
  }
}
