// Worker of a chaos run: a connector on leased blocks that opens and closes real connections as
// fast as it may, and writes down each use of a block: when it began to pick, and when it had
// picked.

import { subscribe } from "node:diagnostics_channel";
import { openSync, writeSync } from "node:fs";
import type { Socket } from "node:net";
import { BlockKeeper } from "../../bindings/node/blocks/block-keeper.ts";
import {
  BLOCKS_CHANNEL,
  type BlockEvent,
  CHANNELS,
  createConnector,
  type PortEvent,
} from "../../bindings/node/index.ts";
import type { Assignment, WorkerCounts } from "./plan.ts";
import { openStore } from "./stores.ts";

/** How many connections there are to be, by turns: blocks are needed, and are not. */
const OPEN = [2, 60, 140, 220];
const TURN_MS = 500;
const BURST = 16;
const LIFE_MS = 400;
const PAUSE_MS = 2;

const assignment = JSON.parse(process.argv[2] ?? "{}") as Assignment;
const { source, range, port, log } = assignment;

if (assignment.isBroken) {
  // The control: a keeper that does not look at its clocks.
  Object.defineProperty(BlockKeeper.prototype, "isUsable", { value: () => true });
}

/** Written at once, so that a process that is killed has reported everything. */
const lines = openSync(log, "a");
const connector = createConnector({
  ...{ sources: source, portRange: range, reserved: "", cooldown: "none", skipUsed: false },
  blocks: await openStore(assignment),
});

/** By block: which time it is held here. */
const holdings = new Map<number, number>();
let lastHolding = 0;
/** When the connection under way was asked for; none if it is not picked for at once. */
let began: number | undefined;
const counts: WorkerCounts = { opened: 0, refused: 0, failed: 0, conflicts: 0 };

subscribe(BLOCKS_CHANNEL, (message) => {
  const { kind, blocks } = message as BlockEvent;
  if (kind === "acquired") for (const block of blocks) holdings.set(block, ++lastHolding);
  // From then on a port of it is another's, which a connector may try where the kernel judges.
  if (kind === "returned" || kind === "lost") for (const block of blocks) holdings.delete(block);
});

subscribe(CHANNELS.pick, (message) => {
  const block = ((message as PortEvent).port ?? 0) >> 6;
  const holding = holdings.get(block);
  // A port of another's block, which the kernel judges.
  if (holding === undefined) return;
  const now = clock();
  writeSync(lines, `${block} ${process.pid}:${holding} ${began ?? 0} ${now}\n`);
});

process.on("message", (ms: number) => {
  // The loop stands still, and what is due is done late.
  const end = performance.now() + ms;
  while (performance.now() < end);
});

process.on("disconnect", () => process.exit());
setInterval(() => {
  const told = { ...counts, conflicts: connector.metrics().conflicts };
  // Its parent may have ended.
  process.send?.(told, undefined, undefined, () => {});
}, 200);

const sockets: Socket[] = [];
/** When each was open. */
const since = new WeakMap<Socket, number>();
let lastConnection = 0;
let wanted = 60;
let pending = 0;
setInterval(() => {
  wanted = assignment.isBroken
    ? Math.max(...OPEN)
    : (OPEN[Math.floor(Math.random() * OPEN.length)] as number);
}, TURN_MS);

for (;;) {
  const missing = Math.min(BURST, wanted - sockets.length - pending);
  if (missing > 0) for (let count = 0; count < missing; count++) openOne();
  else close(sockets[0]);
  if (Math.random() < 0.3) await new Promise((done) => setTimeout(done, PAUSE_MS));
  else await new Promise((done) => setImmediate(done));
}

function openOne(): void {
  began = clock();
  pending++;
  connector.open({ host: "127.0.0.1", port }, (error, socket) => {
    pending--;
    if (socket === null) {
      if ((error as { exhausted?: string } | null)?.exhausted === undefined) counts.failed++;
      else counts.refused++;
      return;
    }
    counts.opened++;
    socket.on("error", () => {});
    sockets.push(socket);
    since.set(socket, clock());
    setTimeout(() => close(socket), Math.random() * LIFE_MS);
  });
  began = undefined;
}

function close(socket: Socket | undefined): void {
  if (socket === undefined) return;
  const at = sockets.indexOf(socket);
  if (at < 0) return;
  sockets.splice(at, 1);
  const name = `port-${socket.localPort} ${process.pid}:${++lastConnection}`;
  writeSync(lines, `${name} ${clock()} ${since.get(socket)}\n`);
  socket.resetAndDestroy();
}

/** Milliseconds of a clock that all processes of this machine share. */
function clock(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
