// Worker of the comparison: keeps as many connections open as its orders say, each for some
// seconds, and reports how long connecting took, and what failed.

import type { Socket } from "node:net";
import { parentPort } from "node:worker_threads";
import { createConnector, hostBlocks } from "../../bindings/node/index.ts";
import type { Counts, Job } from "./job.ts";

const LIFE_MS = 24_000;
const UNDER_WAY_MAX = 8;

const { sources, port, range, isLeased } = JSON.parse(process.argv[2] ?? "{}") as Job;
const connector = createConnector({
  ...{ sources, portRange: range, reserved: "", headroom: 0, cooldown: "none", skipUsed: false },
  ...(isLeased && { blocks: hostBlocks() }),
});
const sockets = new Set<Socket>();
let target = 0;
let underWay = 0;
let counts: Counts = fresh();
let conflictsBefore = 0;

parentPort?.on("message", (message: { target?: number; measure?: boolean; tell?: boolean }) => {
  if (message.target !== undefined) target = message.target;
  if (message.measure) {
    counts = fresh();
    conflictsBefore = connector.metrics().conflicts;
  }
  if (message.tell) {
    const { conflicts, blocks } = connector.metrics();
    const told = { ...counts, conflicts: conflicts - conflictsBefore, open: sockets.size };
    parentPort?.postMessage({ ...told, spilled: blocks?.spilled ?? 0 });
  }
  fill();
});
setInterval(fill, 20);

/** Opens what is missing, and closes what is too much. */
function fill(): void {
  while (underWay < UNDER_WAY_MAX && sockets.size + underWay < target) open();
  for (const socket of sockets) {
    if (sockets.size <= target) break;
    close(socket);
  }
}

function open(): void {
  underWay++;
  const began = performance.now();
  connector.open({ host: "127.0.0.1", port }, (error, socket) => {
    underWay--;
    if (socket === null) {
      counts.failed++;
      counts.lastError = String(error);
      return;
    }
    counts.times.push(performance.now() - began);
    socket.on("error", () => {});
    sockets.add(socket);
    setTimeout(() => close(socket), -Math.log(1 - Math.random()) * LIFE_MS);
    fill();
  });
}

function close(socket: Socket): void {
  if (sockets.delete(socket)) socket.resetAndDestroy();
}

function fresh(): Counts {
  return { times: [], failed: 0, conflicts: 0, open: 0, spilled: 0, lastError: "" };
}
