// The command line of the fuzzer: `npm run fuzz -- --minutes N [--seed S] [--worlds KIND]`.
//
// Exit code 0: time is over and nothing was found. 1: the two sides differ; the shrunk script is
// printed, with the seed that finds it again. 2: the command line is not what it should be.

import { parseArgs } from "node:util";
import { anySeed, type Campaign, wage } from "./campaign.ts";
import { all, dense, sparse, tight } from "./world.ts";

const USAGE = "usage: fuzz [--minutes N] [--seed S] [--worlds all|sparse|dense|tight]";
const WORLDS = { all, sparse, dense, tight };
const PROGRESS_MS = 10_000;

interface Asked {
  readonly minutes: number;
  readonly seed: number;
  readonly worlds: keyof typeof WORLDS;
}

const asked = understand(process.argv.slice(2));
if (asked === undefined) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = fuzz(asked);
}

function fuzz({ minutes, seed, worlds }: Asked): number {
  console.log(`seed ${seed}, ${minutes} minutes`);
  const start = Date.now();
  let shownAt = start;
  const campaign = wage({
    seed,
    worlds: WORLDS[worlds],
    isOver: (soFar) => {
      const now = Date.now();
      if (now - shownAt >= PROGRESS_MS) {
        shownAt = now;
        console.log(progress(soFar, now - start));
      }
      return now - start >= minutes * 60_000;
    },
  });

  console.log(progress(campaign, Date.now() - start));
  if (campaign.failure === undefined) return 0;
  console.log(campaign.failure.report);
  console.log(`again: npm run fuzz -- --seed=${campaign.roundSeed} --worlds ${worlds}`);
  return 1;
}

function progress({ seed, battles, operations }: Campaign, elapsedMs: number): string {
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
      },
    });
    const minutes = Number(values.minutes);
    const seed = values.seed === undefined ? anySeed() : Number(values.seed);
    const { worlds } = values;
    const isRight =
      minutes > 0 && Number.isInteger(seed) && seed >= 0 && Object.hasOwn(WORLDS, worlds);
    return isRight ? { minutes, seed, worlds: worlds as Asked["worlds"] } : undefined;
  } catch {
    return undefined;
  }
}
