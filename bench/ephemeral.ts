// Ephemeral: what a port costs as the range fills, beside the naive twin, in one run and through
// the public API; then words, one port with very many tuples, and memory. Both sides do the same
// work, and where they hand out ports the digests of those must be equal.

import { readFileSync } from "node:fs";
import { IPV4, PortManager, type PortRequest, TCP } from "../bindings/index.ts";
import { SeededRandom } from "../bindings/random.ts";
import { NaivePortManager, type NaiveRequest } from "./baselines/naive.ts";
import { type Figure, measure, measureOnce } from "./measure.ts";
import { type Report, time } from "./report.ts";
import { COUNT, digestOf, FIRST, offsetsOf, shuffledPorts } from "./workloads.ts";

const ADDRESS = "10.0.0.1";
const BATCH = 1000;
// How many times faster than the naive twin, by percent held.
const OCCUPANCY_BARS: readonly (readonly [percent: number, atLeast: number])[] = [
  [0, 12],
  [50, 60],
  [90, 400],
  [99, 4000],
  [99.9, 30000],
];

export async function runEphemeral(report: Report, smoke: boolean): Promise<void> {
  await occupancy(report, smoke);
  await exhaustion(report, smoke);
  await words(report, smoke);
  await accepts(report, smoke);
  memory(report, smoke);
}

// ── One port of a range that is more or less full ─────────────────────────────────────────

async function occupancy(report: Report, smoke: boolean): Promise<void> {
  report.heading(
    "flow take + free, TCP, random offset, range 16000..65535; naive: ReservePort + ReleasePort",
  );
  const ports = shuffledPorts();
  const offsets = offsetsOf(2, BATCH);
  const times: number[] = [];
  for (const [percent, atLeast] of OCCUPANCY_BARS) {
    const held = ports.slice(0, Math.round((COUNT * percent) / 100));
    const ours = await takeAndFree(held, offsets, smoke);
    const theirs = await naiveTakeAndFree(held, offsets, smoke);
    checkEqual(ours.digest, theirs.digest, `ports at ${percent} %`);
    times.push(ours.figure.ns);
    const ratio = theirs.figure.ns / ours.figure.ns;
    report.row(`${percent} % held`, versus(ours.figure, theirs.figure), { value: ratio, atLeast });
  }
  const spread = Math.max(...times) / Math.min(...times);
  report.row("slowest of these over the fastest", "", { value: spread, atMost: 2.5 });
}

interface Measured {
  readonly figure: Figure;
  readonly digest: string;
}

async function takeAndFree(
  held: readonly number[],
  offsets: Uint32Array,
  smoke: boolean,
): Promise<Measured> {
  using manager = PortManager.open();
  const flow = manager.flow({ networks: [IPV4], transport: TCP, address: ADDRESS });
  for (const port of held) flow.takeAt(port);
  const picked = Array.from(offsets, (offset) => {
    const port = flow.take(offset);
    flow.free(port);
    return port;
  });
  const figure = await measure({ operations: BATCH, milliseconds: smoke ? 1 : 400 }, () => {
    for (let index = 0; index < BATCH; index++) flow.free(flow.take(offsets[index] as number));
  });
  return { figure, digest: digestOf(picked) };
}

async function naiveTakeAndFree(
  held: readonly number[],
  offsets: Uint32Array,
  smoke: boolean,
): Promise<Measured> {
  const manager = new NaivePortManager();
  for (const port of held) manager.reservePort(naive(port), 0);
  const any = naive(0);
  const picked: number[] = [];
  const takeAndRelease = (offset: number): number => {
    const port = manager.reservePort(any, offset);
    manager.releasePort(naive(port));
    return port;
  };
  for (const offset of offsets) picked.push(takeAndRelease(offset));
  const pace = smoke
    ? { operations: BATCH, samples: 1, milliseconds: 1 }
    : { operations: BATCH, samples: 5, milliseconds: 400 };
  const figure = await measure(pace, () => {
    for (let index = 0; index < BATCH; index++) takeAndRelease(offsets[index] as number);
  });
  return { figure, digest: digestOf(picked) };
}

