// Start: how long it takes until there is a first port, in fresh processes; and what a further
// manager or pool costs once everything is there.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { IPV4, PortManager, TCP } from "../../bindings/index.ts";
import { ReferencePortManager } from "../../test/models/reference-manager.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { JsSet } from "../baselines/js-set.ts";
import type { Benchmark } from "../harness/benchmarks.ts";
import { figureOf } from "../harness/measure.ts";
import type { Contender, Stage, System } from "../harness/setup.ts";
import { digestOf, FIRST, LAST } from "../harness/workloads.ts";
import type { FirstPort } from "./first-port.ts";

const SCRIPT = fileURLToPath(new URL("./first-port.js", import.meta.url));
const SYSTEMS: readonly System[] = ["handles", "wasm", "js-bitmap", "get-port", "portfinder"];
const CHILDREN = 15;
const TOTAL_MS_AT_MOST = 3;
const BATCH = 1000;
const KEY = { networks: [IPV4], transport: TCP, address: "10.0.0.1" } as const;
const NAIVE = {
  networks: [4],
  transport: 6,
  address: "10.0.0.1",
  port: 0,
  flags: 0,
  device: 0,
  destination: { address: "", port: 0 },
};

export const startBenchmark: Benchmark = {
  title: "start: from the import to the first port, in processes of their own",
  run(stage) {
    cold(stage);
    furtherManagers(stage);
    furtherPools(stage);
  },
};

// ── Cold ──────────────────────────────────────────────────────────────────────────────────

function cold(stage: Stage): void {
  const systems = stage.smoke ? SYSTEMS.slice(0, 1) : SYSTEMS;
  const starts = new Map(systems.map((system) => [system, [] as FirstPort[]]));
  for (let round = 0; round < (stage.smoke ? 1 : CHILDREN); round++) {
    for (const system of systems) starts.get(system)?.push(started(system));
  }
  for (const [system, parts] of starts) keepParts(stage, system, parts);
  stage.judge({
    name: "import to first port, in ms",
    value: stage.median("start", "cold: total", "handles") / 1e6,
    atMost: TOTAL_MS_AT_MOST,
  });
}

function started(system: System): FirstPort {
  return JSON.parse(execFileSync(process.execPath, [SCRIPT, system], { encoding: "utf8" }));
}

function keepParts(stage: Stage, system: System, starts: readonly FirstPort[]): void {
  const keep = (part: string, of: (start: FirstPort) => number): void => {
    const figure = figureOf(starts.map((start) => of(start) * 1e6));
    stage.keep({ bench: "start", row: `cold: ${part}`, system, operations: 1, ...figure });
  };
  for (const part of Object.keys(starts[0] ?? {})) keep(part, (start) => start[part] as number);
  // WebAssembly's parts are within those of `handles`.
  if (system === "wasm") return;
  keep("total", (start) => Object.values(start).reduce((sum, part) => sum + part));
}

// ── Warm ──────────────────────────────────────────────────────────────────────────────────

function furtherManagers(stage: Stage): void {
  stage.heading("one more of what keeps a range of its own: made, and given back");
  const make = (system: System, firstPort: () => number, run: (count: number) => void): Contender =>
    contender(stage, system, firstPort, run);
  stage.compare({ bench: "start", row: "warm: open + close" }, [
    make("handles", firstOfManager, openManagers),
    make("reference", () => new ReferencePortManager().reservePort(NAIVE, 0), makeReferences),
    make("js-set", () => new JsSet(FIRST, LAST).take(0), makeSets),
    make("js-bitmap", () => new JsBitmap(FIRST, LAST).take(0), makeBitmaps),
  ]);
}

function furtherPools(stage: Stage): void {
  const manager = PortManager.open();
  const one = contender(
    stage,
    "handles",
    () => {
      const pool = manager.pool(KEY);
      const port = pool.take(0);
      pool.free(port);
      pool.close();
      return port;
    },
    (count) => openPools(manager, count),
  );
  stage.compare({ bench: "start", row: "warm: pool + close" }, [one]);
  manager.close();
}

function contender(
  stage: Stage,
  system: System,
  firstPort: () => number,
  run: (count: number) => void,
): Contender {
  const operations = stage.smoke ? 10 : BATCH;
  return {
    system,
    operations,
    digest: () => digestOf([firstPort()]),
    run: () => run(operations),
  };
}

function firstOfManager(): number {
  using manager = PortManager.open();
  return manager.pool(KEY).take(0);
}

function openManagers(count: number): void {
  for (let index = 0; index < count; index++) PortManager.open().close();
}

function openPools(manager: PortManager, count: number): void {
  for (let index = 0; index < count; index++) {
    manager.pool({ networks: [IPV4], transport: TCP, address: "10.0.0.1" }).close();
  }
}

/** Where the last object that was made stays, so that the making cannot be left out. */
let made: unknown;

function makeReferences(count: number): void {
  for (let index = 0; index < count; index++) made = new ReferencePortManager();
}

function makeSets(count: number): void {
  for (let index = 0; index < count; index++) made = new JsSet(FIRST, LAST);
}

function makeBitmaps(count: number): void {
  for (let index = 0; index < count; index++) made = new JsBitmap(FIRST, LAST);
  if (made === undefined) throw new Error("nothing was made");
}
