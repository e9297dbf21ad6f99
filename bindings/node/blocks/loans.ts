// Loans: ports for one source and destination that the holder of a block can spare, lent to another
// holder of the host that finds no block free.
//
//   borrower ── how many ports, to which destination, of which range ─▶ lender
//            ◀─ ports, which the lender takes for that destination ────
//            ── ports that are not needed any more ───────────────────▶
//
// Both keep a connection for as long as a port of it is lent: the death of either ends it.
//
// Must stay true: a port is lent to one holder at a time, and its lender uses it only after it has
// come back.

import type { BlockScope, BlockStore } from "./block-store.ts";
import type { Clock, ClockTimer } from "./clock.ts";
import type { PairUse } from "./pair-use.ts";

/** So many ports are asked for at a time. */
const WANT = { least: 8, most: 64 };
/** So many holders are asked at the same time, and so many for one loan. */
const AT_ONCE = 2;
const ASKED_MAX = 16;
/** No more holders are asked after so many milliseconds. */
const ASKING_MS = 250;
/**
 * If no holder lent any, the next try is after so many milliseconds, and twice as late each time.
 */
const NONE_MS = { least: 20, most: 640 };
/** How often ports that are no longer needed are given back, milliseconds. */
const LOOK_MS = 200;
/**
 * A borrower with fewer ports of its own left, which has taken some since the last check, keeps so
 * many unused ports, or as many as it has taken.
 */
const IDLE_KEPT = 4;

/** A request for a loan. */
export interface LoanRequest {
  /** The destination, as canonical text. */
  readonly address: string;
  readonly port: number;
  /** How many ports. */
  readonly want: number;
  /** The ports that will do, both included. */
  readonly first: number;
  readonly last: number;
}

/** A loan, as the lender sees it. */
export interface Lent {
  readonly ports: readonly number[];
  /** Ports have come back; `isBroken`: the borrower is gone, and has perhaps just used them. */
  takeBack(ports: readonly number[], isBroken: boolean): void;
}

/** The same as the borrower sees it. */
export interface Loan {
  readonly ports: readonly number[];
  giveBack(ports: readonly number[]): void;
  /** Set by the borrower; called when the lender is gone. */
  onEnd: () => void;
}

/** The answer of one holder. */
export interface LoanAnswer {
  /** Its blocks of the scope, by which it need not be asked again. */
  readonly blocks: readonly number[];
  readonly loan?: Loan | undefined;
}

/** A store whose holders lend to each other. */
export interface LendingStore extends BlockStore {
  /** Some blocks that others hold, in random order. */
  others(scope: BlockScope, first: number, last: number): number[];
  /** Asks the holder of a block. */
  borrow(scope: BlockScope, block: number, request: LoanRequest): Promise<LoanAnswer>;
  /** Set by the holder: answers with the ports that it can spare. */
  onLend: ((scope: BlockScope, request: LoanRequest) => Lent | undefined) | undefined;
}

export function isLending(store: BlockStore): store is LendingStore {
  return "onLend" in store;
}

interface LoansOptions {
  readonly store: LendingStore;
  readonly scope: BlockScope;
  readonly destination: Pick<LoanRequest, "address" | "port">;
  readonly clock: Clock;
  readonly use: PairUse;
  readonly range: () => Pick<LoanRequest, "first" | "last"> | undefined;
  /** Is the port of no block that is held here, and not reserved? */
  readonly isOfUse: (port: number) => boolean;
  /** How many ports of own blocks are left. */
  readonly ownLeft: () => number;
  /** Ports have come, or cannot come now. */
  readonly onChange: () => void;
}

/** The ports that one pair has borrowed. */
export class Loans {
  readonly #options: LoansOptions;
  readonly #byPort: Map<number, Loan> = new Map();
  /** How many have been taken since the last check. */
  #taken = 0;
  #isAsking = false;
  /** No holder lent any: the next try is not before that, by the monotonic clock. */
  #noneUntil = 0;
  #wait = NONE_MS.least;
  #timer: ClockTimer | undefined;
  #isClosed = false;

