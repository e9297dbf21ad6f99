// Foreign: in a namespace with 64 ports, another process holds every third port of our source. A
// connector opens as many connections as the other ports can carry; then the process ends, and the
// connector uses its ports as well. Prints, as JSON, what happened.
//
//   node foreign.js HOLDING LEARNING
//     HOLDING     listening | connected     connected: to the first of the 4 destinations
//     LEARNING    conflicts | open | refresh    how the connector is to learn of it

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Connector, createConnector } from "../../../../bindings/node/index.ts";
import { Host } from "./hosts.ts";

/** What it prints. */
export interface Foreign {
  /** The ports that the other process had. */
  readonly foreign: readonly number[];
  /** Local ports of ours while the other process was there, for each server. */
  readonly ours: readonly (readonly number[])[];
  /** What connects failed by until then. */
  readonly failures: readonly string[];
  /** What one more connection to each server was refused for. */
  readonly further: readonly string[];
  readonly conflicts: number;
  readonly quarantined: number;
  /** How many were connected to each server after the other process had gone. */
  readonly later: readonly number[];
}

const SOURCE = "127.0.0.2";
const HOST = "127.0.0.1";
const FIRST_SERVER = 9001;
const DESTINATIONS = 4;
const RANGE = { first: 40_000, last: 40_063 };
const QUARANTINE_MS = 60_000;
const TIME_WAIT_MS = 2500;
const PORTS = Array.from(
  { length: RANGE.last - RANGE.first + 1 },
  (_, index) => RANGE.first + index,
);
const TAKEN = PORTS.filter((port) => port % 3 === 0);
const HOLDER = fileURLToPath(new URL("holder.js", import.meta.url));

const [holding = "", learning = ""] = process.argv.slice(2);
const realNow = performance.now;
let ahead = 0;
let stopped: number | undefined;
performance.now = () => stopped ?? realNow.call(performance) + ahead;
const host = await Host.start("tcp", FIRST_SERVER, DESTINATIONS);
const early = learning === "refresh" ? connect() : undefined;
const holder = await hold();
const connector = early ?? connect();
if (learning === "refresh") connector.refresh();

const failures: string[] = [];
const free = host.ports.map((_, index) =>
  holding === "listening" || learning !== "conflicts" || index === 0
    ? PORTS.length - TAKEN.length
    : PORTS.length,
);
await Promise.all(host.ports.map((port, index) => open(connector, port, free[index] as number)));
const expected = free.reduce((sum, count) => sum + count) - failures.length;
// The other process is connected, too.
const known = holding === "connected" ? TAKEN.length : 0;
const seen = await host.whoWhen(expected + known);
const ours = seen.map((who, index) => ourPorts(who, index));
// While the clock stands still, no quarantine ends.
stopped = performance.now();
const further = await Promise.all(host.ports.map((port) => refusal(connector, port)));
const { conflicts, quarantined } = connector.metrics();
stopped = undefined;
holder.kill("SIGKILL");
await once(holder, "exit");
// What it was connected from is in TIME_WAIT, which a connect() takes over after two seconds.
await new Promise((resolve) => setTimeout(resolve, TIME_WAIT_MS));
ahead = 1.5 * QUARANTINE_MS;
await Promise.all(
  host.ports.map((port, index) => open(connector, port, PORTS.length - (free[index] as number))),
);
const later = (await host.whoWhen(DESTINATIONS * PORTS.length)).map(({ length }) => length);
await host.kill();
const foreign: Foreign = { foreign: TAKEN, ours, failures, further, conflicts, quarantined, later };
process.stdout.write(JSON.stringify(foreign), () => process.exit());

function connect(): Connector {
  return createConnector({
    ...{ sources: SOURCE, headroom: 0 },
    quarantine: QUARANTINE_MS,
    skipUsed: learning !== "conflicts",
  });
}

async function hold(): Promise<ChildProcess> {
  const child = fork(HOLDER, [holding, SOURCE, HOST, FIRST_SERVER, ...TAKEN].map(String));
  await once(child, "message");
  return child;
}

async function open(by: Connector, port: number, count: number): Promise<void> {
  const opening = Array.from({ length: count }, () => by.connect({ host: HOST, port }));
  for (const result of await Promise.allSettled(opening)) {
    if (result.status === "rejected") failures.push(result.reason.message);
    else result.value.on("error", () => {});
  }
}

async function refusal(by: Connector, port: number): Promise<string> {
  try {
    (await by.connect({ host: HOST, port })).destroy();
    return "none";
  } catch (error) {
    return (error as { exhausted: string }).exhausted;
  }
}

/** Without those of the other process, which are connected to the first server. */
function ourPorts(who: readonly string[], server: number): number[] {
  const ports = who.map((one) => Number(one.split(":")[1])).sort((a, b) => a - b);
  const isTheirs = (port: number): boolean =>
    holding === "connected" && server === 0 && TAKEN.includes(port);
  return ports.filter((port) => !isTheirs(port));
}
