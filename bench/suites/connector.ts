// Connector: real connections on loopback, by portwarden's connector and by Node alone, as the
// range of ports fills.
//
// Each method has a process, and a network namespace with a range of its own, where the machine
// allows that; the processes are asked for samples by turns. A second connector stays at 10 %, so
// that what it takes there and what the first one takes at 99 % are measured at the same time.
// While nothing is held, the processor's time of the process that connects is measured as well, and
// several processes are measured by each method: V8 compiles the same code otherwise in each.

import type { PortRange } from "../../bindings/index.ts";
import { canMakeNamespace } from "../../bindings/node/host/namespace.ts";
import { readHostState } from "../../bindings/node/index.ts";
import { type Figure, figureOf } from "../harness/measure.ts";
import type { Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { digestOf } from "../harness/workloads.ts";
import { type Client, LocalClient, type Method, Server, type Taken } from "./connector-client.ts";
import { ProcessClient } from "./connector-process.ts";

/** Over a counted port, and over the kernel's own choice, which makes fewer system calls. */
const OVERHEAD_AT_MOST = { localPort: 1.03, "net.connect": 1.08 } as const;
const FULL_OVER_EMPTY_AT_MOST = 1.5;
const MEMORY_AT_MOST = 1.12;
const OCCUPANCIES = [10, 50, 90, 99] as const;
const LOWEST = OCCUPANCIES[0];
const AT_A_TIME = 64;
/** How much longer each of the first connections of a process may take than with Node alone. */
const FIRST_ONES_AT_MOST_US = 8;
const FIRST = 20_000;
/** For what else the processes have open. */
const FILES_SPARED = 500;

const SYSTEMS: Readonly<Record<Method, System>> = {
  connector: "connector",
  sequential: "connector sequential",
  promise: "connector promise",
  "net.connect": "net.connect",
  localAddress: "localAddress",
  localPort: "localPort",
};

/** How much is done. */
interface Size {
  readonly ports: number;
  readonly warmUp: number;
  /** Processes of each method while nothing is held, and rounds of each. */
  readonly repeats: number;
  readonly rounds: number;
  readonly roundsWhenHeld: number;
  /** Connections of one sample while nothing is held, and while some are. */
  readonly batch: number;
  readonly batchWhenHeld: number;
  /** The first connections of a process, and how many processes of each kind make them. */
  readonly firstOnes: number;
  readonly processes: number;
}

// With more ports it takes minutes until the system alone has filled the range.
const FULL: Size = {
  ports: 8192,
  warmUp: 25_000,
  repeats: 5,
  rounds: 8,
  roundsWhenHeld: 10,
  batch: 1000,
  batchWhenHeld: 1000,
  firstOnes: 2000,
  processes: 9,
};
const TINY: Size = {
  ports: 64,
  warmUp: 0,
  repeats: 1,
  rounds: 1,
  roundsWhenHeld: 1,
  batch: 5,
  batchWhenHeld: 2,
  firstOnes: 5,
  processes: 1,
};

export const connectorSuite: Suite = {
  title: "real connections on loopback; one is opened, and reset when it is connected",
  async run(session) {
    const setting = settingOf(session.smoke);
    if (setting.why !== "") session.heading(setting.why);
    // Processes have their own.
    const server = session.smoke ? await Server.start(0) : undefined;
    try {
      await firstOnes(session, setting, server);
      await whileEmpty(session, setting, server);
      await asItFills(session, setting, server);
    } finally {
      await server?.close();
    }
  },
};

const METHODS: readonly Method[] = [
  ...(["connector", "sequential", "promise", "localPort", "localAddress", "net.connect"] as const),
];

const COMPARED: readonly (readonly [Method, Method])[] = [
  ...(["promise", "localPort", "localAddress", "net.connect"] as const).map(
    (other) => ["connector", other] as const,
  ),
  // In the same order of ports.
  ["sequential", "localPort"],
];
const WORKLOADS = [
  ["connect", 1],
  [`connect, ${AT_A_TIME} at a time`, AT_A_TIME],
] as const;
const AS_IT_FILLS: readonly Method[] = ["connector", "localAddress", "net.connect"];

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
  const reason = "why" in answer ? answer.why : "";
  const missing = `as the range fills, the connector alone: no namespace (${reason})`;
  const why = inNamespace || smoke ? "" : missing;
  return { size, range, inNamespace, why };
}

