// A clock for tests and simulations: it goes on only when a call moves it.

import type { Clock, ClockTimer } from "../../../bindings/node/blocks/clock.ts";

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly call: () => void;
}

export class FakeClock implements Clock {
  monotonicNow = 1000;
  wallNow = 1_700_000_000_000;
  #timers: Timer[] = [];
  #order = 0;

  monotonic(): number {
    return this.monotonicNow;
  }

  wall(): number {
    return this.wallNow;
  }

  after(ms: number, call: () => void): ClockTimer {
    const timer = { due: this.monotonicNow + ms, order: this.#order++, call };
    this.#timers.push(timer);
    const cancel = (): void => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
    return { keepAlive: () => {}, cancel };
  }

  /** Lets both clocks go on, and calls what is due meanwhile, in order. */
  async advance(ms: number): Promise<void> {
    const end = this.monotonicNow + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.due <= end);
      const [next] = due.sort((a, b) => a.due - b.due || a.order - b.order);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#goTo(Math.max(next.due, this.monotonicNow));
      next.call();
      // Answers of stores are promises.
      await new Promise((done) => setImmediate(done));
    }
    this.#goTo(end);
    await new Promise((done) => setImmediate(done));
  }

  #goTo(time: number): void {
    this.wallNow += time - this.monotonicNow;
    this.monotonicNow = time;
  }
}
