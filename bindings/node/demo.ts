// The demo behind `npm start`: thousands of real connections inside this machine, each from the
// local port that portwarden picks for its source and destination.
//
// Exit code 0: what was planned was shown, or it is said what this machine stood in the way of.
// 1: something went wrong, or nothing can be shown here. 2: the command line is not understood.
// 130: stopped by Ctrl-C (or SIGTERM), with everything closed.

import { parseArgs } from "node:util";
import { PortManager } from "../index.ts";
import { Connections } from "./connections.ts";
import { Server } from "./loopback.ts";
import {
  ADDRESSES_MAX,
  CannotRun,
  CONNECTIONS_MAX,
  makePlan,
  type Plan,
  type Wishes,
} from "./plan.ts";
import { Progress } from "./progress.ts";
import { introduction, summary } from "./report.ts";
import { faults, type Outcome } from "./verdict.ts";

const CONNECTIONS = 2400;
const RUN_MS_MAX = 60_000;
// For closing, once the run has been stopped.
const CLOSE_MS_MAX = 10_000;
const INTERRUPTS = { SIGINT: "Ctrl-C was pressed", SIGTERM: "the process was told to end" };

const HELP = `usage: npm start -- [options]

Opens many real connections inside this machine, each from the local port that portwarden picks for
its source and destination, and counts how often one port serves several destinations.

  --connections N  how many, 1..${CONNECTIONS_MAX}; ${CONNECTIONS} by default
  --addresses N    how many loopback addresses to use, 1..${ADDRESSES_MAX}; ${ADDRESSES_MAX} by default, four for
                   servers and two for connections to come from
  --no-sharing     never use a port for two destinations at once, for comparison
  --help           show this`;

class BadInput extends Error {}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BadInput || error instanceof CannotRun)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof BadInput ? 2 : 1;
}

async function main(args: string[]): Promise<number> {
  const wishes = understand(args);
  if (wishes === undefined) {
    console.log(HELP);
    return 0;
  }
  const stop = new AbortController();
  watchForStop(stop);
  const outcome = await run(await makePlan(wishes), stop.signal);
  console.log(summary(outcome));
  if (Object.values(INTERRUPTS).some((reason) => reason === outcome.stop)) return 130;
  return faults(outcome).length === 0 ? 0 : 1;
}

/** Ctrl-C, the time limit, and an output that nobody reads any more (`npm start | head`). */
function watchForStop(stop: AbortController): void {
  // Once: a second Ctrl-C ends the process as usual.
  for (const [signal, reason] of Object.entries(INTERRUPTS)) {
    process.once(signal, () => stop.abort(reason));
  }
  process.stdout.on("error", () => stop.abort("nobody reads the output"));
  // These do not keep the process alive, but end it if something else does.
  const limit = `the time limit of ${RUN_MS_MAX / 1000} s is over`;
  setTimeout(() => stop.abort(limit), RUN_MS_MAX).unref();
  stop.signal.addEventListener("abort", () => setTimeout(giveUp, CLOSE_MS_MAX).unref());
}

function giveUp(): void {
  console.error(`\nClosing has taken more than ${CLOSE_MS_MAX / 1000} s: ended without it.`);
  process.exit(1);
}

async function run(plan: Plan, stop: AbortSignal): Promise<Outcome> {
  console.log(introduction(plan));
  using manager = PortManager.open({ portRange: plan.range });
  const usedAtOpen = manager.stats().memory.used;
  const servers = await Promise.all(plan.destinations.map((address) => Server.start(address)));
  const connections = new Connections(manager, plan, servers);
  try {
    await openAll(connections, plan, stop);
    if (!stop.aborted) connections.askTooMuch();
  } finally {
    await closeAll(connections, servers);
  }
  const { tally, heldCount: held } = connections;
  connections.closeFlows();
  const reason = stop.aborted ? String(stop.reason) : undefined;
  const range = manager.portRange();
  return { plan, tally, range, stop: reason, held, usedAtOpen, stats: manager.stats() };
}

async function openAll(connections: Connections, plan: Plan, stop: AbortSignal): Promise<void> {
  const progress = new Progress(process.stdout, "opened", plan.connections);
  connections.onChange = () => progress.update(connections.openCount);
  await connections.open(stop);
  progress.end();
  if (stop.aborted) console.log(`\nStopping, because ${stop.reason}. Closing everything.\n`);
}

async function closeAll(connections: Connections, servers: readonly Server[]): Promise<void> {
  const total = connections.openCount;
  const progress = new Progress(process.stdout, "closed", total);
  connections.onChange = () => progress.update(total - connections.openCount);
  await connections.close();
  await Promise.all(servers.map((server) => server.close()));
  progress.end();
}

// ── The command line ──────────────────────────────────────────────────────────────────────

/** What is asked for, or `undefined` when help is. */
function understand(args: string[]): Wishes | undefined {
  const values = parsed(args);
  if (values.help) return undefined;
  return {
    connections: inRange("--connections", values.connections, CONNECTIONS, CONNECTIONS_MAX),
    addresses: inRange("--addresses", values.addresses, ADDRESSES_MAX, ADDRESSES_MAX),
    sharing: !values["no-sharing"],
  };
}

function parsed(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        connections: { type: "string" },
        addresses: { type: "string" },
        "no-sharing": { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    return values;
  } catch (error) {
    throw new BadInput(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
  }
}

function inRange(name: string, text: string | undefined, usual: number, max: number): number {
  if (text === undefined) return usual;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw new BadInput(`${name} must be a whole number in 1..${max}, got ${JSON.stringify(text)}`);
}
