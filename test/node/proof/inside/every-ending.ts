// Every ending: in a namespace with 64 ports, thousands of connections that end in every way there
// is, more at a time than there are ports, to servers that are killed meanwhile. Then it opens 64
// connections to each of 4 destinations once more, as at the beginning. Prints, as JSON, what
// happened.
//
//   node every-ending.js SEED CONNECTS OPTIONS    OPTIONS: more options of the connector, as JSON

import { connect as netConnect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { SeededRandom } from "../../../../bindings/core/random.ts";
import { type ConnectorOptions, createConnector } from "../../../../bindings/node/index.ts";
import { HOST, Host } from "./hosts.ts";

/** What it prints. */
export interface Report {
  /** How connects went: `connected`, or the code of what they failed by, and how often. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** How often each end was given to a connection. */
  readonly ends: Readonly<Record<string, number>>;
  readonly kills: number;
  /** The most ports that were held at a time, and the most that waited. */
  readonly most: { readonly held: number; readonly waiting: number };
  /** Gauges after everything was closed. */
  readonly after: { readonly held: number; readonly waiting: number; readonly quarantined: number };
  /** Counters that belong together, after everything was closed. */
  readonly picks: number;
  readonly released: number;
  /** The peers of each server when all ports were taken again, and what failed then. */
  readonly seen: readonly (readonly string[])[];
  readonly failures: readonly string[];
}

const DESTINATIONS = 4;
const EACH = 64;
const SOURCE = "127.0.0.2";
const FIRST_SERVER = 9001;
/** Where no server listens. */
const UNUSED = 9100;
/**
 * Where no server accepts, and the queue is full, so that connecting takes until it is given
 * up.
 */
const STUCK = 9200;
/** More than there are ports. */
const AT_A_TIME = 300;
/** A server is killed each time so many connects have begun. */
const KILL_EVERY = 2000;
const QUARANTINE_MS = 100;
const LOOK_EVERY = 20;

const [seed = "1", connects = "20000", more = "{}"] = process.argv.slice(2);
const random = new SeededRandom(Number(seed));
const options: Partial<ConnectorOptions> = JSON.parse(more);
const connector = createConnector({
  ...{ sources: SOURCE, headroom: 0, quarantine: QUARANTINE_MS },
  ...options,
});
const outcomes: Record<string, number> = {};
const ends: Record<string, number> = {};
const most = { held: 0, waiting: 0 };
let begun = 0;
let kills = 0;

const hosts = await Promise.all(
  Array.from({ length: DESTINATIONS }, (_, index) => Host.start("tcp", FIRST_SERVER + index, 1)),
);
const stuck = await fullQueue();
await Promise.all(Array.from({ length: AT_A_TIME }, comeAndGo));
await until(() => connector.metrics().held === 0);
await sleep(2 * QUARANTINE_MS);
const { held, waiting, quarantined, picks, released } = connector.metrics();
const again = await fillAgain();
stuck.close();
await Promise.all(hosts.map((host) => host.kill()));
const after = { held, waiting, quarantined };
const report: Report = { outcomes, ends, kills, most, after, picks, released, ...again };
process.stdout.write(JSON.stringify(report), () => process.exit());

// ── What one client does, again and again ─────────────────────────────────────────────────

async function comeAndGo(): Promise<void> {
  while (begun < Number(connects)) {
    if (++begun % KILL_EVERY === 0) await killOne();
    await oneConnection();
  }
}

async function oneConnection(): Promise<void> {
  const fate = below(100);
  const port = fate < 4 ? UNUSED : fate < 8 ? STUCK : FIRST_SERVER + below(DESTINATIONS);
  const connectTimeout = port === STUCK ? 1 + below(20) : 0;
  const abort = fate >= 90 ? new AbortController() : undefined;
  if (abort !== undefined) abortSometime(abort);
  const signal = abort === undefined ? {} : { signal: abort.signal };
  try {
    const socket = await connector.connect({ host: HOST, port, connectTimeout, ...signal });
    count(outcomes, "connected");
    await end(socket);
  } catch (error) {
    count(outcomes, nameOf(error as Error));
    // As long as there are no ports, others shall get on.
    await sleep(1 + below(3));
  }
  if (begun % LOOK_EVERY !== 0) return;
  const now = connector.metrics();
  most.held = Math.max(most.held, now.held);
  most.waiting = Math.max(most.waiting, now.waiting);
}

/** Before it is asked for, at once, or a little later. */
function abortSometime(abort: AbortController): void {
  const when = below(3);
  if (when === 0) abort.abort();
  else if (when === 1) process.nextTick(() => abort.abort());
  else setTimeout(() => abort.abort(), below(5));
}

/** Uses the connection for a while, and ends it in one of the ways there are. */
async function end(socket: Socket): Promise<void> {
  socket.on("error", (error) => count(ends, `error ${nameOf(error)}`));
  socket.resume();
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await sleep(below(10));
  const way = (["end", "destroy", "reset", "their end", "their reset", "error"] as const)[below(6)];
  count(ends, way as string);
  if (way === "end") socket.end();
  else if (way === "destroy") socket.destroy();
  else if (way === "reset") socket.resetAndDestroy();
  else if (way === "their end") socket.write("end");
  else if (way === "their reset") socket.write("reset");
  else socket.destroy(new Error("of the caller's own"));
  await closed;
}

/** A server's process ends like in a crash, and another one takes its place. */
async function killOne(): Promise<void> {
  const index = kills++ % DESTINATIONS;
  await hosts[index]?.kill();
  hosts[index] = await Host.start("tcp", FIRST_SERVER + index, 1);
}

// ── The rest ──────────────────────────────────────────────────────────────────────────────

/** Takes every port to every destination. */
async function fillAgain(): Promise<Pick<Report, "seen" | "failures">> {
  const failures: string[] = [];
  const wanted = Array.from({ length: DESTINATIONS * EACH }, (_, index) => index % DESTINATIONS);
  const sockets = await Promise.all(
    wanted.map((index) =>
      connector
        .connect({ host: HOST, port: FIRST_SERVER + index })
        .catch(({ message }: Error) => void failures.push(message)),
    ),
  );
  const found = await Promise.all(hosts.map((host) => host.whoWhen(EACH)));
  for (const socket of sockets) socket?.resetAndDestroy();
  return { seen: found.flat(), failures };
}

/**
 * A server that accepts nothing: once its queue is full, the system leaves further connects
 * without an answer.
 */
async function fullQueue(): Promise<{ close(): void }> {
  const host = await Host.start("tcp", STUCK, 1, 1);
  host.stop();
  const queued = Array.from({ length: 8 }, () => netConnect(STUCK, HOST).on("error", () => {}));
  await sleep(50);
  return {
    close: () => {
      for (const socket of queued) socket.destroy();
      void host.kill();
    },
  };
}

/** What was used up, or the code, or the name. */
function nameOf(error: Error & { code?: unknown; exhausted?: string }): string {
  const { exhausted, code, name } = error;
  return exhausted ?? (typeof code === "string" ? code : name);
}

function below(limit: number): number {
  return random.next() % limit;
}

function count(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

async function until(isSo: () => boolean): Promise<void> {
  const last = Date.now() + 5000;
  while (!isSo() && Date.now() < last) await sleep(10);
}