function naive(port: number): NaiveRequest {
  const destination = { address: "", port: 0 };
  return { networks: [4], transport: 6, address: ADDRESS, port, flags: 0, device: 0, destination };
}

// ── All ports of the range ────────────────────────────────────────────────────────────────

async function exhaustion(report: Report, smoke: boolean): Promise<void> {
  const count = smoke ? 2000 : COUNT;
  report.heading(`${count} ports of 16000..65535 one after another, each from a random offset`);
  using manager = PortManager.open({ seed: 4 });
  if (smoke) manager.setPortRange(FIRST, FIRST + count - 1);
  const flow = manager.flow({ networks: [IPV4], transport: TCP, address: ADDRESS });
  const ports = new Uint16Array(count);
  flow.takeMany(ports);
  const digest = digestOf(ports);
  flow.freeMany(ports);
  // Taking alone: freeing what was taken is timed apart and not part of the figure.
  const ours: number[] = [];
  for (let round = 0; round < (smoke ? 1 : 25); round++) {
    ours.push(measureOnce(count, () => void flow.takeMany(ports)).ns);
    flow.freeMany(ports);
  }
  ours.sort((a, b) => a - b);
  const our = ours[ours.length >> 1] as number;

  const twin = new NaivePortManager();
  if (smoke) twin.setPortRange(FIRST, FIRST + count - 1);
  const random = new SeededRandom(4);
  const any = naive(0);
  const picked = new Uint16Array(count);
  const their = measureOnce(count, () => {
    for (let index = 0; index < count; index++)
      picked[index] = twin.reservePort(any, random.next());
  }).ns;
  checkEqual(digest, digestOf(picked), "ports to exhaustion");
  const figures = `${time(our)} against ${time(their)} per port`;
  report.row("takeMany to exhaustion", figures, { value: their / our, atLeast: 10000 });
}

// ── Words ─────────────────────────────────────────────────────────────────────────────────

async function words(report: Report, smoke: boolean): Promise<void> {
  report.heading("reservePort + release of one named port");
  using manager = PortManager.open();
  const pace = { operations: BATCH, milliseconds: smoke ? 1 : 400 };
  const ours = await measure(pace, () => {
    for (let index = 0; index < BATCH; index++) {
      manager
        .reservePort({ networks: [IPV4], transport: TCP, address: ADDRESS, port: 8080 })
        .release();
    }
  });
  const twin = new NaivePortManager();
  const theirs = await measure(pace, () => {
    for (let index = 0; index < BATCH; index++) {
      const request = naive(8080);
      twin.reservePort(request, 0);
      twin.releasePort(request);
    }
  });
  report.row("words", versus(ours, theirs), { value: theirs.ns / ours.ns, atLeast: 2 });
}

// ── One port with very many accepted tuples ───────────────────────────────────────────────

interface AcceptFigures {
  readonly bind: Figure;
  readonly refused: Figure;
  readonly reserve: Figure;
  readonly tuple: Figure;
}

async function accepts(report: Report, smoke: boolean): Promise<void> {
  const few = 1000;
  const many = smoke ? 10000 : 1000000;
  report.heading(`one port with a listener and ${few} or ${many} accepted tuples, TupleOnly`);
  const a = await acceptFigures(few, smoke);
  const b = await acceptFigures(many, smoke);
  const row = (name: string, of: (figures: AcceptFigures) => Figure, atMost: number): void => {
    const figures = `${time(of(a))}, with ${many} ${time(of(b))}`;
    report.row(name, figures, { value: of(b).ns / of(a).ns, atMost });
  };
  row("wildcard bind that shares, and release", ({ bind }) => bind, 2);
  row("wildcard availability, refused", ({ refused }) => refused, 2);
  row("new tuple, reservePort and release", ({ reserve }) => reserve, 6);
  row("new tuple, reserveTuple and release", ({ tuple }) => tuple, 6);
}

