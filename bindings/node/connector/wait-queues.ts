// WaitQueues: the connections that wait for a port or a file, in the order in which they came.
//
//   destination a ──┬── any source      first ⇄ … ⇄ last
//                   └── one source      first ⇄ … ⇄ last
//   destination b ───── any source      …
//   a file              …
//
// A queue is served from its front: when a port of it comes back, when a connection asks for one,
// and at times when ports come back because their cooldown or quarantine ends. One timer is set for
// the soonest such time of all queues; each waiting operation has its own time limit
// (`OperationWait`).

import type { Destination } from "../sources/destination.ts";
import type { Pair } from "../sources/pair.ts";
import type { PairRequest, PairTable } from "../sources/pair-table.ts";
import type { Source } from "../sources/source.ts";
import { type Waiter, WaitQueue } from "./wait-queue.ts";

/** The timer is not set for less than this, milliseconds. */
const TICK_MS = 5;
/**
 * Other programs close files, too, so those that wait for one look again after so many
 * milliseconds.
 */
const FILE_TICK_MS = 100;
/** So many of them at a time, because each try makes a socket that the system may refuse. */
const FILES_PER_TICK = 64;

export class WaitQueues {
  /** How many connections wait; one that waits for several addresses counts once. */
  count = 0;
  readonly #pairs: PairTable;
  readonly #queues: Map<Destination, Map<Source | undefined, WaitQueue>> = new Map();
  readonly #forFiles: WaitQueue = new WaitQueue();
  /** Pairs that got a port back while queues were being served. */
  readonly #freed: Set<Pair> = new Set();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer is due. */
  #due = Infinity;
  /** When all queues were served the last time. */
  #lookedAt = 0;
  #lastPosition = 0;
  #isServing = false;

  constructor(pairs: PairTable) {
    this.#pairs = pairs;
  }

  /** Do connections wait for just this request? */
  has({ destination, source }: PairRequest): boolean {
    return this.count > 0 && this.#queues.get(destination)?.get(source) !== undefined;
  }

  /** Serves connections that wait for just this request, before another one makes it. */
  serve(request: PairRequest): void {
    if (!this.has(request)) return;
    // While queues are being served, each has its turn anyway.
    if (this.#isServing) return;
    this.#whileServing(() => this.#serve(request.destination, request.source));
  }

  /**
   * The position of a connection that begins to wait. The connection keeps it when it is served in
   * vain.
   */
  nextPosition(): number {
    return ++this.#lastPosition;
  }

  add(waiter: Waiter): void {
    if (waiter.isForFile) this.#forFiles.joinLast(waiter);
    else this.#queueFor(waiter.request).join(waiter);
    waiter.request.destination.waiting++;
    const next = Math.min(this.#nextLookForFiles(), this.#nextChangeFor(waiter.request));
    this.#setTimer(next);
  }

  remove(waiter: Waiter): void {
    const { destination, source } = waiter.request;
    const queue = waiter.isForFile ? this.#forFiles : this.#queues.get(destination)?.get(source);
    if (!queue?.leave(waiter)) return;
    destination.waiting--;
    if (!waiter.isForFile) this.#dropIfEmpty(destination, source, queue);
    this.#clearTimerIfIdle();
  }

  /** A pair may have a port again; `hasFile`: and a file was closed. */
  onFreed(pair: Pair, hasFile: boolean): void {
    if (this.#isIdle) return;
    this.#freed.add(pair);
    if (this.#isServing) return;
    this.#whileServing(() => this.#serveForFiles(hasFile ? 1 : 0));
    // A port that came back to cool down comes back once more.
    this.#setTimer(pair.nextChange);
  }

  /** Notes that a port, or its source, was quarantined, and will come back by itself. */
  onQuarantine(pair: Pair): void {
    this.#setTimer(changeOf(pair, this.#pairs.now()));
  }

  /** Blocks have come, or cannot come now. */
  onBlocks(): void {
    if (this.#isIdle || this.#isServing) return;
    this.#whileServing(() => {
      for (const [destination, queues] of this.#queues) {
        for (const source of queues.keys()) this.#serve(destination, source);
      }
    });
  }

  // ── Serving ─────────────────────────────────────────────────────────────────────────────

  get #isIdle(): boolean {
    return this.#queues.size === 0 && this.#forFiles.size === 0;
  }

  #queueFor({ destination, source }: PairRequest): WaitQueue {
    const queues = this.#queues.get(destination) ?? new Map<Source | undefined, WaitQueue>();
    const queue = queues.get(source) ?? new WaitQueue();
    this.#queues.set(destination, queues.set(source, queue));
    return queue;
  }

  /**
   * Ports that come back meanwhile are served at the end, so that no queue is served within
   * another.
   */
  #whileServing(serve: () => void): void {
    this.#isServing = true;
    try {
      serve();
      this.#serveFreed();
    } finally {
      this.#isServing = false;
    }
  }

