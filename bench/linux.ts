// Linux: what a socket's port costs as the local range fills, beside the naive twin of the kernel's
// two functions, in one run and through the public API; then what groups and reserved ports add,
// selection policies, TIME_WAIT, and what a live kernel was seen to take.

import { LinuxPorts } from "../bindings/index.ts";
import { flowLimits, policies } from "./flows.ts";
import { measureInTurn, type Work } from "./interleaved.ts";
import { socketLimits } from "./limits.ts";
import { countOf, PERCENTS, rangeFor, scattered, searched, shareOf } from "./local-range.ts";
import { type Figure, measure } from "./measure.ts";
import { showRecorded } from "./recorded.ts";
import { type Report, time } from "./report.ts";
import {
  BATCH,
  CALLS,
  KINDS,
  type Kind,
  ours,
  oursPrepared,
  type Setting,
  type Side,
  twin,
} from "./sockets.ts";
import { digestOf } from "./workloads.ts";

const ROUNDS = 300;
const SPREAD_AT_MOST = 2.5;
/** How many times faster than the naive twin where the range is fullest. */
const FULLEST_AT_LEAST = 1000;
const FULLEST = 99.9;
/** Operations in a batch of the twin where one takes it up to 15 ms, and in tiny runs. */
const TWIN_SHORT = 100;
const TWIN_SMOKE = 20;

const TIME_WAIT_MS = 60_000;
const DESTINATIONS = 8;

export async function runLinux(report: Report, smoke: boolean): Promise<void> {
  for (const kind of KINDS) {
    await occupancy(report, smoke, kind, "scattered");
    await occupancy(report, smoke, kind, "as searches leave them");
  }
  socketLimits(report, smoke);
  flowLimits(report, smoke);
  policies(report, smoke);
  timeWait(report, smoke);
  showRecorded(report);
}

// ── One socket, in a range that is more or less full ──────────────────────────────────────

type FreePorts = "scattered" | "as searches leave them";

interface Case {
  readonly percent: number;
  readonly setting: Setting;
  /** Operations in a batch of the twin. */
  readonly twinBatch: number;
  readonly whole: Side;
  readonly prepared: Side;
}

async function occupancy(
  report: Report,
  smoke: boolean,
  kind: Kind,
  free: FreePorts,
): Promise<void> {
  const range = rangeFor(smoke);
  report.heading(
    `socket + ${CALLS[kind]} + close, ${countOf(range)} ports, free ones ${free}; naive: the same`,
  );
  const order = free === "scattered" ? scattered(range) : searched(range);
  const cases = PERCENTS.map((percent): Case => {
    const setting = { kind, range, held: shareOf(order, percent) };
    const twinBatch = smoke ? TWIN_SMOKE : twinBatchAt(percent, free);
    return { percent, setting, twinBatch, whole: ours(setting), prepared: oursPrepared(setting) };
  });
  const naive = new Map<Case, Figure>();
  for (const item of cases) naive.set(item, await twinFigure(item, smoke));

  const turns = { operations: BATCH, rounds: smoke ? 1 : ROUNDS };
  const sides = cases.flatMap(({ whole, prepared }) => [whole, prepared]);
  const timed = measureInTurn(turns, sides);
  for (const item of cases) showCase(report, item, timed.figure(item.whole), naive.get(item));
  const wholes = cases.map(({ whole }) => timed.figure(whole));
  const value = spreadOf(wholes);
  report.row("slowest of these over the fastest", "", { value, atMost: SPREAD_AT_MOST });
  const picks = cases.map(({ prepared }) => timed.figure(prepared));
  const figures = `${picks.map(time).join(", ")}: ${showRatio(spreadOf(picks))}`;
  report.row("the same without socket(): pick + close", figures);
}

function showCase(report: Report, item: Case, our: Figure, naive: Figure | undefined): void {
  const { percent, twinBatch } = item;
  const their = naive as Figure;
  const ratio = their.ns / our.ns;
  const batches = twinBatch < BATCH ? `, naive in batches of ${twinBatch}` : "";
  const name = `${percent} % held${batches}`;
  const figures = `${time(our)} against ${time(their)}`;
  if (percent === FULLEST) report.row(name, figures, { value: ratio, atLeast: FULLEST_AT_LEAST });
  else report.row(name, `${figures.padEnd(40)} ${showRatio(ratio)}`);
}

function spreadOf(figures: readonly Figure[]): number {
  const times = figures.map(({ ns }) => ns);
  return Math.max(...times) / Math.min(...times);
}

/** Where free ports lie together, one operation takes the twin up to 15 ms. */
function twinBatchAt(percent: number, free: FreePorts): number {
  return free === "scattered" || percent < 99 ? BATCH : TWIN_SHORT;
}

/** After all three sides have picked the same ports. */
async function twinFigure(item: Case, smoke: boolean): Promise<Figure> {
  const { percent, setting, twinBatch, whole, prepared } = item;
  const naive = twin(setting, twinBatch);
  const digest = digestOf(naive.picks(twinBatch));
  for (const side of [whole, prepared]) {
    const own = digestOf(side.picks(twinBatch));
    if (own === digest) continue;
    throw new Error(`${setting.kind} at ${percent} %: our digest ${own}, the twin's ${digest}`);
  }
  const pace = smoke ? { samples: 1, milliseconds: 1 } : { samples: 3, milliseconds: 600 };
  return measure({ operations: twinBatch, ...pace }, naive.run);
}

// ── TIME_WAIT ─────────────────────────────────────────────────────────────────────────────

function timeWait(report: Report, smoke: boolean): void {
  const few = 1000;
  const many = smoke ? 10_000 : 100_000;
  report.heading(
    `socket + connect() + close() into TIME_WAIT; the clock moves on, and the oldest expires`,
  );
  const [small, large] = [waiting(few), waiting(many)];
  const turns = { operations: BATCH, rounds: smoke ? 1 : ROUNDS };
  const timed = measureInTurn(turns, [small, large]);
  const figures = `${time(timed.figure(small))}, with ${many} ${time(timed.figure(large))}`;
  report.row(`${few} wait`, `${figures}: ${showRatio(timed.ratio(large, small))}`);
}

/** A machine on which so many connections wait at any time, each for a minute. */
function waiting(entries: number): Work {
  const ports = LinuxPorts.open({ seed: 5 });
  const destinations = Array.from({ length: DESTINATIONS }, (_, index) => `10.9.0.${1 + index}`);
  let number = 0;
  const once = (): void => {
    ports.setTime((number * TIME_WAIT_MS) / entries);
    const socket = ports.socket();
    socket.connect(destinations[number % DESTINATIONS] as string, 443);
    socket.close({ timeWait: true });
    ports.expireTimeWait();
    number++;
  };
  for (let index = 0; index < 2 * entries; index++) once();
  return {
    run() {
      for (let index = 0; index < BATCH; index++) once();
    },
    close: () => ports.close(),
  };
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function showRatio(value: number): string {
  return value.toFixed(value < 100 ? 2 : 0);
}
