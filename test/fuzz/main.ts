// The command line of the fuzzer: `npm run fuzz -- --minutes N [--seed S]`, with `--netstack`,
// `--linux`, `--udp`, `--cooldown`, `--groups` or `--api` for some of its subjects. Each subject
// that is asked for, or all of them, has its share of the time, in turns; `--subject NAME` is one
// alone. `--node` is for real connections under faults, and `--kernel` for LinuxPorts beside
// the machine's own kernel, alone.
//
// Exit code 0: time is over and nothing was found. 1: the model and the implementation differ; the
// shrunk session is printed, with the seed that finds it again. 2: the command line is not what it
// should be.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { api } from "./api/subject.ts";
import { cooldown } from "./cooldown/subject.ts";
import { type AnySubject, anySeed, fuzz, type Run } from "./fuzz.ts";
import { canRunKernel, openKernel } from "./kernel/kernel.ts";
import { type KernelRun, runKernel } from "./kernel/run.ts";
import { linux } from "./linux/subject.ts";
import { netstack } from "./netstack/subject.ts";
import { type RunProgress, runConnector } from "./node/run.ts";
import { udp } from "./udp/subject.ts";

const USAGE = `usage: fuzz [--netstack] [--linux] [--udp] [--cooldown] [--groups] [--api] [--subject NAME]
            [--minutes N] [--seed S]
       fuzz --node | --kernel [--minutes N] [--seed S]`;
const PROGRESS_MS = 10_000;
const MINUTE_MS = 60_000;
/** How long one subject goes on before it is the next one's turn. */
const TURN_MS = 20_000;

/** By the names of the options; a subject is opened when it is needed. */
const SUBJECTS: Readonly<Record<string, readonly (() => AnySubject)[]>> = {
  netstack: [() => netstack("all")],
  linux: (["mixed", "binding", "connecting", "tight", "wide", "wide binding"] as const).map(
    (theme) => () => linux(theme),
  ),
  udp: [() => udp("mixed"), () => udp("tight")],
  cooldown: [() => cooldown("debug")],
  api: [() => api()],
  groups: [() => netstack("grouped")],
};

interface Asked {
  readonly minutes: number;
  readonly seed: number;
  readonly names: readonly string[];
  readonly only: string | undefined;
  readonly node: boolean;
  readonly kernel: boolean;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv.slice(2));
  // Without this, Node 20 may wait for ever for the requests of sockets that have been closed
  // (Environment::CleanupHandles).
  process.stdout.write("", () => process.exit());
}

/** Runs a command line, and leaves its exit code. */
export async function main(args: string[]): Promise<void> {
  const asked = understand(args);
  if (asked === undefined) {
    console.error(USAGE);
    process.exitCode = 2;
    return;
  }
  const run = asked.node ? onConnector : asked.kernel ? onKernel : onSubjects;
  process.exitCode = await run(asked);
}

async function onSubjects({ minutes, seed, names, only }: Asked): Promise<number> {
  console.log(`seed ${seed}, ${minutes} minutes: ${names.join(", ")}`);
  const end = Date.now() + minutes * MINUTE_MS;
  const subjects = subjectsOf(names, only);
  if (subjects.length === 0) {
    console.error(`no subject is called ${only}`);
    return 2;
  }
  const share = Math.min(TURN_MS, (minutes * MINUTE_MS) / subjects.length);
  let operations = 0;
  for (let turn = 0; turn === 0 || Date.now() < end; turn++) {
    const subject = subjects[turn % subjects.length] as AnySubject;
    const run = await fuzz(subject, {
      seed: turn === 0 ? seed : seed + turn * 1000,
      isOver: over(share, end),
    });
    operations += run.figures.operations;
    console.log(told(subject, run));
    if (run.failure === undefined) continue;
    console.log(run.failure.report);
    console.log(`again: npm run fuzz -- --subject "${subject.name}" --seed=${run.roundSeed}`);
    return 1;
  }
  console.log(`${operations} operations, seed ${seed}`);
  return 0;
}

