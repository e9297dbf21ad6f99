// Connector: real connections on loopback, by portwarden's connector and by Node alone, as the range of ports fills.
//
// Each way has a process, and a network namespace with a range of its own, where the machine allows that; the
// processes are asked for samples in turn. A second connector stays at 10 %, so that what it takes there and what the
// first one takes at 99 % are measured at the same time.

import type { PortRange } from "../../bindings/index.ts";
import { canMakeNamespace } from "../../bindings/node/host/namespace.ts";
import { readHostState } from "../../bindings/node/index.ts";
import type { Benchmark } from "../harness/benchmarks.ts";
import { figureOf } from "../harness/measure.ts";
import type { Stage, System } from "../harness/setup.ts";
import { digestOf } from "../harness/workloads.ts";
import { Connects, Server, type Side, type Way } from "./connects.ts";
import { Apart } from "./connects-apart.ts";

const OVERHEAD_AT_MOST = 1.05;
const FULL_OVER_EMPTY_AT_MOST = 1.5;
const OCCUPANCIES = [10, 50, 90, 99] as const;
const REFERENCE = OCCUPANCIES[0];
const AT_A_TIME = 64;
const FIRST = 20_000;
/** For what else the processes have open. */
const FILES_SPARED = 500;

const SYSTEMS: Readonly<Record<Way, System>> = {
  connector: "connector",
  promise: "connector promise",
  "net.connect": "net.connect",
  localAddress: "localAddress",
  localPort: "localPort",
};

/** How much is done. */
interface Size {
  readonly ports: number;
  readonly warmUp: number;
  readonly rounds: number;
  readonly roundsWhenHeld: number;
  /** Connections of one sample while nothing is held, and while some are. */
  readonly batch: number;
  readonly batchWhenHeld: number;
}

// With more ports it takes minutes until the system alone has filled the range.
const FULL: Size = {
  ports: 8192,
  warmUp: 50_000,
  rounds: 30,
  roundsWhenHeld: 10,
  batch: 1000,
  batchWhenHeld: 1000,
};
const TINY: Size = {
  ports: 64,
  warmUp: 0,
  rounds: 1,
  roundsWhenHeld: 1,
  batch: 5,
  batchWhenHeld: 2,
};

/** A way at work, and its samples, nanoseconds per connection. */
interface Player {
  readonly way: Way;
  readonly side: Side;
}

export const connectorBenchmark: Benchmark = {
  title: "connector: real connections on loopback; one is opened, and reset when it is connected",
  async run(stage) {
    const setting = settingOf(stage.smoke);
    if (setting.why !== "") stage.heading(setting.why);
    // Processes have their own.
    const server = stage.smoke ? await Server.start(0) : undefined;
    const ways = [...WAYS, "connector" as const];
    const all = await Promise.all(ways.map((way, index) => start(way, setting, server, index)));
    const players = all.slice(0, -1);
    const reference = all.at(-1) as Player;
    try {
      await atRest(stage, setting, players);
      await asItFills(stage, setting, players, reference);
    } finally {
      await Promise.all(all.map(({ side }) => side.close()));
      await server?.close();
    }
  },
};

const WAYS: readonly Way[] = ["connector", "promise", "localPort", "localAddress", "net.connect"];

// ── Where ─────────────────────────────────────────────────────────────────────────────────

interface Setting {
  readonly size: Size;
  readonly range: PortRange;
  readonly inNamespace: boolean;
  /** Why some rows are missing. */
  readonly why: string;
}

function settingOf(smoke: boolean): Setting {
  const machine = readHostState();
  const files = machine.fileLimits?.soft ?? FULL.ports + FILES_SPARED;
  const ports = smoke ? TINY.ports : Math.min(FULL.ports, files - FILES_SPARED);
  const size = { ...(smoke ? TINY : FULL), ports };
  const answer = smoke ? { ok: false, why: "tiny" } : canMakeNamespace();
  const inNamespace = answer.ok;
  const first = inNamespace ? FIRST : (machine.portRange?.first ?? FIRST);
  const range = { first, last: first + ports - 1 };
  const why =
    inNamespace || smoke
      ? ""
      : `as the range fills, the connector alone: no namespace (${"why" in answer ? answer.why : ""})`;
  return { size, range, inNamespace, why };
}

/** @param server of this process, if all is to happen here. */
async function start(
  way: Way,
  { inNamespace, range }: Setting,
  server: Server | undefined,
  index: number,
): Promise<Player> {
  if (server !== undefined) {
    const first = range.first + index * TINY.ports;
    const own = { first, last: first + TINY.ports - 1 };
    return { way, side: new Connects(way, own, server.port) };
  }
  return { way, side: await Apart.start(way, range, inNamespace) };
}

// ── While nothing is held ─────────────────────────────────────────────────────────────────

