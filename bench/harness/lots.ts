// Lots: what is drawn for a churn: which held port goes, where the search for another one starts,
// and which pool takes it. And what a system that churns is.

import { SeededRandom } from "../../bindings/core/random.ts";
import type { PortManager, PortRange } from "../../bindings/index.ts";
import type { Work } from "./measure.ts";
import type { System } from "./setup.ts";
import { digestOf, FIRST, LAST } from "./workloads.ts";

/** How much churns. */
export interface Size {
  readonly range: PortRange;
  /** Ports that are held all the time. */
  readonly live: number;
  readonly pools: number;
  /** Operations of one batch, and batches after which other pools are favoured. */
  readonly batch: number;
  readonly phase: number;
}

/** A system that churns. Each batch goes on where the last one has left it. */
export interface Churn extends Work {
  readonly system: System;
  /** Where memory is told, and nothing else. */
  readonly manager: PortManager | undefined;
  prepare(): void;
  /** Of all ports that are held now, which depend on every answer so far. */
  digest(): string;
  /** Gives back the memory. Not `close`: there are several measurements of one churn. */
  end(): void;
}

const SHARE = 0.9;
const FAVOUR = 5;

/** Nine tenths of the range, held by one pool. */
export function onePool(batch: number, smoke: boolean): Size {
  const range = { first: FIRST, last: smoke ? FIRST + 399 : LAST };
  const live = Math.round((range.last - range.first + 1) * SHARE);
  return { range, live, pools: 1, batch, phase: 1 };
}

/** 60 ports for each pool, about as many as make a short list into a bitmap. */
export function manyPools(batch: number, phase: number, smoke: boolean): Size {
  const pools = smoke ? 10 : 1000;
  return { range: { first: FIRST, last: LAST }, live: pools * 60, pools, batch, phase };
}

/** The numbers of one batch; the same for all churns of one size. */
export class Lots {
  readonly victims: Uint32Array;
  readonly offsets: Uint32Array;
  readonly takers: Uint16Array;
  readonly #size: Size;
  readonly #random = new SeededRandom(5);
  #batches = 0;

  constructor(size: Size) {
    this.#size = size;
    this.victims = new Uint32Array(size.batch);
    this.offsets = new Uint32Array(size.batch);
    this.takers = new Uint16Array(size.batch);
  }

  draw(): void {
    const random = this.#random;
    const { live, pools, batch, phase } = this.#size;
    const half = pools >> 1;
    const favoured = Math.floor(this.#batches++ / phase) % 2 === 0 ? 0 : half;
    for (let at = 0; at < batch; at++) {
      this.victims[at] = random.next() % live;
      this.offsets[at] = random.next() >>> 1;
      if (pools === 1) continue;
      const isAnyone = random.next() % FAVOUR === 0;
      this.takers[at] = isAnyone ? random.next() % pools : favoured + (random.next() % half);
    }
  }
}

/** A churn that runs a batch by `runBatch` and holds `ports`. */
export function churnOf(
  system: System,
  size: Size,
  runBatch: (lots: Lots) => void,
  ports: Iterable<number>,
  manager?: PortManager,
): Churn {
  const lots = new Lots(size);
  return {
    system,
    manager,
    operations: size.batch,
    prepare: () => lots.draw(),
    run: () => runBatch(lots),
    digest: () => digestOf(ports),
    end: () => manager?.close(),
  };
}
