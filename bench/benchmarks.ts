// Benchmarks: all that can be run, by name, in the order of a full run.

import { acceptsBenchmark } from "./accepts.ts";
import { callsBenchmark } from "./calls.ts";
import { churnBenchmark } from "./churn.ts";
import { companyBenchmark } from "./company.ts";
import { connectBenchmark } from "./connect.ts";
import { connectorBenchmark } from "./connector.ts";
import { cooldownBenchmark } from "./cooldown.ts";
import { ephemeralBenchmark } from "./ephemeral.ts";
import { explicitBenchmark } from "./explicit.ts";
import { fillBenchmark } from "./fill.ts";
import { limitsBenchmark } from "./limits.ts";
import { linuxBenchmark } from "./linux.ts";
import { memoryBenchmark } from "./memory.ts";
import { packagesBenchmark } from "./packages.ts";
import { policiesBenchmark } from "./policies.ts";
import { sizesBenchmark } from "./sizes.ts";
import type { Stage } from "./stage.ts";
import { startBenchmark } from "./start.ts";
import { throughputBenchmark } from "./throughput.ts";

export interface Benchmark {
  readonly title: string;
  run(stage: Stage): void | Promise<void>;
}

export const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  ephemeral: ephemeralBenchmark,
  explicit: explicitBenchmark,
  throughput: throughputBenchmark,
  fill: fillBenchmark,
  connect: connectBenchmark,
  accepts: acceptsBenchmark,
  company: companyBenchmark,
  churn: churnBenchmark,
  memory: memoryBenchmark,
  start: startBenchmark,
  calls: callsBenchmark,
  sizes: sizesBenchmark,
  packages: packagesBenchmark,
  linux: linuxBenchmark,
  limits: limitsBenchmark,
  policies: policiesBenchmark,
  cooldown: cooldownBenchmark,
  connector: connectorBenchmark,
};
