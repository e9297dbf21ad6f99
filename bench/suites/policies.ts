// Policies: what each way to select a port costs on an open pool, half full and nearly full.

import type { SelectionName } from "../../bindings/index.ts";
import type { Benchmark } from "../harness/benchmarks.ts";
import { rangeFor, scattered, shareOf } from "../harness/local-range.ts";
import type { Stage } from "../harness/setup.ts";
import { digestOf } from "../harness/workloads.ts";
import { selectingSide } from "./pools.ts";
import { picksOf } from "./sockets.ts";

const NAMES: readonly SelectionName[] = [
  "random",
  "random-retry",
  "hash",
  "double-hash",
  "random-increments",
  "sequential",
];
const PERCENTS = [50, 99];
const TURNS = { rounds: 30 };

export const policiesBenchmark: Benchmark = {
  title: "take + free of a pool with a destination, TCP, 28,232 ports, by selection policy",
  run,
};

function run(stage: Stage): void {
  const range = rangeFor(stage.smoke);
  const order = scattered(range);
  const scenes = NAMES.flatMap((row) =>
    PERCENTS.map((occupancy) => {
      const side = selectingSide(row, range, shareOf(order, occupancy));
      const digest = (): string => digestOf(picksOf(side, side.operations));
      const contender = { system: "handles", ...side, digest } as const;
      return { place: { bench: "policies", row, occupancy }, contenders: [contender] };
    }),
  );
  stage.compareAll(scenes, TURNS);
}
