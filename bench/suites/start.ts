// Start: how long it takes until there is a first port, in fresh processes; and what a further
// manager or pool costs once everything is there.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { IPV4, PortManager, TCP } from "../../bindings/index.ts";
import { figureOf } from "../harness/measure.ts";
import type { RowKey, Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { digestOf } from "../harness/workloads.ts";
import type { FirstPort, Start } from "./first-port.ts";

const SCRIPT = fileURLToPath(new URL("./first-port.js", import.meta.url));
const SYSTEMS: readonly System[] = [
  "pool",
  "connector",
  "node",
  "node:net",
  "wasm",
  "bitmap",
  "get-port",
  "portfinder",
];
const CHILDREN = 21;
const TOTAL_MS_AT_MOST = 15;
const CONNECTOR_MS_AT_MOST = 35;
const BATCH = 1000;

export const startSuite: Suite = {
  title: "from the import to the first port, in processes of their own",
  run(session) {
    cold(session);
    further(session);
  },
};

function cold(session: Session): void {
  const systems = session.smoke ? SYSTEMS.slice(0, 2) : SYSTEMS;
  const starts = new Map(systems.map((system) => [system, [] as Start[]]));
  for (let round = 0; round < (session.smoke ? 1 : CHILDREN); round++) {
    for (const system of systems) starts.get(system)?.push(started(system));
  }
  for (const [system, parts] of starts) keepParts(session, system, parts);
  session.check({
    name: "import to first port, in ms",
    value: session.median(keyOf("cold: total"), "pool") / 1e6,
    atMost: TOTAL_MS_AT_MOST,
  });
  session.check({
    name: "import to connector, in ms",
    value: session.median(keyOf("cold: total"), "connector") / 1e6,
    atMost: CONNECTOR_MS_AT_MOST,
  });
}

function started(system: System): Start {
  return JSON.parse(execFileSync(process.execPath, [SCRIPT, system], { encoding: "utf8" }));
}

function keepParts(session: Session, system: System, starts: readonly Start[]): void {
  const keep = (part: string, of: (start: Start) => number): void => {
    const figure = figureOf(starts.map((start) => of(start) * 1e6));
    session.keep({ ...keyOf(`cold: ${part}`), system, operations: 1, ...figure });
  };
  const names: (keyof FirstPort)[] = Object.keys(starts[0]?.parts ?? {});
  for (const name of names) keep(name, ({ parts }) => parts[name] as number);
  // WebAssembly's parts are within those of the pool.
  if (system === "wasm") return;
  keep("total", ({ parts }) => Object.values(parts).reduce((sum, part) => sum + part));
  keep("CPU", ({ cpu }) => cpu);
}

/** One more manager, or pool, made and closed. */
function further(session: Session): void {
  const operations = session.smoke ? 10 : BATCH;
  const manager = PortManager.open();
  const firstPort = (ports: PortManager): string => {
    const pool = ports.pool({ networks: [IPV4], transport: TCP, address: "10.0.0.1" });
    const port = pool.take(0);
    pool.free(port);
    pool.close();
    return digestOf([port]);
  };
  const openManagers = (): void => {
    for (let index = 0; index < operations; index++) PortManager.open().close();
  };
  const openPools = (): void => {
    for (let index = 0; index < operations; index++) {
      manager.pool({ networks: [IPV4], transport: TCP, address: "10.0.0.1" }).close();
    }
  };
  const compare = (workload: string, run: () => void): void => {
    const digest = (): string => firstPort(manager);
    session.compare(keyOf(workload), [{ system: "pool", operations, digest, run }]);
  };
  compare("warm: open + close", openManagers);
  compare("warm: pool + close", openPools);
  manager.close();
}

function keyOf(workload: string): RowKey {
  return { suite: "start", workload };
}