/** Connections of a connector, with faults at every stage. */
async function onConnector({ minutes, seed }: Asked): Promise<number> {
  console.log(`seed ${seed}, ${minutes} minutes: node`);
  const end = Date.now() + minutes * MINUTE_MS;
  let shownAt = Date.now();
  const isOver = ({ sessions, connections }: RunProgress): boolean => {
    if (Date.now() - shownAt >= PROGRESS_MS) {
      shownAt = Date.now();
      console.log(`${connections} connections, ${sessions} sessions`);
    }
    return sessions > 0 && Date.now() >= end;
  };
  const { connections, sessions, mismatch } = await runConnector({ seed, isOver });
  console.log(`${connections} connections, ${sessions} sessions, seed ${seed}`);
  if (mismatch === undefined) return 0;
  console.log(mismatch.what);
  console.log(`again: npm run fuzz -- --node --seed=${mismatch.seed}`);
  return 1;
}

/** LinuxPorts by the rules of 6.18 beside the machine's own kernel, with real sockets. */
async function onKernel({ minutes, seed }: Asked): Promise<number> {
  const { kernel: release, why } = canRunKernel();
  if (why !== "") {
    console.log(`not run: ${why}`);
    return 0;
  }
  console.log(`seed ${seed}, ${minutes} minutes: Linux ${release}`);
  const end = Date.now() + minutes * MINUTE_MS;
  let shownAt = Date.now();
  const isOver = (run: KernelRun): boolean => {
    if (Date.now() - shownAt >= PROGRESS_MS) {
      shownAt = Date.now();
      console.log(figuresOf(run));
    }
    return run.sequences > 0 && Date.now() >= end;
  };
  const kernel = openKernel();
  const run = await runKernel(kernel, { seed, isOver });
  await kernel.close();
  console.log(
    `Linux ${release}: ${figuresOf(run)}, ${run.mismatch === undefined ? 0 : 1} differences, seed ${seed}`,
  );
  if (run.mismatch === undefined) return 0;
  console.log(run.mismatch.what);
  console.log(`again: npm run fuzz -- --kernel --seed=${run.mismatch.seed}`);
  return 1;
}

function figuresOf({ sequences, operations, undecided }: KernelRun): string {
  return `${sequences} sequences, ${operations} operations, ${undecided} left to chance`;
}

function subjectsOf(names: readonly string[], only: string | undefined): AnySubject[] {
  const all = names.flatMap((name) => SUBJECTS[name] ?? []).map((open) => open());
  return only === undefined ? all : all.filter(({ name }) => name === only);
}

/** After a share of the time, and at the end of all; now and then it says what has been done. */
function over(shareMs: number, end: number): (run: Run) => boolean {
  const start = Date.now();
  let shownAt = start;
  return ({ figures, sessions }) => {
    const now = Date.now();
    if (now - shownAt >= PROGRESS_MS) {
      shownAt = now;
      console.log(`${figures.operations} operations, ${sessions} sessions`);
    }
    return sessions > 0 && (now - start >= shareMs || now >= end);
  };
}

function told({ name }: AnySubject, { figures, roundSeed, sessions }: Run): string {
  return `${name}: ${figures.operations} operations, ${sessions} sessions, seed ${roundSeed}`;
}

function understand(args: string[]): Asked | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        minutes: { type: "string", default: "1" },
        seed: { type: "string" },
        subject: { type: "string" },
        netstack: { type: "boolean", default: false },
        linux: { type: "boolean", default: false },
        udp: { type: "boolean", default: false },
        cooldown: { type: "boolean", default: false },
        groups: { type: "boolean", default: false },
        node: { type: "boolean", default: false },
        kernel: { type: "boolean", default: false },
        api: { type: "boolean", default: false },
      },
    });
    const minutes = Number(values.minutes);
    const seed = values.seed === undefined ? anySeed() : Number(values.seed);
    if (!(minutes > 0) || !Number.isInteger(seed) || seed < 0) return undefined;
    const all = Object.keys(SUBJECTS);
    const flags: Readonly<Record<string, unknown>> = values;
    const wanted = all.filter((name) => flags[name]);
    const names = wanted.length === 0 ? all : wanted;
    const { node, kernel, subject: only } = values;
    return { minutes, seed, names, only, node, kernel };
  } catch {
    return undefined;
  }
}
