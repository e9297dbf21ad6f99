// Waiting: who waits for a port, in the order in which they came.
//
// Each destination has a line for those that any source will do for, and one for each source that
// somebody insists on. A line is served from its front: when a port of it comes back, when somebody joins,
// and by one timer while ports rest or are quarantined, since those come back by themselves.

import type { Destination, Pair, Source } from "../sources/pair.ts";
import type { PairRequest, PairTable } from "../sources/pair-table.ts";
import { Line, type Waiter } from "./wait-queue.ts";

/** The timer is not set shorter than this, milliseconds. */
const TICK_MS = 5;
/** Files may be closed by anybody, so who waits for one looks again after so many milliseconds. */
const FILE_TICK_MS = 100;
/** So many of them at a time: each is a socket that may be refused. */
const FILES_PER_TICK = 64;

export class Waiting {
  readonly #pairs: PairTable;
  readonly #lines: Map<Destination, Map<Source | undefined, Line>> = new Map();
  readonly #forFiles: Line = new Line();
  /** Pairs that got a port back while lines were being served. */
  readonly #freed: Set<Pair> = new Set();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer is due. */
  #due = Infinity;
  #count = 0;
  /** The last one that was given. */
  #position = 0;
  #isServing = false;

  constructor(pairs: PairTable) {
    this.#pairs = pairs;
  }

  get count(): number {
    return this.#count;
  }

  /** Must a newcomer with this request stand behind others? They are served first. */
  hasLine({ destination, source }: PairRequest): boolean {
    if (this.#count === 0) return false;
    const lines = this.#lines.get(destination);
    if (lines?.get(source) === undefined) return false;
    // Who comes while lines are being served has its turn in the same round.
    if (!this.#isServing) this.#whileServing(() => this.#serve(destination, source));
    return this.#lines.get(destination)?.get(source) !== undefined;
  }

  /** For who is going to wait for the first time; who comes back with it stands where it stood. */
  position(): number {
    return ++this.#position;
  }

  add(waiter: Waiter): void {
    if (waiter.isForFile) this.#forFiles.joinLast(waiter);
    else this.#lineFor(waiter.request).join(waiter);
    this.#count++;
    waiter.request.destination.waiting++;
    this.#setTimer(Math.min(this.#nextLookForFiles(), this.#nextChangeFor(waiter.request)));
  }

  remove(waiter: Waiter): void {
    const { destination, source } = waiter.request;
    const line = waiter.isForFile ? this.#forFiles : this.#lines.get(destination)?.get(source);
    if (!line?.leave(waiter)) return;
    this.#leave(waiter);
    if (!waiter.isForFile) this.#dropIfEmpty(destination, source, line);
    if (this.#count === 0) this.#clearTimer();
  }

  /** A pair may have a port again; `hasFile`: and a file was closed. */
  onFreed(pair: Pair, hasFile: boolean): void {
    if (this.#count === 0) return;
    this.#freed.add(pair);
    if (this.#isServing) return;
    this.#whileServing(() => this.#serveForFiles(hasFile ? 1 : 0));
    // What came back to rest comes back once more.
    this.#setTimer(pair.nextChange);
  }

  /** A port, or its source, was quarantined, and will come back by itself. */
  onQuarantine(pair: Pair): void {
    this.#setTimer(changeOf(pair, this.#pairs.now()));
  }

  // ── Lines ───────────────────────────────────────────────────────────────────────────────

  #lineFor({ destination, source }: PairRequest): Line {
    const lines = this.#lines.get(destination) ?? new Map<Source | undefined, Line>();
    const line = lines.get(source) ?? new Line();
    this.#lines.set(destination, lines.set(source, line));
    return line;
  }

  /** What comes back meanwhile is served in the end, so that no line is served within another. */
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
    const line = this.#lines.get(destination)?.get(source);
    if (line === undefined) return;
    this.#serveLine(line);
    this.#dropIfEmpty(destination, source, line);
  }

  #serveLine(line: Line): void {
    for (let waiter = line.first; waiter !== undefined; waiter = line.first) {
      if (!waiter.serve()) break;
      if (line.leave(waiter)) this.#leave(waiter);
    }
    if (this.#count === 0) this.#clearTimer();
  }

  /** So many of those who wait for a file may try. Who finds no port for it goes behind the others. */
  #serveForFiles(most: number): void {
    const line = this.#forFiles;
    for (let left = Math.min(most, line.size); left > 0; left--) {
      const waiter = line.first;
      const isServed = waiter?.serve();
      if (waiter === undefined || !line.leave(waiter)) continue;
      if (isServed) this.#leave(waiter);
      else line.joinLast(waiter);
    }
    if (this.#count === 0) this.#clearTimer();
  }

  #leave({ request }: Waiter): void {
    this.#count--;
    request.destination.waiting--;
  }

  #dropIfEmpty(destination: Destination, source: Source | undefined, line: Line): void {
    if (line.size > 0) return;
    const lines = this.#lines.get(destination);
    // It may have been dropped before, and another one have taken its place.
    if (lines?.get(source) !== line) return;
    lines.delete(source);
    if (lines.size === 0) this.#lines.delete(destination);
  }

  // ── What comes back by itself ───────────────────────────────────────────────────────────

  #setTimer(next: number): void {
    if (this.#count === 0 || next >= this.#due) return;
    this.#clearTimer();
    this.#due = next;
    const delay = Math.max(TICK_MS, Math.ceil(next - this.#pairs.now()));
    this.#timer = setTimeout(() => this.#onTimer(), delay);
  }

  #nextChange(): number {
    let next = this.#nextLookForFiles();
    for (const [destination, lines] of this.#lines) {
      for (const source of lines.keys()) {
        next = Math.min(next, this.#nextChangeFor({ destination, source }));
      }
    }
    return next;
  }

  #nextLookForFiles(): number {
    return this.#forFiles.size > 0 ? this.#pairs.now() + FILE_TICK_MS : Infinity;
  }

  #nextChangeFor(request: PairRequest): number {
    const now = this.#pairs.now();
    let next = Infinity;
    for (const pair of this.#pairs.pairsFor(request)) next = Math.min(next, changeOf(pair, now));
    return next;
  }

  #onTimer(): void {
    this.#clearTimer();
    this.#whileServing(() => {
      for (const [destination, lines] of this.#lines) {
        for (const source of lines.keys()) this.#serve(destination, source);
      }
      this.#serveForFiles(FILES_PER_TICK);
    });
    this.#setTimer(this.#nextChange());
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#due = Infinity;
  }
}

/** When a pair may have a port by itself: not before its source is tried again. */
function changeOf({ source, nextChange }: Pair, now: number): number {
  return source.brokenUntil > now ? source.brokenUntil : nextChange;
}
