// Accepts: one port with a listener and very many accepted connections, all TupleOnly. What a bind
// to that port costs, or one connection more, must not depend on how many there are.

import type { Benchmark } from "../harness/benchmarks.ts";
import type { Turns } from "../harness/measure.ts";
import type { Place, Stage } from "../harness/setup.ts";
import { digestOf } from "../harness/workloads.ts";
import { type AcceptSide, PROBES, type ProbeName, reference, words } from "./accept-sides.ts";
import { runOnce, type Stint, stintOf } from "./takers.ts";

const BENCH = "accepts";
const BATCH = 1000;
/** Enough for digests, and for the reference model where it walks over a million. */
const FEW = 10;

interface Row {
  /** Nanoseconds of gVisor's own manager with a million. */
  readonly recorded: number;
  /** How often what a thousand cost a million may cost at most. */
  readonly atMost: number;
  /** Does the reference model look at every connection? */
  readonly isWalk: boolean;
}

const ROWS: Readonly<Record<ProbeName, Row>> = {
  "bind-flags0-refused": { recorded: 24_030_000, atMost: 2, isWalk: false },
  "bind-flags4-ok+release": { recorded: 24_930_000, atMost: 2, isWalk: true },
  "new-tuple-ReservePort+release": { recorded: 16_750_000, atMost: 6, isWalk: true },
  "new-tuple-ReserveTuple+release": { recorded: 191, atMost: 6, isWalk: false },
};

/** Nanoseconds of gVisor's own manager to accept one of a million. */
const RECORDED_ACCEPT = 1178;

export const acceptsBenchmark: Benchmark = {
  title: "Accepts: one port with a listener and a thousand or a million accepted connections",
  run(stage) {
    crowd(stage, "1k-tuples", stage.smoke ? 100 : 1000);
    crowd(stage, "1M-tuples", stage.smoke ? 2000 : 1_000_000);
    for (const name of PROBES) {
      const of = (size: string): number => stage.median(BENCH, `${size}/${name}`, "words");
      const value = of("1M-tuples") / of("1k-tuples");
      const { atMost } = ROWS[name];
      stage.judge({ name: `${BENCH}/${name}: a million over a thousand`, value, atMost });
    }
  },
};

/** All rows with so many connections. */
function crowd(stage: Stage, size: string, count: number): void {
  const isMany = count > 1000;
  const ours = new Filled(words, count);
  const model = new Filled(reference, count);
  accepting(stage, { bench: BENCH, row: `${size}/accept` }, ours, model, isMany);
  for (const name of PROBES) {
    const place = { bench: BENCH, row: `${size}/${name}` };
    const { isWalk, recorded } = ROWS[name];
    const slow = isWalk && isMany;
    const stints = [
      probing(ours.side, name, BATCH),
      { ...probing(model.side, name, slow ? FEW : BATCH), ...(slow ? { most: 3 } : {}) },
    ];
    stage.compare(place, stints, { rounds: 100, milliseconds: 200 });
    if (isMany) stage.keepOne(place, "gvisor (recorded)", recorded, { operations: FEW });
  }
  ours.side.close();
  model.side.close();
}

/** A side that has accepted so many connections, or is about to. */
class Filled {
  readonly count: number;
  side: AcceptSide;
  readonly #open: () => AcceptSide;

  constructor(open: () => AcceptSide, count: number) {
    this.#open = open;
    this.count = count;
    this.side = open();
  }

  /** Accepting all of them, from none; leaves them held. */
  accepting(): Stint {
    const prepare = (): void => {
      this.side.close();
      this.side = this.#open();
    };
    const run = (): void => this.side.accept(this.count);
    const seen = (): string => digestOf(this.side.stats());
    return stintOf(this.side.system, this.count, { prepare, run, seen });
  }
}

function accepting(stage: Stage, place: Place, ours: Filled, model: Filled, isMany: boolean): void {
  const turns: Turns = isMany ? { rounds: 3 } : { rounds: 100, milliseconds: 200 };
  if (isMany) {
    stage.compare(place, [ours.accepting()], turns);
    // A million take the reference model some seconds.
    runOnce(stage, place, model.accepting());
    stage.keepOne(place, "gvisor (recorded)", RECORDED_ACCEPT, { operations: 1_000_001 });
  } else stage.compare(place, [ours.accepting(), model.accepting()], turns);
}

function probing(side: AcceptSide, name: ProbeName, operations: number): Stint {
  const probe = side.probes[name];
  const prepare = (): void => {};
  const run = (): void => void probe(operations);
  // Whether they pass, and that nothing is left of them.
  const seen = (): string => digestOf([probe(FEW), ...side.stats()]);
  return { ...stintOf(side.system, operations, { prepare, run, seen }), digest: seen };
}
