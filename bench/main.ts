// `npm run bench -- NAME...`: runs the named benchmarks, or all.

import { accessSync, closeSync, constants, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runApart } from "./harness/apart.ts";
import { BENCHMARKS } from "./harness/benchmarks.ts";
import { compareWith } from "./harness/compare.ts";
import { machine, machineLine } from "./harness/format.ts";
import { type Results, readResults, writeResults } from "./harness/results.ts";
import { isMet, Stage, showBar, showBars } from "./harness/setup.ts";

/** Each in a few words. */
const SHORT: Readonly<Record<string, string>> = {
  ephemeral: "any free port",
  explicit: "explicit ports",
  throughput: "batches",
  fill: "every port once",
  connect: "destinations",
  accepts: "listeners",
  company: "other pools",
  churn: "endurance",
  memory: "bytes",
  start: "startup",
  calls: "call overhead",
  sizes: "file sizes",
  packages: "npm rivals",
  linux: "Linux rules",
  limits: "groups, reserved ports",
  policies: "selection policies",
  cooldown: "cooling ports, fifo",
  connector: "real connections",
};

const USAGE = `npm run bench -- [OPTIONS] [NAME...]

  --smoke          every row once and tiny: shows that all works, measures nothing
  --json FILE      writes all rows and bars to FILE
  --compare FILE   prints how many times as long as in FILE each row takes
  --report DIR     writes DIR/report.md with charts, and DIR/results.json
  --from FILE      takes the results from FILE instead of measuring; alone, prints its bars
  --help           prints this

names, all of them if none is given:

${Object.keys(BENCHMARKS)
  .map((name) => `  ${name.padEnd(12)}${SHORT[name] ?? ""}`.trimEnd())
  .join("\n")}

All of them take about five minutes, ephemeral about one, --smoke some seconds.

exit code: 0 if all bars are met, 1 if one is missed, 2 after a mistake on the command line`;

interface Order {
  readonly names: readonly string[];
  readonly smoke: boolean;
  /** What was measured before, and is not measured again. */
  readonly done: Results | undefined;
  readonly json: string | undefined;
  readonly old: Results | undefined;
  readonly report: string | undefined;
}

/** The command line is fine, but not a file that it names. */
class FileMistake extends Error {}

const order = understood();
if (order !== undefined) {
  const results = order.done ?? (await run(order.names, order.smoke));
  await deliver(results, order);
}

/** What the command line asks for, if there is something to do. */
function understood(): Order | undefined {
  try {
    return orderOf(process.argv.slice(2));
  } catch (error) {
    const { message } = error as Error;
    console.error(error instanceof FileMistake ? message : `${message}\n\n${USAGE}`);
    process.exitCode = 2;
    return undefined;
  }
}

/** @throws Error with a message for whoever typed it. */
function orderOf(args: string[]): Order | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      smoke: { type: "boolean", default: false },
      json: { type: "string" },
      compare: { type: "string" },
      report: { type: "string" },
      from: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return undefined;
  }
  const names = positionals.length > 0 ? [...new Set(positionals)] : Object.keys(BENCHMARKS);
  const unknown = names.filter((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown.length > 0) throw new Error(`no benchmark is called ${unknown.join(", ")}`);
  if (values.from !== undefined && positionals.length > 0) {
    throw new Error("--from measures nothing, so it takes no names");
  }
  return withFiles(names, values);
}

interface Options {
  readonly smoke: boolean;
  readonly json?: string;
  readonly compare?: string;
  readonly report?: string;
  readonly from?: string;
}

/** Reads what is to be read, and tries what is to be written: now rather than after some minutes. */
function withFiles(names: readonly string[], options: Options): Order {
  const { json, report, from, compare } = options;
  try {
    const done = from === undefined ? undefined : readResults(from);
    const smoke = done?.smoke ?? options.smoke;
    const old = compare === undefined ? undefined : readResults(compare);
    if (old !== undefined && old.smoke !== smoke) {
      const which = old.smoke ? "is of a tiny run, and this one is not" : "is not of a tiny run";
      throw new Error(`${compare} ${which}: they do not compare`);
    }
    if (json !== undefined) closeSync(openSync(json, "a"));
    if (report !== undefined) {
      mkdirSync(report, { recursive: true });
      accessSync(report, constants.W_OK);
    }
    return { names, smoke, done, json, old, report };
  } catch (error) {
    throw new FileMistake((error as Error).message);
  }
}

async function run(names: readonly string[], smoke: boolean): Promise<Results> {
  if (names.length > 1 && !smoke) return runAll(names);
  const stage = new Stage(smoke);
  const ran = machine();
  console.log(machineLine(ran));
  for (const name of names) {
    stage.heading(BENCHMARKS[name]?.title ?? name);
    await BENCHMARKS[name]?.run(stage);
  }
  stage.close();
  return { machine: ran, smoke, rows: stage.rows, bars: stage.bars };
}

/** Each benchmark in a process of its own. */
function runAll(names: readonly string[]): Results {
  const ran = machine();
  const all = names.map(runApart);
  const bars = all.flatMap((results) => results.bars);
  showBars(bars);
  return { machine: ran, smoke: false, rows: all.flatMap(({ rows }) => rows), bars };
}

async function deliver(results: Results, { done, json, old, report }: Order): Promise<void> {
  if (json !== undefined) writeResults(json, results);
  if (old !== undefined) compareWith(old, results);
  if (done !== undefined && old === undefined && report === undefined) judgeAgain(done);
  if (report === undefined) return;
  // Only here, because the plotting library takes a while to load.
  const { PAGE, writeReport } = await import("./report/page.ts");
  writeReport(report, results);
  console.log(`wrote ${join(report, PAGE)}`);
}

/** The bars of an earlier run, missed ones first; the exit code is as it was then. */
function judgeAgain({ machine: ran, smoke, bars }: Results): void {
  console.log(machineLine(ran));
  const rank = (met: boolean): number => (smoke || !met ? 0 : 1);
  const sorted = [...bars].sort((a, b) => rank(isMet(a)) - rank(isMet(b)));
  for (const bar of sorted) console.log(`${bar.name}: ${showBar(bar, smoke)}`);
  if (!smoke) showBars(bars);
}