  #serveFreed(): void {
    for (const pair of this.#freed) {
      this.#freed.delete(pair);
      this.#serve(pair.destination, pair.source);
      this.#serve(pair.destination, undefined);
    }
  }

  #serve(destination: Destination, source: Source | undefined): void {
    const queue = this.#queues.get(destination)?.get(source);
    if (queue === undefined) return;
    for (let waiter = queue.first; waiter !== undefined; waiter = queue.first) {
      if (!waiter.serve()) break;
      if (queue.leave(waiter)) destination.waiting--;
    }
    this.#dropIfEmpty(destination, source, queue);
    this.#clearTimerIfIdle();
  }

  /**
   * So many of those that wait for a file may try. One that finds no port for it goes behind the
   * others.
   */
  #serveForFiles(most: number): void {
    const queue = this.#forFiles;
    for (let left = Math.min(most, queue.size); left > 0; left--) {
      const waiter = queue.first;
      const isServed = waiter?.serve();
      if (waiter === undefined || !queue.leave(waiter)) continue;
      if (isServed) waiter.request.destination.waiting--;
      else queue.joinLast(waiter);
    }
    this.#clearTimerIfIdle();
  }

  #dropIfEmpty(destination: Destination, source: Source | undefined, queue: WaitQueue): void {
    if (queue.size > 0) return;
    const queues = this.#queues.get(destination);
    // The queue may have been dropped before, and another may have taken its place.
    if (queues?.get(source) !== queue) return;
    queues.delete(source);
    if (queues.size === 0) this.#queues.delete(destination);
  }

  // ── Ports that come back ────────────────────────────────────────────────────────────────

  #setTimer(next: number): void {
    if (this.#isIdle || next >= this.#due) return;
    this.#clearTimer();
    this.#due = next;
    const delay = Math.max(TICK_MS, Math.ceil(next - this.#pairs.now()));
    this.#timer = setTimeout(() => this.#onTimer(), delay);
  }

  #nextChange(): number {
    let next = this.#nextLookForFiles();
    for (const [destination, queues] of this.#queues) {
      for (const source of queues.keys()) {
        next = Math.min(next, this.#nextChangeFor({ destination, source }));
      }
    }
    return next;
  }

  #nextLookForFiles(): number {
    return this.#forFiles.size > 0 ? this.#pairs.now() + FILE_TICK_MS : Infinity;
  }

  #nextChangeFor(request: PairRequest): number {
    let next = Infinity;
    for (const pair of this.#pairs.pairsFor(request)) {
      next = Math.min(next, changeOf(pair, this.#lookedAt));
    }
    return next;
  }

  #onTimer(): void {
    this.#clearTimer();
    this.#lookedAt = this.#pairs.now();
    this.#whileServing(() => {
      for (const [destination, queues] of this.#queues) {
        for (const source of queues.keys()) this.#serve(destination, source);
      }
      this.#serveForFiles(FILES_PER_TICK);
    });
    this.#setTimer(this.#nextChange());
  }

  #clearTimerIfIdle(): void {
    if (this.#isIdle) this.#clearTimer();
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#due = Infinity;
  }
}

/**
 * When a pair may have a port without an event: not before its source is tried again, which may
 * have become possible since the queues were last served.
 */
function changeOf({ source, nextChange }: Pair, lookedAt: number): number {
  return source.absentUntil > lookedAt ? source.absentUntil : nextChange;
}
