// Connect: ports for connections to one or many destinations, as the ports of each run out. Ports
// are shared between destinations, never within one. A phase changes what is held, so a sample is
// one whole phase, from where the phase before it ended.

import type { Benchmark } from "../harness/benchmarks.ts";
import type { Place, Stage } from "../harness/setup.ts";
import { digestOf, offsetsOf } from "../harness/workloads.ts";
import { jsBitmap, jsBitmapBatch, jsSet, reference } from "./connect-baselines.ts";
import { type ConnectTaker, placeAt, type Workload } from "./connect-order.ts";
import { PHASES, SETTINGS, type Setting } from "./connect-tables.ts";
import { batch, handles, words } from "./connect-takers.ts";
import { Runner, runOnce, type Stint, type Stretch, stintOf, taking } from "./takers.ts";

const BENCH = "connect";
const TURNS = { rounds: 30, milliseconds: 150 };
/** How many times faster than the reference model the last phase is, with one destination. */
const LAST_BAR = 10000;

export const connectBenchmark: Benchmark = {
  title: "Connect: a port per connection, 1..1000 destinations in turn, by percent of ports held",
  run(stage) {
    for (const setting of SETTINGS) connect(stage, setting);
    const row = "random/dests-1/90-99";
    const value = stage.median(BENCH, row, "reference") / stage.median(BENCH, row, "handles");
    stage.judge({ name: `${BENCH}/${row}: reference over handles`, value, atLeast: LAST_BAR });
  },
};

/** Who takes part in a workload. */
interface Cast {
  readonly workload: Workload;
  readonly handles: Connector;
  readonly fast: readonly Connector[];
  /** The reference model, and words that offer port after port to a tester. */
  readonly slow: readonly Connector[];
}

type Connector = Runner<ConnectTaker>;

function connect(stage: Stage, setting: Setting): void {
  const cast = castOf(workloadOf(stage, setting));
  for (const [index, [from, to]] of PHASES.entries()) {
    const row = `${setting.way}/dests-${setting.destinations}/${from}-${to}`;
    const place = { bench: BENCH, row };
    const stretch = stretchOf(cast.workload, from, to);
    const some = Math.min(setting.slow[index] as number, cast.workload.destinations);
    const isWhole = some === cast.workload.destinations;
    whole(stage, place, stretch, isWhole ? cast : { ...cast, slow: [] });
    if (!isWhole && some > 0) part(stage, place, stretch, cast, some);
    const { first, end } = stretchOf(setting, from, to);
    const ns = setting.recorded[index] as number;
    stage.keepOne(place, "gvisor (recorded)", ns, { operations: end - first });
  }
  for (const { taker } of [...cast.fast, ...cast.slow]) taker.close();
}

function workloadOf({ smoke }: Stage, { way, ...setting }: Setting): Workload {
  const destinations = smoke ? Math.min(setting.destinations, 12) : setting.destinations;
  const range = smoke ? 100 : setting.range;
  const offsets = offsetsOf(3, placeAt({ destinations, range }, 99));
  if (way !== "stable") return { way, destinations, range, offsets };
  // Each destination has its own offset; the hint moves on by one with each connection. Within the
  // range beforehand, because numbers above 2^31 make JavaScript's loops slow, in later work too.
  const stable = (_: number, at: number): number =>
    ((at + Math.imul(at % destinations, 2654435761)) >>> 0) % range;
  return { way, destinations, range, offsets: offsets.map(stable) };
}

function castOf(workload: Workload): Cast {
  const runner = (taker: ConnectTaker): Connector => new Runner(taker);
  const first = runner(handles(workload));
  const fast = [
    first,
    ...[batch, jsSet, jsBitmap, jsBitmapBatch].map((of) => runner(of(workload))),
  ];
  const slow = [runner(reference(workload))];
  if (workload.way === "udp0") fast.push(runner(words(workload)));
  else if (workload.destinations <= 10) slow.push(runner(words(workload)));
  return { workload, handles: first, fast, slow };
}

function stretchOf(
  workload: Pick<Workload, "destinations" | "range">,
  from: number,
  to: number,
): Stretch {
  return { first: placeAt(workload, from), end: placeAt(workload, to) };
}

/** A whole phase of all: the slow ones a few times while it is short, else once. */
function whole(stage: Stage, place: Place, stretch: Stretch, { fast, handles, slow }: Cast): void {
  const stint = (runner: Connector): Stint => taking(runner, stretch);
  const few = (runner: Connector): Stint => ({ ...stint(runner), most: 3 });
  const isShort = stretch.first === 0;
  const often = [...fast.map(stint), ...(isShort ? slow.map(few) : [])];
  stage.compare(place, often, TURNS);
  if (isShort) return;
  for (const runner of slow) {
    runner.follow(stretch.first, handles.taker);
    runOnce(stage, place, stint(runner));
  }
}

/**
 * A row of its own for a phase that would take too long: the connections to `some` of the
 * destinations, while the others keep what they held when it began.
 */
function part(stage: Stage, place: Place, stretch: Stretch, cast: Cast, some: number): void {
  const { handles, slow, workload } = cast;
  const partly = { ...place, row: `${place.row}/${some}-dests` };
  const all = workload.destinations;
  stage.compare(partly, [takingSome(handles, stretch, all, some)], TURNS);
  for (const runner of slow) {
    runner.follow(stretch.first, handles.taker);
    runOnce(stage, partly, takingSome(runner, stretch, all, some));
  }
}

function takingSome(runner: Connector, stretch: Stretch, all: number, some: number): Stint {
  const { first, end } = stretch;
  const { taker } = runner;
  let isTaken = false;
  const close = (): void => {
    if (isTaken) taker.free(first, end, some);
    isTaken = false;
  };
  const prepare = (): void => {
    close();
    runner.goTo(first);
  };
  const run = (): void => {
    taker.take(first, end, some);
    isTaken = true;
  };
  const places = Array.from({ length: end - first }, (_, index) => first + index);
  const taken = places.filter((place) => place % all < some);
  const seen = (): string => digestOf(taken.map((place) => taker.portAt(place)));
  return { ...stintOf(taker.system, taken.length, { prepare, run, seen }), close };
}
