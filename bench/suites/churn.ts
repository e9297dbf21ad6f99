// Churn: ports that come and go for a long time. Neither what a port costs nor the memory may
// drift.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Benchmark } from "../harness/benchmarks.ts";
import { type Churn, manyPools, onePool } from "../harness/lots.ts";
import { type Measured, measureInTurn } from "../harness/measure.ts";
import type { Stage, System } from "../harness/setup.ts";
import { churnBitmap, churnHandle, churnReference, churnSet, churnWords } from "./churning.ts";
import { churnBitmaps, churnHandles } from "./churning-many.ts";
import type { Bytes, Drift, Drifts } from "./drift.ts";

const BATCH = 10000;
const WORDS_BATCH = 1000;
/** Of each tenth. Before them come a tenth as many that are not measured. */
const BATCHES = 100;
/** The reference model takes tens of microseconds for each operation, so it has fewer of them. */
const NAIVE_BATCHES = 20;
const MANY_BATCHES = 20;
const TENTHS = 10;
const PERCENT = 90;

const SLOWER_AT_MOST = 1.25;
const MEMORY_AT_MOST = 1;
const MANY_USED_AT_MOST = 1.01;

export const churnBenchmark: Benchmark = {
  title: "churn: take, and free of a random held port; one pool with 90 % of 16000..65535 held",
  run(stage) {
    handlesForLong(stage);
    wordsForLong(stage);
    referenceForAWhile(stage);
    poolsForLong(stage);
    memory(stage);
  },
};

// ── Time ──────────────────────────────────────────────────────────────────────────────────

function handlesForLong(stage: Stage): void {
  const size = onePool(batchOf(stage, BATCH), stage.smoke);
  const name = nameOf(BATCH * BATCHES * TENTHS);
  byTenths(stage, name, "handles", [churnHandle(size), churnBitmap(size)]);
}

function wordsForLong(stage: Stage): void {
  const size = onePool(batchOf(stage, WORDS_BATCH), stage.smoke);
  const name = nameOf(WORDS_BATCH * BATCHES * TENTHS);
  const churns = [churnWords(size), churnHandle(size), churnBitmap(size), churnSet(size)];
  byTenths(stage, name, "words", churns);
}

function referenceForAWhile(stage: Stage): void {
  const size = onePool(batchOf(stage, WORDS_BATCH), stage.smoke);
  const churns = [churnReference(size), churnHandle(size), churnWords(size), churnBitmap(size)];
  sample(stage, nameOf(WORDS_BATCH * NAIVE_BATCHES), churns, NAIVE_BATCHES, PERCENT);
  end(churns);
}

function poolsForLong(stage: Stage): void {
  stage.heading("churn over 1,000 destinations that hold 60,000 ports together");
  const size = manyPools(batchOf(stage, BATCH), MANY_BATCHES, stage.smoke);
  const churns = [churnHandles(size), churnBitmaps(size)];
  const batches = MANY_BATCHES * TENTHS;
  sample(stage, `1,000 destinations, ${nameOf(BATCH * batches)}`, churns, batches);
  end(churns);
}

/**
 * Judges the last tenth against the second. The machine may be slower by then, so what is judged is
 * how many times as long as the JS bitmap, which has nothing that could drift, a system takes.
 */
function byTenths(stage: Stage, name: string, system: System, churns: readonly Churn[]): void {
  const [ours, bitmap] = [system, "js-bitmap"].map((of) =>
    churns.find((churn) => churn.system === of),
  );
  const ratios: number[] = [];
  for (let tenth = 1; tenth <= TENTHS; tenth++) {
    const measured = sample(stage, `${name}, tenth ${tenth}`, churns, BATCHES, PERCENT);
    ratios.push(measured.ratio(ours as Churn, bitmap as Churn));
  }
  end(churns);
  const medianOf = (tenth: number): number =>
    stage.median("churn", `${name}, tenth ${tenth}`, system, PERCENT);
  const slower = { bench: "churn", row: `${name}, last tenth over second`, occupancy: PERCENT };
  stage.keepOne(slower, system, medianOf(TENTHS) / medianOf(2), { unit: "ratio" });
  stage.judge({
    name: `${system} over js-bitmap, ${name}: last tenth over second`,
    value: (ratios[TENTHS - 1] as number) / (ratios[1] as number),
    atMost: SLOWER_AT_MOST,
  });
}

function sample(
  stage: Stage,
  row: string,
  churns: readonly Churn[],
  rounds: number,
  occupancy: number | null = null,
): Measured {
  const measured = measureInTurn({ rounds: stage.smoke ? 1 : rounds }, churns);
  const digests = new Set(churns.map((churn) => churn.digest()));
  if (digests.size > 1) throw new Error(`churn/${row}: the digests differ`);
  const [digest = null] = digests;
  for (const churn of churns) {
    const { system, operations } = churn;
    const figure = measured.figure(churn);
    stage.keep({ bench: "churn", row, occupancy, system, operations, digest, ...figure });
  }
  return measured;
}

// ── Memory ────────────────────────────────────────────────────────────────────────────────

function memory(stage: Stage): void {
  stage.heading("memory of these churns, in a process of its own");
  const { onePool: one, manyPools: many } = drifts(stage);
  keepMemory(stage, "one pool", one, 1, MEMORY_AT_MOST);
  // After two tenths each half of the pools has taken most ports once. How many have a bitmap, and
  // not a list, changes a little by chance.
  keepMemory(stage, "1,000 pools", many, 2, MANY_USED_AT_MOST);
}

function drifts({ smoke }: Stage): Drifts {
  const script = fileURLToPath(new URL("./drift.js", import.meta.url));
  const numbers = smoke ? [100, 1, 1, "smoke"] : [BATCH, BATCHES, MANY_BATCHES];
  const args = [script, ...numbers.map(String)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

function keepMemory(
  stage: Stage,
  name: string,
  { start, tenths }: Drift,
  base: number,
  usedAtMost: number,
): void {
  const before = tenths[base - 1] as Bytes;
  const last = tenths.at(-1) as Bytes;
  for (const kind of ["taken", "used"] as const) {
    const keep = (when: string, bytes: Bytes): void => {
      const place = { bench: "churn", row: `${kind}, ${name}, ${when}` };
      stage.keepOne(place, "handles", bytes[kind], { unit: "bytes" });
    };
    keep("start", start);
    keep(`tenth ${base}`, before);
    keep("end", last);
    stage.judge({
      name: `memory ${kind}, ${name}: end over tenth ${base}`,
      value: last[kind] / before[kind],
      atMost: kind === "used" ? usedAtMost : MEMORY_AT_MOST,
    });
  }
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function batchOf({ smoke }: Stage, batch: number): number {
  return smoke ? 100 : batch;
}

function nameOf(operations: number): string {
  return `${operations.toLocaleString("en-US")} operations`;
}

function end(churns: readonly Churn[]): void {
  for (const churn of churns) churn.end();
}
