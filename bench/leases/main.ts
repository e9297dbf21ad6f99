// Eight processes of two threads each on four addresses of 4,096 ports, with skewed load that moves
// on: undivided, divided by hand, and with leased blocks; beside one process that has all of it, in
// a network namespace. `npm run bench:leases`, or with shares and methods: `-- 0.9 leased`

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { runInNamespace } from "../../bindings/node/host/namespace.ts";
import type { Counts, Job } from "./job.ts";

const PORTS = 4096;
const FIRST = 40_960;
const SOURCES = 4;
const PROCESSES = 8;
const THREADS = 2;
const FILL_MS_MAX = 60_000;
/** In which the load moves from one worker to the next, and in so many steps; all is measured. */
const MOVE_MS = 24_000;
const STEPS = 40;
const PROCESS = fileURLToPath(new URL("./process.js", import.meta.url));
const SHARES = [0.5, 0.75, 0.9, 1];
const TIME_MS_MAX = 3_600_000;

/** How the ports are divided among the processes. */
const METHODS = ["one process", "undivided", "by hand", "leased"] as const;
type Method = (typeof METHODS)[number];

interface Row {
  readonly method: Method;
  readonly share: number;
  /** Connections that are open at the end, of those that there should be. */
  readonly reached: number;
  readonly medianUs: number;
  readonly p99Us: number;
  readonly conflicts: number;
  readonly failed: number;
  readonly spilled: number;
}

const given = process.argv.slice(2);
if (!given.includes("inside")) {
  const script = fileURLToPath(import.meta.url);
  const portRange = { first: FIRST, last: FIRST + PORTS - 1 };
  const options = { portRange, timeoutMs: TIME_MS_MAX };
  const { code, stdout, stderr } = await runInNamespace([script, "inside", ...given], options);
  console.log(stdout + stderr);
  process.exit(code ?? 1);
}
const shares = given.map(Number).filter((share) => share > 0);
const methods = METHODS.filter((method) => given.includes(method));

const peers = new Set<Socket>();
const server = createServer((socket) => {
  peers.add(socket);
  socket.on("error", () => {}).on("close", () => peers.delete(socket));
  socket.resume();
});
server.listen({ port: 9000, host: "127.0.0.1", backlog: 8192 });
await once(server, "listening");
const { port } = server.address() as AddressInfo;

for (const share of shares.length > 0 ? shares : SHARES)
  for (const method of methods.length > 0 ? methods : METHODS) show(await run(method, share));
server.close();
for (const socket of peers) socket.destroy();

async function run(method: Method, share: number): Promise<Row> {
  const count = method === "one process" ? 1 : PROCESSES;
  const third = METHODS.indexOf(method) * SHARES.length + 1 + Math.round(share * 50);
  const sources = Array.from({ length: SOURCES }, (_, index) => `127.9.${third}.${index + 1}`);
  const workers = Array.from({ length: count }, (_, index) => start(method, sources, index));
  await Promise.all(workers.map((worker) => once(worker, "spawn")));
  const total = Math.floor(PORTS * SOURCES * share);
  assign(workers, total, 0);
  await reaching(total, FILL_MS_MAX);
  for (const worker of workers) worker.send({ measure: true });
  // The load moves on: the thread with most has half of it, and that with least has most.
  for (let step = 1; step <= STEPS; step++) {
    assign(workers, total, step / STEPS);
    await pause(MOVE_MS / STEPS);
  }
  const counts = (await Promise.all(workers.map(tell))).flat();
  const ended = workers.map((worker) => once(worker, "exit"));
  for (const worker of workers) worker.kill("SIGKILL");
  await Promise.all(ended);
  await reaching(0, FILL_MS_MAX, (open) => open === 0);
  return rowOf(method, share, total, counts);
}

function start(method: Method, sources: readonly string[], index: number): ChildProcess {
  const own = PORTS / PROCESSES;
  const first = method === "by hand" ? FIRST + index * own : FIRST;
  const range = { first, last: first + (method === "by hand" ? own : PORTS) - 1 };
  const threads = method === "one process" ? 1 : THREADS;
  const job: Job = {
    sources,
    port,
    range,
    threads,
    isLeased: method === "leased",
    isDivided: method === "by hand",
  };
  return fork(PROCESS, [JSON.stringify(job)], { stdio: "inherit" });
}

/** Zipf: the n-th has an n-th of what the first has; and then what the one before it had. */
function assign(workers: readonly ChildProcess[], total: number, moved: number): void {
  const weightAt = (index: number): number => 1 / ((index % workers.length) + 1);
  const weights = workers.map(
    (_, index) => weightAt(index) * (1 - moved) + weightAt(index + 1) * moved,
  );
  const sum = weights.reduce((all, one) => all + one, 0);
  const targets = weights.map((weight) => Math.floor((total * weight) / sum));
  for (const [index, worker] of workers.entries()) worker.send({ target: targets[index] });
}

async function reaching(
  count: number,
  most: number,
  isReached = (open: number): boolean => open >= count * 0.995,
): Promise<void> {
  const end = performance.now() + most;
  while (!isReached(peers.size) && performance.now() < end) await pause(50);
}

async function tell(worker: ChildProcess): Promise<Counts[]> {
  const told = once(worker, "message");
  worker.send({ tell: true });
  return (await told)[0] as Counts[];
}

function rowOf(method: Method, share: number, total: number, counts: readonly Counts[]): Row {
  const times = counts.flatMap((one) => one.times).sort((a, b) => a - b);
  const sum = (of: (one: Counts) => number): number =>
    counts.reduce((all, one) => all + of(one), 0);
  const at = (part: number): number =>
    Math.round((times[Math.floor(times.length * part)] ?? 0) * 1000);
  return {
    ...{ method, share, medianUs: at(0.5), p99Us: at(0.99) },
    reached: sum(({ open }) => open) / total,
    conflicts: sum(({ conflicts }) => conflicts) / Math.max(1, times.length),
    failed: sum(({ failed }) => failed) / Math.max(1, times.length + sum(({ failed }) => failed)),
    spilled: sum(({ spilled }) => spilled),
  };
}

function show({ method, share, reached, medianUs, p99Us, conflicts, failed, spilled }: Row): void {
  const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;
  const cells = [
    ...[percent(share), method, percent(reached), `${medianUs} us`, `${p99Us} us`],
    ...[conflicts.toFixed(3), percent(failed), `${spilled}`],
  ];
  console.log(`| ${cells.join(" | ")} |`);
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
