// Checkout: a port of a pair, from the pick until it is given back, which happens once.
//
//   pair    source and destination, and the table that they are of
//   pick    its number among all picks, from 1 on; OVER from its end on
//   state   bit 0..15   the port
//               16      SPILLED
//               17..    flags of a class that extends it, from OWN_FLAG on
//
// An open connection has one for all its life, so it is small: small fields share one number, and
// no method is private by `#`, which costs 8 bytes for each object in V8.

import { PORT_MAX } from "../../../assembly/abi.ts";
import { UDP } from "../../index.ts";
import type { Pair } from "./pair.ts";

const OVER = 0;
/** The port is of a block that another holder has. */
const SPILLED = PORT_MAX + 1;
/** The first flag that is free for a class that extends Checkout. */
export const OWN_FLAG: number = SPILLED << 1;

export class Checkout {
  readonly pair: Pair;
  #pick: number;
  #state: number;

  constructor(pair: Pair, port: number, pick: number, isSpilled: boolean) {
    this.pair = pair;
    this.#pick = pick;
    this.#state = isSpilled ? port | SPILLED : port;
  }

  get port(): number {
    return this.#state & PORT_MAX;
  }

  /** Is it of a block that another holder has? */
  get isSpilled(): boolean {
    return this.has(SPILLED);
  }

  protected has(flag: number): boolean {
    return (this.#state & flag) !== 0;
  }

  protected set(flags: number): void {
    this.#state |= flags;
  }

  /** Has the port been given back, or handed over? */
  get isOver(): boolean {
    return this.#pick === OVER;
  }

  /**
   * Ends the checkout without giving the port back, because another checkout does. @returns the
   * number of the pick.
   */
  handOver(): number {
    const pick = this.#pick;
    this.#pick = OVER;
    return pick;
  }

  /**
   * Gives the port back; it may be picked again at once. A second end of a checkout does nothing.
   */
  free(): void {
    if (!end(this)) return;
    this.pair.free(this.port);
    giveOn(this);
  }

  /** Gives the port back, because there was no file for a socket. */
  freeUnopened(): void {
    if (!end(this)) return;
    this.pair.free(this.port);
    giveOn(this, false);
  }

  /**
   * Gives the port back, and lets it cool down: the system keeps the tuple in TIME_WAIT, but for
   * UDP.
   */
  coolDown(): void {
    const { table, destination } = this.pair;
    if (!table.coolsDown || destination.transport === UDP) {
      this.free();
    } else if (end(this)) {
      table.count(this.pair, "cooledDown");
      this.pair.coolDown(this.port, table.now());
      // The cooling port can be taken over, if that is the policy.
      giveOn(this);
    }
  }

  /**
   * The port is held by another program: quarantines it for a while, for this destination or for
   * all.
   */
  quarantine(isForAll: boolean): void {
    if (!end(this)) return;
    const { table } = this.pair;
    const now = table.now();
    table.count(this.pair, "conflicts");
    if (this.isSpilled) this.pair.leased?.onSpillConflict();
    if (isForAll) this.pair.quarantinePort(this.port, now + table.quarantine, now);
    else this.pair.quarantineTuple(this.port, now);
    table.onQuarantine(this.pair);
    table.closeIfUnused();
  }
}

/** Ends a checkout. @returns whether the port is to be given back: it may have been before. */
function end(checkout: Checkout): boolean {
  const { pair, port } = checkout;
  const pick = checkout.handOver();
  if (pick === OVER || pair.table.isLost(pair, port, pick)) return false;
  pair.table.countHeld(pair, -1);
  pair.table.count(pair, "released");
  return true;
}

/** Tells the table that the port has been given back, so that waiting connections may have it. */
function giveOn({ pair }: Checkout, hasFile = true): void {
  pair.table.closeIfUnused();
  pair.table.onFreed(pair, hasFile);
}
