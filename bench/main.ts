// `npm run bench -- NAME...`: runs the named benchmarks, or all.

import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { runApart } from "./apart.ts";
import { BENCHMARKS } from "./benchmarks.ts";
import { compareWith } from "./compare.ts";
import { machine, machineLine } from "./format.ts";
import { type Results, readResults, writeResults } from "./results.ts";
import { Stage, showBars } from "./stage.ts";

const USAGE = `npm run bench -- [OPTIONS] [NAME...]

  --smoke          every row once and tiny: shows that all works, measures nothing
  --json FILE      writes all rows and bars to FILE
  --compare FILE   prints how many times as long as in FILE each row takes
  --report DIR     writes a page and charts to DIR
  --from FILE      takes the results from FILE instead of measuring

names: ${Object.keys(BENCHMARKS).join(", ")}`;

interface Order {
  readonly names: readonly string[];
  readonly smoke: boolean;
  /** What was measured before, and is not measured again. */
  readonly done: Results | undefined;
  readonly json: string | undefined;
  readonly old: Results | undefined;
  readonly report: string | undefined;
}

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
    console.error(`${(error as Error).message}\n\n${USAGE}`);
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
  const { smoke, json, compare, report, from } = values;
  const names = positionals.length > 0 ? [...new Set(positionals)] : Object.keys(BENCHMARKS);
  const unknown = names.filter((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown.length > 0) throw new Error(`no benchmark is called ${unknown.join(", ")}`);
  if (from !== undefined && positionals.length > 0) {
    throw new Error("--from measures nothing, so it takes no names");
  }
  const done = from === undefined ? undefined : readResults(from);
  const old = compare === undefined ? undefined : readResults(compare);
  // Now rather than after some minutes, should that fail.
  if (json !== undefined) {
    mkdirSync(dirname(json), { recursive: true });
    closeSync(openSync(json, "a"));
  }
  if (report !== undefined) mkdirSync(report, { recursive: true });
  return { names, smoke, done, json, old, report };
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
  const all = names.map(runApart);
  const bars = all.flatMap((results) => results.bars);
  showBars(bars);
  return { machine: machine(), smoke: false, rows: all.flatMap(({ rows }) => rows), bars };
}

async function deliver(results: Results, { json, old, report }: Order): Promise<void> {
  if (json !== undefined) writeResults(json, results);
  if (old !== undefined) compareWith(old, results);
  if (report === undefined) return;
  // Only here, because the plotting library takes a while to load.
  const { writeReport } = await import("./report/page.ts");
  writeReport(report, results);
}