async function acceptFigures(tuples: number, smoke: boolean): Promise<AcceptFigures> {
  using manager = PortManager.open();
  const listener = accepted();
  manager.reservePort(listener);
  for (let index = 0; index < tuples; index++) manager.reserveTuple(tuple(index));
  const pace = { operations: BATCH, milliseconds: smoke ? 1 : 400 };
  const fresh = Array.from({ length: BATCH }, (_, index) => tuple(1000000 + index * 17));
  return {
    bind: await measure(pace, () => {
      for (let index = 0; index < BATCH; index++) manager.reservePort(listener).release();
    }),
    refused: await measure(pace, () => {
      const plain = { ...listener, flags: {} };
      for (let index = 0; index < BATCH; index++) manager.isAvailable(plain);
    }),
    reserve: await measure(pace, () => {
      for (const request of fresh) manager.reservePort(request).release();
    }),
    tuple: await measure(pace, () => {
      for (const request of fresh) manager.reserveTuple(request).release();
    }),
  };
}

function accepted(): PortRequest {
  return {
    networks: [IPV4],
    transport: TCP,
    address: ADDRESS,
    port: 443,
    flags: { tupleOnly: true },
  };
}

/** Peers of 50,000 ports each. */
function tuple(index: number): PortRequest {
  const address = `93.0.0.${Math.floor(index / 50000)}`;
  return { ...accepted(), destination: { address, port: 1 + (index % 50000) } };
}

// ── Memory ────────────────────────────────────────────────────────────────────────────────

/** Bytes of linear memory beyond those at open, in an instance of its own. */
function bytesTaken(fill: (manager: PortManager) => number): { taken: number; used: number } {
  const bytes = readFileSync(new URL("../core.wasm", import.meta.url));
  using manager = PortManager.open({ module: new WebAssembly.Module(bytes) });
  const before = manager.stats().memory;
  const live = fill(manager);
  const after = manager.stats().memory;
  return { taken: (after.taken - before.taken) / live, used: (after.used - before.used) / live };
}

function memory(report: Report, smoke: boolean): void {
  report.heading("linear memory beyond that at open, slack included, per live reservation");
  const row = (name: string, atMost: number, fill: (manager: PortManager) => number): void => {
    const { taken, used } = bytesTaken(fill);
    report.row(name, `${used.toFixed(3)} B in records`, { value: taken, atMost });
  };
  row(`${COUNT} binds on one address`, 1, (manager) => {
    const flow = manager.flow({ networks: [IPV4], transport: TCP, address: ADDRESS });
    return flow.takeMany(new Uint16Array(COUNT));
  });
  const destinations = smoke ? 3 : 21;
  row(`${COUNT * destinations} tuples over ${destinations} destinations`, 1, (manager) => {
    const ports = new Uint16Array(COUNT);
    let live = 0;
    for (let index = 0; index < destinations; index++) {
      const destination = { address: `93.0.0.${index}`, port: 443 };
      live += manager
        .flow({ networks: [IPV4], transport: TCP, address: ADDRESS, destination })
        .takeMany(ports);
    }
    return live;
  });
  const tuples = smoke ? 20000 : 1000000;
  row(`${tuples} accepted tuples on one port`, 64, (manager) => {
    manager.reservePort(accepted());
    for (let index = 0; index < tuples; index++) manager.reserveTuple(tuple(index));
    return tuples + 1;
  });
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function versus(ours: Figure, theirs: Figure): string {
  return `${time(ours)} against ${time(theirs)}`;
}

function checkEqual(ours: string, theirs: string, what: string): void {
  if (ours !== theirs) throw new Error(`${what}: our digest ${ours}, the twin's ${theirs}`);
}
