// Checkout: a port of a pair, from when it is picked until it is given back, which happens once.

import { UDP } from "../../index.ts";
import type { Pair } from "./pair.ts";
import type { PairTable } from "./pair-table.ts";

export class Checkout {
  readonly pair: Pair;
  readonly port: number;
  /** Is it of a block that another holder has? */
  readonly isSpilled: boolean;
  #isOver = false;
  /** Its number among all picks. */
  readonly #pick: number;
  readonly #pairs: PairTable;

  constructor(pairs: PairTable, pair: Pair, port: number, isSpilled: boolean) {
    this.#pairs = pairs;
    this.pair = pair;
    this.port = port;
    this.isSpilled = isSpilled;
    this.#pick = pairs.counts.picks;
  }

  /**
   * Gives the port back; it may be picked again at once. A second end of a checkout does nothing.
   */
  free(): void {
    if (!this.#end()) return;
    this.pair.free(this.port);
    this.#after();
  }

  /** Gives the port back: there was no file for a socket. */
  freeUnopened(): void {
    if (!this.#end()) return;
    this.pair.free(this.port);
    this.#after(false);
  }

  /**
   * Gives the port back, and lets it cool down: the system keeps the tuple in TIME_WAIT, but for
   * UDP.
   */
  coolDown(): void {
    if (!this.#pairs.coolsDown || this.pair.destination.transport === UDP) {
      this.free();
    } else if (this.#end()) {
      this.#pairs.count(this.pair, "cooledDown");
      this.pair.coolDown(this.port, this.#pairs.now());
      // It can be taken over where that is the policy.
      this.#after();
    }
  }

  /**
   * The port is held by another program: quarantines it for a while, for this destination or for
   * all.
   */
  quarantine(isForAll: boolean): void {
    if (!this.#end()) return;
    const now = this.#pairs.now();
    this.#pairs.count(this.pair, "conflicts");
    if (this.isSpilled) this.pair.leased?.onSpillConflict();
    if (isForAll) this.pair.quarantinePort(this.port, now + this.#pairs.quarantine, now);
    else this.pair.quarantineTuple(this.port, now);
    this.#pairs.onQuarantine(this.pair);
    this.#pairs.closeIfUnused();
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    if (this.#pairs.isLost(this.pair, this.port, this.#pick)) return false;
    this.#pairs.countHeld(this.pair, -1);
    this.#pairs.count(this.pair, "released");
    return true;
  }

  #after(hasFile = true): void {
    this.#pairs.closeIfUnused();
    this.#pairs.onFreed(this.pair, hasFile);
  }
}
