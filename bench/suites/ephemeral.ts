// Ephemeral: what a port costs as the range fills. TCP and UDP, plain and with SO_REUSEADDR.
//
// The workload is that of gVisor's recorded figures: ports held in one random order, each search from
// a random offset, what is taken is freed at once. With SO_REUSEADDR the held ports are those of a
// pool without, at the same address: a TCP pick never shares them, and a UDP pick shares only with
// its own pool. At 100 % there is no port, and taking alone is timed.

import { TCP, UDP } from "../../bindings/index.ts";
import type { Benchmark } from "../harness/benchmarks.ts";
import { type Measured, measureInTurn, type Turns } from "../harness/measure.ts";
import { FULL, ONE_FREE, type Scene, sceneOf } from "../harness/range.ts";
import { type Contender, checkEqual, type Place, type Stage } from "../harness/setup.ts";
import { handles, jsBitmap, jsSet, reference, words } from "./take-free.ts";
import { batch, jsBatch } from "./take-many.ts";

const OCCUPANCIES = [0, 50, 90, 99, 99.9, ONE_FREE, FULL] as const;
const BATCH = 256;

/** One kind of port. */
interface Kind {
  readonly row: string;
  readonly transport: number;
  readonly shares: boolean;
  /** Up to which occupancy the slow systems are asked: it bounds the time. */
  readonly referenceUpTo: number;
  readonly setUpTo: number;
}

const KINDS: readonly Kind[] = [
  { row: "tcp", transport: TCP, shares: false, referenceUpTo: FULL, setUpTo: FULL },
  { row: "udp", transport: UDP, shares: false, referenceUpTo: 90, setUpTo: FULL },
  // A Set and a loop have no idea of sharing.
  { row: "tcp-share-flags", transport: TCP, shares: true, referenceUpTo: 90, setUpTo: -1 },
  { row: "udp-share-flags", transport: UDP, shares: true, referenceUpTo: 90, setUpTo: -1 },
];

/** gVisor itself, in ns: medians of seven runs of its Go code on another machine. */
const GVISOR: Readonly<Record<string, readonly (readonly [occupancy: number, ns: number])[]>> = {
  tcp: [
    [0, 1188],
    [50, 3534],
    [90, 14600],
    [99, 113500],
    [99.9, 920300],
    [FULL, 52760000],
  ],
  udp: [
    [0, 1243],
    [50, 3313],
    [90, 10900],
    [99, 101900],
    [99.9, 906900],
    [FULL, 48200000],
  ],
};

/** How many searches make a sample, and a digest, of those that walk from port to port. */
const SLOW: Readonly<Record<number, { reference: number; set: number; digested: number }>> = {
  0: { reference: 1000, set: 4000, digested: 1000 },
  50: { reference: 1000, set: 4000, digested: 1000 },
  90: { reference: 1000, set: 4000, digested: 1000 },
  99: { reference: 200, set: 2000, digested: 500 },
  99.9: { reference: 50, set: 500, digested: 200 },
  [ONE_FREE]: { reference: 5, set: 50, digested: 10 },
  [FULL]: { reference: 2, set: 20, digested: 4 },
};

/** How many times faster than the reference model. */
const NAIVE_BARS: Readonly<Record<number, number>> = {
  0: 12,
  50: 60,
  90: 400,
  99: 4000,
  99.9: 30000,
};

const TURNS: Turns = { rounds: 2000, milliseconds: 150 };

export const ephemeralBenchmark: Benchmark = {
  title: "take + free of one port, random offsets, by percent of 16000..65535 held",
  run: (stage) => {
    for (const kind of KINDS) runKind(stage, kind);
  },
};

function runKind(stage: Stage, kind: Kind): void {
  const ratios: number[] = [];
  for (const occupancy of OCCUPANCIES) {
    ratios.push(singles(stage, kind, occupancy));
    batches(stage, kind, occupancy);
  }
  if (isPlainTcp(kind)) {
    const value = geometricMean(ratios);
    stage.judge({ name: "tcp: handles over js-bitmap, geometric mean", value, atMost: 1 });
  }
  flatness(stage, kind);
  for (const [occupancy, ns] of GVISOR[kind.row] ?? []) {
    stage.keepOne({ bench: "ephemeral", row: kind.row, occupancy }, "gvisor (recorded)", ns);
  }
}

