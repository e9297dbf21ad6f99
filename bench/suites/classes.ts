// Classes: what the package's classes cost in a process that uses one of them, and in one that uses
// them all. All call the same exports of the core, and V8 compiles such a call into its caller only
// where it likes to: a class that was quick alone took 2.4 times as long beside the others.
//
// And what one call of a pool takes over one of the bitmap in JavaScript, and a reservation where
// half of the range is held, each in a process of its own, as a program has it that uses one of them.
// And reservations whose requests are made by spreading others of four shapes.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { figureOf } from "../harness/measure.ts";
import type { Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import type { ClassName, ClassSystem, OfClass } from "./classes-process.ts";

const SCRIPT = fileURLToPath(new URL("./classes-process.js", import.meta.url));
const NAMES: readonly ClassSystem[] = ["pool", "reservations", "listener", "sockets"];
/** Processes of each kind. */
const ROUNDS = 7;
/** How many times as long as alone. */
const TOGETHER_AT_MOST = 1.3;
/** What a pool's call takes over the bitmap's at most, by percent of the range that are held. */
const OVER_BITMAP_AT_MOST = { 0: 1.25, 50: 1.25, 90: 1, 99: 1, 99.9: 1, 99.998: 1 } as const;

const RESERVATION_NS_AT_MOST = 200;
/**
 * How many times as long a reservation takes that way, without the spread itself, as one whose
 * request is written out.
 */
const SPREAD_AT_MOST = 1.15;

type Found = Readonly<Record<ClassName, OfClass>>;

export const classesSuite: Suite = {
  title: "take + give back by each class in a process of its own, and by all in one",
  run(session) {
    const rounds = Array.from({ length: session.smoke ? 1 : ROUNDS }, () => ({
      alone: eachAlone(session),
      together: measured(session, NAMES),
    }));
    for (const name of NAMES) {
      for (const where of ["alone", "together"] as const) {
        keep(
          session,
          `${name}, ${where}`,
          name,
          rounds.map((round) => round[where][name]),
        );
      }
      const ratios = rounds.map(({ alone, together }) => together[name].p10 / alone[name].p10);
      const value = figureOf(ratios).median;
      session.check({ name: `${name}: together over alone`, value, atMost: TOGETHER_AT_MOST });
    }
    for (const [percent, most] of Object.entries(OVER_BITMAP_AT_MOST)) {
      overBitmap(session, Number(percent), most);
    }
    atHalf(session);
    spread(session);
  },
};

function overBitmap(session: Session, percent: number, atMost: number): void {
  const rounds = Array.from({ length: session.smoke ? 1 : ROUNDS }, () => ({
    ...measured(session, ["pool"], percent),
    ...measured(session, ["bitmap"], percent),
  }));
  for (const name of ["pool", "bitmap"] as const) {
    const found = rounds.map((round) => round[name]);
    keep(session, "one port, in a process of its own", name, found, percent);
  }
  const value = figureOf(rounds.map(({ pool, bitmap }) => pool.p10 / bitmap.p10)).median;
  session.check({ name: `one port at ${percent} %: pool over bitmap`, value, atMost });
}

function atHalf(session: Session): void {
  const rounds = Array.from({ length: session.smoke ? 1 : ROUNDS }, () => {
    return measured(session, ["reservations"], 50).reservations;
  });
  keep(session, "one port, in a process of its own", "reservations", rounds, 50);
  const value = figureOf(rounds.map(({ p10 }) => p10)).median;
  session.check({ name: "reservations at 50 %, ns", value, atMost: RESERVATION_NS_AT_MOST });
}

function spread(session: Session): void {
  const rounds = Array.from({ length: session.smoke ? 1 : ROUNDS }, () => ({
    ...measured(session, ["reservations"]),
    ...measured(session, ["spread requests"]),
    ...measured(session, ["spread alone"]),
  }));
  for (const [name, workload, system] of [
    ["spread requests", "one port, by spreading a request", "reservations"],
    ["spread alone", "the spread alone", "node"],
  ] as const) {
    keep(
      session,
      workload,
      system,
      rounds.map((round) => round[name]),
    );
  }
  const ratios = rounds.map(
    (round) => (round["spread requests"].p10 - round["spread alone"].p10) / round.reservations.p10,
  );
  const name = "reservations: requests spread over written out";
  session.check({ name, value: figureOf(ratios).median, atMost: SPREAD_AT_MOST });
}

/** One process for each class; one for all of them where they are tiny. */
function eachAlone(session: Session): Found {
  if (session.smoke) return measured(session, NAMES);
  return Object.assign({}, ...NAMES.map((name) => measured(session, [name])));
}

/** Runs a process that uses these classes. */
function measured({ smoke }: Session, names: readonly ClassName[], percent = 0): Found {
  const args = [SCRIPT, smoke ? "tiny" : "full", `${percent}`, ...names];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

function keep(
  session: Session,
  workload: string,
  system: System,
  found: readonly OfClass[],
  occupancy?: number,
): void {
  const { operations, digest } = found[0] as OfClass;
  // The tenth at the lower end of each process: what else the machine does counts for little.
  const figure = figureOf(found.map(({ p10 }) => p10));
  const key = { suite: "classes", workload, ...(occupancy !== undefined && { occupancy }) };
  session.keep({ ...key, system, operations, digest, ...figure });
}
