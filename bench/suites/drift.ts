// Drift: how much memory long churns take, in a process of its own, because memory that a core has
// once taken serves whatever comes next there, and would hide it if a churn needed more and more.
//
// `node drift.js BATCH ONE MANY [smoke]` prints one JSON object. A batch has BATCH operations; a
// tenth of the churn of one pool has ONE batches, that of many pools MANY.

import { type Churn, manyPools, onePool } from "../harness/lots.ts";
import { churnHandle } from "./churning.ts";
import { churnHandles } from "./churning-many.ts";

/** Bytes: in records, and of the whole linear memory. */
export interface Bytes {
  readonly used: number;
  readonly taken: number;
}

/** The memory of one churn before its first operation, and after each tenth. */
export interface Drift {
  readonly start: Bytes;
  readonly tenths: readonly Bytes[];
}

export interface Drifts {
  readonly onePool: Drift;
  readonly manyPools: Drift;
}

const TENTHS = 10;

function main([batch, one, many, smoke]: readonly string[]): void {
  const operations = Number(batch);
  const isSmoke = smoke === "smoke";
  const drifts: Drifts = {
    onePool: driftOf(churnHandle(onePool(operations, isSmoke)), Number(one)),
    manyPools: driftOf(churnHandles(manyPools(operations, Number(many), isSmoke)), Number(many)),
  };
  console.log(JSON.stringify(drifts));
}

function driftOf(churn: Churn, batches: number): Drift {
  const start = bytesOf(churn);
  const tenths = Array.from({ length: TENTHS }, () => {
    for (let batch = 0; batch < batches; batch++) {
      churn.prepare();
      churn.run();
    }
    return bytesOf(churn);
  });
  churn.end();
  return { start, tenths };
}

function bytesOf({ manager }: Churn): Bytes {
  if (manager === undefined) throw new Error("a churn of another system");
  const { used, taken } = manager.stats().memory;
  return { used, taken };
}

main(process.argv.slice(2));
