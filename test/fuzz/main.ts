// The command line of the fuzzer: `npm run fuzz -- --minutes N [--seed S] [--worlds KIND]`, and
// `npm run fuzz -- --linux --minutes N [--seed S]` for LinuxPorts.
//
// Exit code 0: time is over and nothing was found. 1: the two sides differ; the shrunk script is
// printed, with the seed that finds it again. 2: the command line is not what it should be.

import { parseArgs } from "node:util";
import { anySeed, wage } from "./campaign.ts";
import { wage as wageLinux } from "./linux/campaign.ts";
import { arenaOn } from "./linux/opponent.ts";
import { all, dense, sparse, tight } from "./world.ts";

const USAGE = `usage: fuzz [--minutes N] [--seed S] [--worlds all|sparse|dense|tight]
       fuzz --linux [--minutes N] [--seed S]`;
const WORLDS = { all, sparse, dense, tight };
const PROGRESS_MS = 10_000;

interface Asked {
  readonly minutes: number;
  readonly seed: number;
  readonly worlds: keyof typeof WORLDS;
  readonly linux: boolean;
}

/** What the two kinds of campaign have in common. */
interface Progress {
  readonly seed: number;
  readonly battles: number;
  readonly operations: number;
}

interface Over extends Progress {
  readonly report: string | undefined;
  /** The arguments that begin with the battle that failed. */
  readonly again: string;
}

const asked = understand(process.argv.slice(2));
if (asked === undefined) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = fuzz(asked);
}

function fuzz(asked: Asked): number {
  const { minutes, seed } = asked;
  console.log(`seed ${seed}, ${minutes} minutes`);
  const start = Date.now();
  let shownAt = start;
  const isOver = (soFar: Progress): boolean => {
    const now = Date.now();
    if (now - shownAt >= PROGRESS_MS) {
      shownAt = now;
      console.log(progress(soFar, now - start));
    }
    return now - start >= minutes * 60_000;
  };

  const over = asked.linux ? onLinux(asked, isOver) : onManagers(asked, isOver);
  console.log(progress(over, Date.now() - start));
  if (over.report === undefined) return 0;
  console.log(over.report);
  console.log(`again: npm run fuzz -- ${over.again}`);
  return 1;
}

function onManagers({ seed, worlds }: Asked, isOver: (soFar: Progress) => boolean): Over {
  const campaign = wage({ seed, worlds: WORLDS[worlds], isOver });
  const again = `--seed=${campaign.roundSeed} --worlds ${worlds}`;
  return { ...campaign, report: campaign.failure?.report, again };
}

function onLinux({ seed }: Asked, isOver: (soFar: Progress) => boolean): Over {
  const campaign = wageLinux({ seed, isOver, ...arenaOn("debug") });
  const again = `--linux --seed=${campaign.battleSeed}`;
  return { ...campaign, report: campaign.failure?.report, again };
}

function progress({ seed, battles, operations }: Progress, elapsedMs: number): string {
  return `${Math.round(elapsedMs / 1000)} s: ${operations} operations, ${battles} battles, seed ${seed}`;
}

function understand(args: string[]): Asked | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        minutes: { type: "string", default: "1" },
        seed: { type: "string" },
        worlds: { type: "string", default: "all" },
        linux: { type: "boolean", default: false },
      },
    });
    const minutes = Number(values.minutes);
    const seed = values.seed === undefined ? anySeed() : Number(values.seed);
    const { worlds, linux } = values;
    const isRight =
      minutes > 0 &&
      Number.isInteger(seed) &&
      seed >= 0 &&
      Object.hasOwn(WORLDS, worlds) &&
      (!linux || worlds === "all");
    return isRight ? { minutes, seed, worlds: worlds as Asked["worlds"], linux } : undefined;
  } catch {
    return undefined;
  }
}
