// Simulation: connections that begin and end by chance, as fast as the settings say.
//
// Connections begin as a Poisson process and last exponentially long. Neither remembers what was,
// so no list of future events is needed: with `n` connections the next event comes after a time of
// mean 1 / (rate + n / lifetime), and it is an arrival or the end of any one of them, in that
// proportion. A change of the rate or the lifetime takes effect with the next event.

import { SeededRandom } from "../../bindings/core/random.ts";
import type { Ports } from "./ports.ts";
import type { Settings } from "./settings.ts";

/** So many events lie between two looks at the clock. */
const PIECE = 64;
const UNIT = 2 ** -32;
/** So long one worker has most of the load, milliseconds. */
const TURN_MS = 5000;

export class Simulation {
  readonly ports: Ports;
  settings: Settings;
  /** Milliseconds. */
  time = 0;
  operations = 0;
  refused = 0;
  readonly #random: SeededRandom = new SeededRandom(7);

  constructor(ports: Ports, settings: Settings) {
    this.ports = ports;
    this.settings = settings;
  }

  /** Goes on for so many milliseconds of its own time, but not beyond a deadline of `now`. */
  run(milliseconds: number, deadline: number, now: () => number): void {
    const end = this.time + milliseconds;
    while (this.time < end) {
      this.#piece(PIECE, end);
      if (now() > deadline) return;
    }
  }

  /** Makes so many operations. */
  step(operations: number): void {
    for (let left = operations; left > 0; left -= PIECE) {
      this.#piece(Math.min(left, PIECE), Number.POSITIVE_INFINITY);
    }
  }

  /** Some operations, unless the time is over before. */
  #piece(operations: number, end: number): void {
    const { rate, lifetime, destinations } = this.settings;
    const { ports } = this;
    const begins = rate / 1000;
    for (let left = operations; left > 0; left--) {
      const both = begins + ports.live / lifetime;
      const wait = -Math.log((this.#random.next() + 1) * UNIT) / both;
      if (this.time + wait >= end) {
        this.time = end;
        break;
      }
      this.time += wait;
      this.operations++;
      const chance = this.#random.next() * UNIT;
      if (chance * both >= begins) ports.leave(this.#below(ports.live));
      else if (!ports.arrive(this.#towards(destinations))) this.refused++;
    }
    ports.tick(this.time);
  }

  /** Workers by turns have as much load as all after them together. */
  #towards(destinations: number): number {
    if (!this.settings.leases) return this.#below(destinations);
    const rank = Math.min(
      Math.floor(-Math.log2((this.#random.next() + 1) * UNIT)),
      destinations - 1,
    );
    return (rank + Math.floor(this.time / TURN_MS)) % destinations;
  }

  #below(count: number): number {
    return Math.floor(this.#random.next() * UNIT * count);
  }
}