  constructor(options: LoansOptions) {
    this.#options = options;
  }

  /** How many ports are borrowed now. */
  get size(): number {
    return this.#byPort.size;
  }

  get isAsking(): boolean {
    return this.#isAsking;
  }

  /** Takes a port that is borrowed, and asks for more where it is the last. */
  take(take: (port: number) => boolean): number {
    const { use } = this.#options;
    let taken = 0;
    for (const port of this.#byPort.keys()) {
      if (use.has(port)) continue;
      if (taken > 0) return taken;
      if (!take(port)) continue;
      taken = port;
      this.#taken++;
    }
    if (taken > 0) this.ask(0);
    return taken;
  }

  /**
   * Asks holders for ports; for the more, the more there are already.
   * @param waiting how many connections wait.
   * @returns false: it would be too early.
   */
  ask(waiting: number): boolean {
    const range = this.#options.range();
    const isEarly = this.#options.clock.monotonic() < this.#noneUntil;
    if (this.#isAsking || isEarly || range === undefined) return this.#isAsking;
    this.#isAsking = true;
    const want = Math.min(WANT.least + Math.max(waiting, this.size / 2), WANT.most);
    const { address, port } = this.#options.destination;
    void this.#askAll({
      address,
      port,
      want: Math.floor(want),
      first: range.first,
      last: range.last,
    });
    return true;
  }

  async #askAll(request: LoanRequest): Promise<void> {
    const { store, scope, clock, onChange } = this.#options;
    const { first, last, want } = request;
    const blocks = new Set(store.others(scope, first, last));
    const end = clock.monotonic() + ASKING_MS;
    let [found, asked] = [0, 0];
    const askNext = async (): Promise<void> => {
      for (const block of blocks) {
        if (found >= want || asked++ >= ASKED_MAX || clock.monotonic() > end) return;
        blocks.delete(block);
        const answer = await store.borrow(scope, block, { ...request, want: want - found });
        for (const one of answer.blocks) blocks.delete(one);
        if (answer.loan === undefined) continue;
        found += this.#add(answer.loan);
        onChange();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, askNext));
    this.#isAsking = false;
    this.#noneUntil = found > 0 ? 0 : clock.monotonic() + this.#wait;
    this.#wait = found > 0 ? NONE_MS.least : Math.min(2 * this.#wait, NONE_MS.most);
    onChange();
  }

  #add(loan: Loan): number {
    const isWanted = (port: number): boolean =>
      !this.#isClosed && !this.#byPort.has(port) && this.#options.isOfUse(port);
    const ports = loan.ports.filter(isWanted);
    loan.onEnd = () => {
      for (const port of ports) if (this.#byPort.get(port) === loan) this.#byPort.delete(port);
    };
    for (const port of ports) this.#byPort.set(port, loan);
    loan.giveBack(loan.ports.filter((port) => !ports.includes(port)));
    this.#setTimer();
    return ports.length;
  }

  #setTimer(): void {
    if (this.#timer !== undefined || this.size === 0) return;
    this.#timer = this.#options.clock.after(LOOK_MS, () => {
      this.#timer = undefined;
      this.tidy();
      this.#setTimer();
    });
  }

  /** Gives back ports that are no longer needed. */
  tidy(): void {
    const { use, ownLeft } = this.#options;
    const isNeeded = this.#taken > 0 && ownLeft() < IDLE_KEPT;
    const kept = isNeeded ? Math.max(IDLE_KEPT, this.#taken) : 0;
    this.#taken = 0;
    const idle = [...this.#byPort.keys()].filter((port) => !use.has(port));
    for (const port of idle.slice(kept)) this.#giveBack(port);
  }

  #giveBack(port: number): void {
    this.#byPort.get(port)?.giveBack([port]);
    this.#byPort.delete(port);
  }

  /** Gives back everything. No port of the pair is in use. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    for (const port of [...this.#byPort.keys()]) this.#giveBack(port);
  }
}
