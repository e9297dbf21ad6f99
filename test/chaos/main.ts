// Chaos: processes on one address, with blocks leased in a store, while processes are stopped,
// stalled and killed, and the store is restarted, frozen and slow. In the end no block may have had
// two holders at one time. `npm run chaos -- --store redis --minutes 10`

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type StoreServer, startEtcd } from "../support/servers.ts";
import { RedisPair } from "./failover.ts";
import { runKills } from "./kills.ts";
import type { Assignment, StoreName, WorkerCounts } from "./plan.ts";
import { SlowProxy } from "./proxy.ts";
import { judge } from "./uses.ts";

const WORKERS = 6;
const BLOCKS = 10;
const RANGE = { first: 40_960, last: 40_960 + 64 * BLOCKS - 1 };
const WORKER = fileURLToPath(new URL("./worker.js", import.meta.url));
const TTL: Record<StoreName, number> = { host: 600, redis: 600, etcd: 2000 };
const REST_MS = 100;

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "redis" },
    minutes: { type: "string", default: "1" },
    /** The control: keepers do not look at their clocks. */
    broken: { type: "boolean", default: false },
    /** Instead: so many threads terminated, and processes killed. */
    kills: { type: "string" },
    /** With 0, the control of a split: both servers go on. */
    "min-replicas": { type: "string", default: "1" },
    /** Only failovers of the store, and no other fault. */
    failovers: { type: "boolean", default: false },
  },
});
const store = values.store as StoreName;
const minutes = Number(values.minutes);
if (!(store in TTL) || !(minutes > 0)) {
  console.error(
    "usage: npm run chaos -- --store host|redis|etcd --minutes N [--broken] [--failovers] " +
      "[--min-replicas 0], or --store … --kills THREADS,PROCESSES",
  );
  process.exit(2);
}
const ttl = TTL[store];
const octet = (): number => 1 + Math.floor(Math.random() * 250);
const source = `127.${octet()}.${octet()}.${octet()}`;

const peers = new Set<Socket>();
const target = createServer((socket) => {
  peers.add(socket);
  socket.on("error", () => {}).on("close", () => peers.delete(socket));
  socket.resume();
});

const folder = mkdtempSync(join(tmpdir(), "portwarden-chaos-"));
const workers: ChildProcess[] = [];
const countsByWorker = new Map<ChildProcess, WorkerCounts>();
const faults: Record<string, number> = {};
let isOver = false;
let server: Pick<StoreServer, "port" | "kill" | "restart"> | undefined;
let pair: RedisPair | undefined;
let proxy: SlowProxy | undefined;

try {
  if (values.kills === undefined) await run();
  else await runKills(store, values.kills.split(",").map(Number));
} finally {
  isOver = true;
  for (const worker of workers) worker.kill("SIGKILL");
  proxy?.close();
  await server?.kill();
  target.close();
  for (const socket of peers) socket.destroy();
  rmSync(folder, { recursive: true, force: true });
}
// Clients of the store may have connections that are open.
if (values.kills !== undefined) process.exit();

async function run(): Promise<void> {
  target.listen({ port: 0, host: "127.0.0.1", backlog: 4096 });
  await once(target, "listening");
  if (store === "redis") server = pair = await RedisPair.start(Number(values["min-replicas"]));
  if (store === "etcd") server = await startEtcd();
  if (server !== undefined) proxy = await SlowProxy.to(server.port);
  for (let index = 0; index < WORKERS; index++) startWorker();
  // A fresh server grants nothing for a term.
  if (store === "redis") await pause(ttl + 1500);
  // They take a while to start; no fault begins before each has reported what it does.
  while (countsByWorker.size < WORKERS) await pause(50);
  const end = performance.now() + minutes * 60_000;
  while (performance.now() < end) {
    await pause(200 + Math.random() * 600);
    if (values.broken) await stopLong();
    else await anyFault();
  }
  for (const worker of workers) worker.kill("SIGCONT");
  await pause(500);
  report();
}

function startWorker(): void {
  const log = join(folder, `${workers.length}-${Date.now()}`);
  const { port } = target.address() as AddressInfo;
  const assignment: Assignment = {
    ...{ store, ttl, source, port, log },
    ...{ storePort: proxy?.port ?? 0, rest: REST_MS, range: RANGE, isBroken: values.broken },
    blocks: { first: RANGE.first >> 6, last: RANGE.last >> 6 },
  };
  const worker = fork(WORKER, [JSON.stringify(assignment)], { stdio: "inherit" });
  workers.push(worker);
  worker.on("message", (counts) => countsByWorker.set(worker, counts as WorkerCounts));
  worker.on("exit", () => {
    workers.splice(workers.indexOf(worker), 1);
    if (!isOver) startWorker();
  });
}

/** For the control: one is stopped until others have its blocks. */
async function stopLong(): Promise<void> {
  const worker = anyWorker();
  faults.stop = (faults.stop ?? 0) + 1;
  worker?.kill("SIGSTOP");
  await pause(4 * ttl);
  worker?.kill("SIGCONT");
}

function anyWorker(): ChildProcess | undefined {
  return workers[Math.floor(Math.random() * workers.length)];
}

async function anyFault(): Promise<void> {
  const worker = anyWorker();
  const kinds = values.failovers ? [] : ["stop", "stop", "stall", "stall", "kill"];
  if (proxy !== undefined && !values.failovers) kinds.push("freeze", "slow");
  if (server !== undefined && Math.random() < 0.2) kinds.push("restart");
  if (pair !== undefined && (Math.random() < 0.1 || values.failovers)) {
    kinds.push("failover", "split");
  }
  if (kinds.length === 0) return;
  const kind = kinds[Math.floor(Math.random() * kinds.length)] as string;
  // Killed holders leave blocks for two terms: not all at once.
  if (worker === undefined || (kind === "kill" && Math.random() < 0.7)) return;
  faults[kind] = (faults[kind] ?? 0) + 1;
  const ms = Math.random() ** 2 * 5 * ttl;
  if (kind === "stop") {
    worker.kill("SIGSTOP");
    setTimeout(() => worker.kill("SIGCONT"), ms);
  } else if (kind === "stall") worker.send(ms, () => {});
  else if (kind === "kill") worker.kill("SIGKILL");
  else if (kind === "freeze") proxy?.freeze(Math.random() ** 2 * 3 * ttl);
  else if (kind === "slow") proxy?.delay(Math.random() < 0.5 ? 0 : Math.random() * ttl * 0.4);
  else if (kind === "restart") await server?.restart();
  else if (proxy !== undefined) await pair?.failOver(proxy, kind === "split");
}

function report(): void {
  const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));
  const lines = texts.flatMap((text) => text.split("\n"));
  const { uses, holdings, twice } = judge(lines.filter((line) => !line.startsWith("port")));
  const connections = judge(lines.filter((line) => line.startsWith("port")));
  const sum = (what: keyof WorkerCounts): number =>
    [...countsByWorker.values()].reduce((total, counts) => total + counts[what], 0);
  const told = { opened: sum("opened"), refused: sum("refused"), failed: sum("failed") };
  const found = { uses, holdings, twice: twice.length, sameTuple: connections.twice.length };
  console.log(
    JSON.stringify({ store, minutes, faults, ...told, conflicts: sum("conflicts"), ...found }),
  );
  const wrong = [...twice, ...connections.twice];
  for (const line of wrong.slice(0, 5)) console.log(line);
  if (wrong.length > 0 || uses === 0) process.exitCode = 1;
}
