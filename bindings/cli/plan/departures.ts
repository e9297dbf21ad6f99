// Departures: the events to come in simulated time, soonest first. A binary heap over plain arrays
// of numbers, so that millions of events cost no garbage.

/** Events of a time, of something that has a number, and of a port. */
export class Departures {
  readonly #times: number[] = [];
  readonly #owners: number[] = [];
  readonly #ports: number[] = [];

  /** When the soonest is; `Infinity` when there is none. */
  get next(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  /** The number of the soonest event's object. */
  get owner(): number {
    return this.#owners[0] ?? -1;
  }

  /** The port of the soonest. */
  get port(): number {
    return this.#ports[0] ?? 0;
  }

  add(time: number, owner: number, port: number): void {
    let hole = this.#times.length;
    while (hole > 0) {
      const above = (hole - 1) >> 1;
      if ((this.#times[above] as number) <= time) break;
      this.#move(above, hole);
      hole = above;
    }
    this.#put(hole, time, owner, port);
  }

  /** Forgets the soonest. */
  drop(): void {
    const time = this.#times.pop();
    const owner = this.#owners.pop();
    const port = this.#ports.pop();
    const count = this.#times.length;
    if (time === undefined || count === 0) return;
    let hole = 0;
    for (let below = 1; below < count; below = 2 * hole + 1) {
      const right = below + 1;
      const isRight =
        right < count && (this.#times[right] as number) < (this.#times[below] as number);
      const least = isRight ? right : below;
      if ((this.#times[least] as number) >= time) break;
      this.#move(least, hole);
      hole = least;
    }
    this.#put(hole, time, owner as number, port as number);
  }

  #move(from: number, to: number): void {
    this.#put(
      to,
      this.#times[from] as number,
      this.#owners[from] as number,
      this.#ports[from] as number,
    );
  }

  #put(at: number, time: number, owner: number, port: number): void {
    this.#times[at] = time;
    this.#owners[at] = owner;
    this.#ports[at] = port;
  }
}