/** Port by port; how many times as long as the bitmap the handle takes. */
function singles(stage: Stage, kind: Kind, occupancy: number): number {
  const { row, referenceUpTo, setUpTo } = kind;
  const { reference: few, set, digested } = SLOW[occupancy] as (typeof SLOW)[number];
  const isSlow = occupancy <= referenceUpTo;
  const scene = sceneFor(stage, kind, occupancy, isSlow ? digested : undefined);
  if (!isSlow) checkAgainstReference(stage, kind, occupancy, digested);
  const ours = handles(scene);
  const bitmap = jsBitmap(scene);
  const model = isSlow ? [reference(scene, { operations: few })] : [];
  const people = occupancy <= setUpTo ? [jsSet(scene, { operations: set })] : [];
  const place: Place = { bench: "ephemeral", row, occupancy };
  const all = [ours, words(scene), bitmap, ...people, ...model];
  const measured = stage.compare(place, all, TURNS);
  const ratio = measured.ratio(ours, bitmap);
  if (isPlainTcp(kind)) {
    stage.judge({ name: `tcp ${occupancy} %: handles over js-bitmap`, value: ratio, atMost: 1.15 });
    judgeReference(stage, measured, ours, model[0], occupancy);
  }
  return ratio;
}

/** Where the reference model is not timed, it still says which ports are right. */
function checkAgainstReference(
  stage: Stage,
  kind: Kind,
  occupancy: number,
  digested: number,
): void {
  const scene = sceneFor(stage, kind, occupancy, digested);
  const contenders = [handles(scene), jsBitmap(scene), reference(scene, { operations: 1 })];
  checkEqual({ place: { bench: "ephemeral", row: kind.row, occupancy }, contenders });
  for (const contender of contenders) contender.close?.();
}

function judgeReference(
  stage: Stage,
  measured: Measured,
  ours: Contender,
  model: Contender | undefined,
  occupancy: number,
): void {
  const atLeast = NAIVE_BARS[occupancy];
  if (model === undefined || atLeast === undefined) return;
  const value = measured.ratio(model, ours);
  stage.judge({ name: `tcp ${occupancy} %: handles, times faster than reference`, value, atLeast });
}

/** 256 ports at a time, or as many as are free. */
function batches(stage: Stage, kind: Kind, occupancy: number): void {
  const scene = sceneFor(stage, kind, occupancy);
  const size = scene.free === 0 ? BATCH : Math.min(BATCH, scene.free);
  const ours = batch(scene, size);
  const bitmap = jsBatch(scene, size);
  const place: Place = { bench: "ephemeral", row: kind.row, occupancy };
  const measured = stage.compare(place, [ours, bitmap], TURNS);
  if (!isPlainTcp(kind) || size < BATCH || scene.free === 0) return;
  const name = `tcp ${occupancy} %: batches of ${size}, times faster than js-bitmap batch`;
  stage.judge({ name, value: measured.ratio(bitmap, ours), atLeast: 1.3 });
}

/** Handles at all occupancies that leave a port, in turn. */
function flatness(stage: Stage, kind: Kind): void {
  const works = OCCUPANCIES.filter((occupancy) => occupancy !== FULL).map((occupancy) =>
    handles(sceneFor(stage, kind, occupancy)),
  );
  const measured = measureInTurn(stage.smoke ? { rounds: 1 } : TURNS, works);
  const medians = works.map((work) => measured.figure(work).median);
  const fastest = works[medians.indexOf(Math.min(...medians))] as Contender;
  const value = Math.max(...works.map((work) => measured.ratio(work, fastest)));
  const name = `${kind.row}: handles, slowest over fastest, 0 % to one port free`;
  stage.judge({ name, value, atMost: 2 });
}

function sceneFor(stage: Stage, kind: Kind, occupancy: number, digested = 1000): Scene {
  const { transport, shares } = kind;
  return sceneOf({ transport, shares, occupancy, smoke: stage.smoke, digested });
}

function isPlainTcp({ transport, shares }: Kind): boolean {
  return transport === TCP && !shares;
}

function geometricMean(values: readonly number[]): number {
  const logs = values.map(Math.log);
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}