/** Starts clients, lets V8 compile their code, and closes them in the end. */
async function withClients(
  methods: readonly Method[],
  setting: Setting,
  server: Server | undefined,
  use: (clients: readonly Client[]) => Promise<void>,
): Promise<void> {
  const clients = await Promise.all(
    methods.map((method, index) => start(method, setting, server, index)),
  );
  try {
    for (const client of clients) await client.run(setting.size.warmUp, 1);
    await use(clients);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

/** @param server of this process, if all is to happen here. */
async function start(
  method: Method,
  { inNamespace, range }: Setting,
  server: Server | undefined,
  index: number,
): Promise<Client> {
  if (server !== undefined) {
    const first = range.first + index * TINY.ports;
    const own = { first, last: first + TINY.ports - 1 };
    return new LocalClient(method, own, server.port);
  }
  return ProcessClient.start(method, range, inNamespace);
}

// ── The first connections of a process ────────────────────────────────────────────────────

/** Until the code is compiled, by processes of their own, in turn. */
async function firstOnes(
  session: Session,
  setting: Setting,
  server: Server | undefined,
): Promise<void> {
  const { firstOnes: count, processes } = setting.size;
  const methods = ["connector", "localPort", "net.connect"] as const;
  const samples: number[][] = methods.map(() => []);
  for (let round = 0; round < processes; round++) {
    for (const [index, method] of methods.entries()) {
      const client = await start(method, setting, server, index);
      samples[index]?.push((await client.run(count, 1)).ns / count);
      await client.close();
    }
  }
  const workload = `connect, the first ${count} of a process`;
  const figures = samples.map(figureOf);
  for (const [index, method] of methods.entries()) {
    const key = { suite: "connector", workload, occupancy: 0, operations: count };
    session.keep({ ...key, system: SYSTEMS[method], ...(figures[index] as Figure) });
  }
  const value = ((figures[0]?.median ?? 0) - (figures[1]?.median ?? 0)) / 1000;
  const name = `connector, ${workload}: more than with localPort, us each`;
  session.check({ name, value, atMost: FIRST_ONES_AT_MOST_US });
}

// ── While nothing is held ─────────────────────────────────────────────────────────────────

async function whileEmpty(
  session: Session,
  setting: Setting,
  server: Server | undefined,
): Promise<void> {
  const { size } = setting;
  const found = WORKLOADS.map(([workload]) => ({ workload, taken: noSamples(METHODS) }));
  let digests: string[] = [];
  for (let repeat = 0; repeat < size.repeats; repeat++) {
    await withClients(METHODS, setting, server, async (clients) => {
      digests = await digestsOf(clients, size.ports, 0);
      for (const [index, [, atATime]] of WORKLOADS.entries()) {
        const { taken } = found[index] as (typeof found)[number];
        await inTurn(size.rounds, size.batch, atATime, clients, taken);
      }
    });
  }
  for (const { workload, taken } of found) {
    const key = { workload, occupancy: 0 };
    keepAll(session, key, size.batch, METHODS, taken.ns, digests);
    keepAll(session, { workload: cpuOf(workload) }, size.batch, METHODS, taken.cpu, digests);
    compareEmpty(session, workload, taken.ns);
    compareEmpty(session, cpuOf(workload), taken.cpu);
  }
}

function cpuOf(workload: string): string {
  return `CPU of ${workload}`;
}

/** Says how many times as much a method takes as another. */
function compareEmpty(
  session: Session,
  workload: string,
  samples: readonly (readonly number[])[],
): void {
  const of = (method: Method): readonly number[] => samples[METHODS.indexOf(method)] as number[];
  for (const [ours, other] of COMPARED) {
    const value = ratioOf(of(ours), of(other));
    const name = `${workload}: ${SYSTEMS[ours]} over ${SYSTEMS[other]}`;
    session.keepOne({ suite: "connector", workload: name }, SYSTEMS[ours], value, {
      unit: "ratio",
    });
    if (other !== "localPort" && other !== "net.connect") continue;
    session.check({ name: `connector, ${name}`, value, atMost: OVERHEAD_AT_MOST[other] });
  }
}

// ── While the range fills ─────────────────────────────────────────────────────────────────

async function asItFills(
  session: Session,
  setting: Setting,
  server: Server | undefined,
): Promise<void> {
  const { size } = setting;
  const methods = setting.inNamespace ? AS_IT_FILLS : AS_IT_FILLS.slice(0, 1);
  await withClients([...methods, "connector"], setting, server, async (group) => {
    const clients = group.slice(0, -1);
    const before = await Promise.all(clients.map((client) => client.bytes()));
    await group.at(-1)?.hold(heldOf(size.ports, LOWEST));
    for (const occupancy of OCCUPANCIES) {
      const held = heldOf(size.ports, occupancy);
      await Promise.all(clients.map((client) => client.hold(held)));
      const digests = await digestsOf(clients, size.ports, held);
      const taken = noSamples(group);
      await inTurn(size.roundsWhenHeld, size.batchWhenHeld, 1, group, taken);
      const key = { workload: "connect", occupancy };
      keepAll(session, key, size.batchWhenHeld, methods, taken.ns, digests);
      if (occupancy !== OCCUPANCIES.at(-1)) continue;
      session.check({
        name: `connector: time per connection, ${occupancy} % of the range over ${LOWEST} %`,
        value: ratioOf(taken.ns[0] as number[], taken.ns.at(-1) as number[]),
        atMost: FULL_OVER_EMPTY_AT_MOST,
      });
      const after = await Promise.all(clients.map((client) => client.bytes()));
      const bytes = after.map((all, index) => (all - (before[index] as number)) / held);
      keepMemory(session, methods, bytes);
    }
  });
}

function heldOf(ports: number, occupancy: number): number {
  return Math.floor((ports * occupancy) / 100);
}

function keepMemory(session: Session, methods: readonly Method[], bytes: readonly number[]): void {
  for (const [index, method] of methods.entries()) {
    const key = { suite: "connector", workload: "memory of an open connection" };
    session.keepOne(key, SYSTEMS[method], bytes[index] as number, { unit: "bytes" });
    if (method !== "net.connect") continue;
    const value = (bytes[0] as number) / (bytes[index] as number);
    session.check({
      name: `connector, ${key.workload}: over ${method}`,
      value,
      atMost: MEMORY_AT_MOST,
    });
  }
}

// ── Samples ───────────────────────────────────────────────────────────────────────────────

/** What a connection has taken, by method. */
type Samples = { readonly [Name in keyof Taken]: readonly number[][] };

function noSamples({ length }: { readonly length: number }): Samples {
  const none = (): number[][] => Array.from({ length }, () => []);
  return { ns: none(), cpu: none() };
}

/** Adds what a connection takes by each client; another one first each time. */
async function inTurn(
  rounds: number,
  batch: number,
  atATime: number,
  clients: readonly Client[],
  samples: Samples,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let step = 0; step < clients.length; step++) {
      const index = (round + step) % clients.length;
      const taken = await (clients[index] as Client).run(batch, atATime);
      samples.ns[index]?.push(taken.ns / batch);
      samples.cpu[index]?.push(taken.cpu / batch);
    }
  }
}

/** The median over the rounds. */
function ratioOf(ours: readonly number[], theirs: readonly number[]): number {
  return figureOf(ours.map((ns, round) => ns / (theirs[round] as number))).median;
}

/** Of what each does: connections on different ports of the range, none of which was held. */
async function digestsOf(
  clients: readonly Client[],
  ports: number,
  held: number,
): Promise<string[]> {
  const count = Math.min(AT_A_TIME, ports - held);
  return Promise.all(
    clients.map(async (client) => digestOf(Object.values(await client.ports(count)))),
  );
}

function keepAll(
  session: Session,
  key: { readonly workload: string; readonly occupancy?: number },
  operations: number,
  methods: readonly Method[],
  samples: readonly (readonly number[])[],
  digests: readonly string[],
): void {
  if (new Set(digests).size > 1) {
    throw new Error(`connector/${key.workload}: the digests differ: ${digests.join(", ")}`);
  }
  for (const [index, method] of methods.entries()) {
    const figure = figureOf(samples[index] as number[]);
    const digest = digests[index] as string;
    session.keep({
      suite: "connector",
      ...key,
      system: SYSTEMS[method],
      operations,
      digest,
      ...figure,
    });
  }
}
