// AddressRace: the addresses of a host, tried in turn, each a little after the one before, until
// one is connected (RFC 8305 § 5). Where one fails, the next is tried at once.
//
//   a ────────✗
//       b ─────────────────▶ connected: the others are closed
//             c ──────────
//       ◀──▶ attemptDelay
//
// A resolver may answer thousands of addresses, so a loop goes on to the next after an address that
// fails at once.

import { show } from "../../errors.ts";
import type { Destination } from "../sources/destination.ts";
import { counted } from "./words.ts";

/** The caller of an address race. */
export interface Racer {
  /** Begins with that address; may report its failure before it returns. */
  beginWith(destination: Destination): void;
  /** Is there an address that has neither connected nor failed? */
  isUnderWay(): boolean;
  /** No address is left. */
  onLost(error: unknown): void;
}

export class AddressRace {
  readonly #racer: Racer;
  /** Milliseconds that one address has a start on the next. */
  readonly #delayMs: number;
  readonly #errors: unknown[] = [];
  readonly #destinations: readonly Destination[];
  #next: number;
  /**
   * How many addresses are to be begun: the present one, and the next if the present one has
   * failed.
   */
  #due = 0;
  #timer: NodeJS.Timeout | undefined = undefined;
  #isOver = false;

  /** @param begun how many of them have been begun already. */
  constructor(racer: Racer, delayMs: number, destinations: readonly Destination[], begun: number) {
    this.#racer = racer;
    this.#delayMs = delayMs;
    this.#destinations = destinations;
    this.#next = begun;
  }

  start(): void {
    this.#launch();
  }

  /** An address has failed: goes on to the next, if there is one. */
  onFailed(error: unknown): void {
    this.note(error);
    this.goOn();
  }

  /** Notes the error of an address. */
  note(error: unknown): void {
    this.#errors.push(error);
  }

  /** Begins with the next address; where none is left, and none under way, the race is lost. */
  goOn(): void {
    if (this.#next < this.#destinations.length) this.#launch();
    else if (!this.#racer.isUnderWay()) this.#racer.onLost(together(this.#errors));
  }

  /** An address is connected: no further one is begun, unless that connection fails after all. */
  pause(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }

  /** No further address is begun. */
  stop(): void {
    this.pause();
    this.#isOver = true;
  }

  #launch(): void {
    this.#due++;
    if (this.#due > 1) return; // from within the loop below
    for (; this.#due > 0; this.#due--) this.#launchOne();
  }

  #launchOne(): void {
    this.pause();
    const destination = this.#destinations[this.#next++];
    if (this.#isOver || destination === undefined) return;
    if (this.#next < this.#destinations.length) {
      this.#timer = setTimeout(() => this.#launch(), this.#delayMs);
    }
    this.#racer.beginWith(destination);
  }
}

/** How many of a host's errors a message quotes. */
const QUOTED_MAX = 3;

/** The error, or where several addresses have failed one that lists their errors, as in Node. */
function together(errors: readonly unknown[]): unknown {
  if (errors.length < 2) return errors[0];
  const quoted = errors.slice(0, QUOTED_MAX).map(messageOf);
  const others = errors.length - quoted.length;
  const more = others > 0 ? [`and ${counted(others, "more error")}, see errors`] : [];
  const message = `no address of the host could be connected: ${[...quoted, ...more].join("; ")}`;
  const code = (errors[0] as NodeJS.ErrnoException | undefined | null)?.code;
  return Object.assign(new AggregateError(errors, message), code === undefined ? {} : { code });
}

function messageOf(error: unknown): string {
  const message = (error as Error | undefined | null)?.message;
  return typeof message === "string" ? message : show(error);
}
