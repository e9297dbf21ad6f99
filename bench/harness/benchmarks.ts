// Benchmarks: all that can be run, by name, in the order of a full run.

import { acceptsBenchmark } from "../suites/accepts.ts";
import { callsBenchmark } from "../suites/calls.ts";
import { churnBenchmark } from "../suites/churn.ts";
import { companyBenchmark } from "../suites/company.ts";
import { connectBenchmark } from "../suites/connect.ts";
import { connectorBenchmark } from "../suites/connector.ts";
import { cooldownBenchmark } from "../suites/cooldown.ts";
import { ephemeralBenchmark } from "../suites/ephemeral.ts";
import { explicitBenchmark } from "../suites/explicit.ts";
import { fillBenchmark } from "../suites/fill.ts";
import { limitsBenchmark } from "../suites/limits.ts";
import { linuxBenchmark } from "../suites/linux.ts";
import { memoryBenchmark } from "../suites/memory.ts";
import { packagesBenchmark } from "../suites/packages.ts";
import { policiesBenchmark } from "../suites/policies.ts";
import { sizesBenchmark } from "../suites/sizes.ts";
import { startBenchmark } from "../suites/start.ts";
import { throughputBenchmark } from "../suites/throughput.ts";
import type { Stage } from "./setup.ts";

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