async function atRest(stage: Stage, { size }: Setting, players: readonly Player[]): Promise<void> {
  for (const { side } of players) await side.run(size.warmUp, 1);
  const digests = await digestsOf(players, size.ports, 0);
  for (const [row, atATime] of [
    ["connect", 1],
    [`connect, ${AT_A_TIME} at a time`, AT_A_TIME],
  ] as const) {
    const samples = await inTurn(size.rounds, size.batch, atATime, players);
    keepAll(stage, { row, occupancy: 0 }, size.batch, players, samples, digests);
    const ours = samples[0] as number[];
    for (const [index, { way }] of players.entries()) {
      if (index === 0) continue;
      const value = ratioOf(ours, samples[index] as number[]);
      const name = `${row}: connector over ${SYSTEMS[way]}`;
      stage.keepOne({ bench: "connector", row: name }, "connector", value, { unit: "ratio" });
      if (way !== "localPort" && way !== "net.connect") continue;
      stage.judge({ name: `connector, ${name}`, value, atMost: OVERHEAD_AT_MOST });
    }
  }
}

// ── While the range fills ─────────────────────────────────────────────────────────────────

async function asItFills(
  stage: Stage,
  { size, inNamespace }: Setting,
  all: readonly Player[],
  reference: Player,
): Promise<void> {
  // The port that is counted up would run into those that are held.
  const players = all.filter(({ way }) =>
    inNamespace ? way !== "localPort" && way !== "promise" : way === "connector",
  );
  const before = await Promise.all(players.map(({ side }) => side.bytes()));
  await reference.side.hold(heldOf(size.ports, REFERENCE));
  await reference.side.run(size.warmUp, 1);
  for (const occupancy of OCCUPANCIES) {
    const held = heldOf(size.ports, occupancy);
    await Promise.all(players.map(({ side }) => side.hold(held)));
    const digests = await digestsOf(players, size.ports, held);
    const group = [...players, reference];
    const samples = await inTurn(size.roundsWhenHeld, size.batchWhenHeld, 1, group);
    keepAll(stage, { row: "connect", occupancy }, size.batchWhenHeld, players, samples, digests);
    if (occupancy !== OCCUPANCIES.at(-1)) continue;
    stage.judge({
      name: `connector: time per connection, ${occupancy} % of the range over ${REFERENCE} %`,
      value: ratioOf(samples[0] as number[], samples.at(-1) as number[]),
      atMost: FULL_OVER_EMPTY_AT_MOST,
    });
    const after = await Promise.all(players.map(({ side }) => side.bytes()));
    keepMemory(
      stage,
      players,
      after.map((bytes, index) => (bytes - (before[index] as number)) / held),
    );
  }
}

function heldOf(ports: number, occupancy: number): number {
  return Math.floor((ports * occupancy) / 100);
}

function keepMemory(stage: Stage, players: readonly Player[], bytes: readonly number[]): void {
  for (const [index, { way }] of players.entries()) {
    const place = { bench: "connector", row: "memory of an open connection" };
    stage.keepOne(place, SYSTEMS[way], bytes[index] as number, { unit: "bytes" });
  }
}

// ── Samples ───────────────────────────────────────────────────────────────────────────────

/** Nanoseconds per connection for each player; another one first each time. */
async function inTurn(
  rounds: number,
  batch: number,
  atATime: number,
  players: readonly Player[],
): Promise<number[][]> {
  const samples: number[][] = players.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let step = 0; step < players.length; step++) {
      const index = (round + step) % players.length;
      const ns = await (players[index] as Player).side.run(batch, atATime);
      samples[index]?.push(ns / batch);
    }
  }
  return samples;
}

/** The median over the rounds. */
function ratioOf(ours: readonly number[], theirs: readonly number[]): number {
  return figureOf(ours.map((ns, round) => ns / (theirs[round] as number))).median;
}

/** Of what each does: connections on different ports of the range, none of which was held. */
async function digestsOf(
  players: readonly Player[],
  ports: number,
  held: number,
): Promise<string[]> {
  const count = Math.min(AT_A_TIME, ports - held);
  return Promise.all(
    players.map(async ({ side }) => digestOf(Object.values(await side.ports(count)))),
  );
}

function keepAll(
  stage: Stage,
  place: { readonly row: string; readonly occupancy: number },
  operations: number,
  players: readonly Player[],
  samples: readonly (readonly number[])[],
  digests: readonly string[],
): void {
  if (new Set(digests).size > 1) {
    throw new Error(`connector/${place.row}: the digests differ: ${digests.join(", ")}`);
  }
  for (const [index, { way }] of players.entries()) {
    const figure = figureOf(samples[index] as number[]);
    const digest = digests[index] as string;
    stage.keep({
      bench: "connector",
      ...place,
      system: SYSTEMS[way],
      operations,
      digest,
      ...figure,
    });
  }
}
