// Throughput: what the size of a batch does to the price of a port, half of the range held, TCP.

import type { Benchmark } from "../harness/benchmarks.ts";
import { sceneOf } from "../harness/range.ts";
import { batch, jsBatch } from "./take-many.ts";

const SIZES = [1, 4, 16, 64, 256, 1024] as const;
const OCCUPANCY = 50;

export const throughputBenchmark: Benchmark = {
  title: "takeMany + freeMany, TCP, 50 % held, by size of the batch",
  run: (stage) => {
    const scene = sceneOf({ occupancy: OCCUPANCY, smoke: stage.smoke });
    for (const size of SIZES) {
      if (size > scene.free) continue;
      const place = { bench: "throughput", row: `batch-${size}`, occupancy: OCCUPANCY };
      const turns = { rounds: 2000, milliseconds: 150 };
      stage.compare(place, [batch(scene, size), jsBatch(scene, size)], turns);
    }
  },
};
