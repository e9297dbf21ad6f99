// Rates: operations and frames per second, measured over the last second of running.
//
// A frame counts when its picture has been painted. It is missed when the screen was ready for one
// and there was none, because the worker was still at work, or because the browser called late.

interface Sample {
  readonly at: number;
  readonly operations: number;
  readonly painted: boolean;
}

const WINDOW_MS = 1000;
/** Of the intervals between two calls of the browser; its median is the screen's. */
const INTERVALS = 61;

export interface Rate {
  readonly operations: number;
  readonly frames: number;
  readonly missed: number;
}

export class Rates {
  readonly #samples: Sample[] = [];
  readonly #intervals: number[] = [];

  /** Running begins, or begins again. */
  restart(): void {
    this.#samples.length = 0;
  }

  /** The browser has called for a frame. */
  add(at: number, operations: number, painted: boolean): void {
    const samples = this.#samples;
    const last = samples.at(-1);
    if (last !== undefined) this.#intervals.push(at - last.at);
    if (this.#intervals.length > INTERVALS) this.#intervals.shift();
    samples.push({ at, operations, painted });
    while (samples.length > 2 && at - (samples[1] as Sample).at >= WINDOW_MS) samples.shift();
  }

  /** Of the last second; undefined as long as there is too little of it. */
  get rate(): Rate | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.at - first.at < WINDOW_MS / 4) {
      return undefined;
    }
    const seconds = (last.at - first.at) / 1000;
    const painted = this.#samples.slice(1).filter((sample) => sample.painted).length;
    const possible = Math.round((last.at - first.at) / this.#screenInterval());
    return {
      operations: (last.operations - first.operations) / seconds,
      frames: painted / seconds,
      missed: Math.max(0, possible - painted) / seconds,
    };
  }

  #screenInterval(): number {
    const sorted = [...this.#intervals].sort((a, b) => a - b);
    return Math.max(1, sorted[sorted.length >> 1] as number);
  }
}
