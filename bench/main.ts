// `npm run bench -- NAME...`: runs the named suites, or all, and delivers what they have found.

import { accessSync, closeSync, constants, mkdirSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compareWith } from "./harness/compare.ts";
import { machineLine, runOn } from "./harness/format.ts";
import { versionOf, withEachNode } from "./harness/nodes.ts";
import { runInOwnProcess } from "./harness/own-process.ts";
import { type Results, readResults, writeResults } from "./harness/results.ts";
import { Session, showThresholds } from "./harness/session.ts";
import { showSideBySide } from "./harness/side-by-side.ts";
import { SUITES } from "./harness/suites.ts";

const USAGE = `npm run bench -- [OPTIONS] [NAME...]

  --smoke          every row once and tiny: shows that all works, measures nothing
  --node PATH      runs the suites under that Node; given again, under each, side by side
  --json FILE      writes all rows and thresholds to FILE
  --compare FILE   prints how many times as long as in FILE each row takes
  --report DIR     writes DIR/report.md with a picture, and the results beside it
  --from FILE      takes the results from FILE instead of measuring; given again, side by side;
                   alone, prints its thresholds
  --help           prints this

names, all of them if none is given:

${Object.entries(SUITES)
  .map(([name, { title }]) => `  ${name.padEnd(12)}${title}`)
  .join("\n")}

All of them take about a quarter of an hour, tools half of it, --smoke less than a minute.

exit code: 0 if all thresholds are met, 1 if one is missed, 2 after a mistake on the command line`;

interface Order {
  readonly names: readonly string[];
  readonly smoke: boolean;
  /** Paths of Nodes; this one if there are none. */
  readonly nodes: readonly string[];
  /** What was measured before, and is not measured again. */
  readonly done: readonly Results[];
  readonly json: string | undefined;
  readonly old: Results | undefined;
  readonly report: string | undefined;
}

/** The command line is right, but not a file that it names. */
class FileMistake extends Error {}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));

/** Runs a command line, and leaves its exit code. */
export async function main(args: string[]): Promise<void> {
  const order = parsedOrder(args);
  if (order === undefined) return;
  const results = order.done.length > 0 ? order.done : await run(order);
  await deliver(results, order);
}

/** What the command line asks for, if there is something to do. */
function parsedOrder(args: string[]): Order | undefined {
  try {
    return orderOf(args);
  } catch (error) {
    const { message } = error as Error;
    console.error(error instanceof FileMistake ? message : `${message}\n\n${USAGE}`);
    process.exitCode = 2;
    return undefined;
  }
}

/** @throws Error with a message for the terminal. */
function orderOf(args: string[]): Order | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      smoke: { type: "boolean", default: false },
      node: { type: "string", multiple: true, default: [] },
      json: { type: "string" },
      compare: { type: "string" },
      report: { type: "string" },
      from: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return undefined;
  }
  const names = positionals.length > 0 ? [...new Set(positionals)] : Object.keys(SUITES);
  const unknown = names.filter((name) => !Object.hasOwn(SUITES, name));
  if (unknown.length > 0) throw new Error(`no suite is called ${unknown.join(", ")}`);
  if (values.from.length > 0 && positionals.length + values.node.length > 0) {
    throw new Error("--from measures nothing, so it takes neither names nor a Node");
  }
  if (values.json !== undefined && values.node.length > 1) {
    throw new Error("--json takes the results of one Node; --report takes those of several");
  }
  return withFiles(names, values);
}

interface Options {
  readonly smoke: boolean;
  readonly node: readonly string[];
  readonly json?: string;
  readonly compare?: string;
  readonly report?: string;
  readonly from: readonly string[];
}

/** Reads what is to be read, and tries what is to be written: now rather than after minutes. */
function withFiles(names: readonly string[], options: Options): Order {
  const { node: nodes, json, report, from, compare } = options;
  try {
    const done = from.map(readResults);
    const smoke = done[0]?.smoke ?? options.smoke;
    const old = compare === undefined ? undefined : readResults(compare);
    if (old !== undefined && old.smoke !== smoke) {
      const which = old.smoke ? "is of a tiny run, and this one is not" : "is not of a tiny run";
      throw new Error(`${compare} ${which}: they do not compare`);
    }
    for (const node of nodes) versionOf(node);
    if (json !== undefined) closeSync(openSync(json, "a"));
    if (report !== undefined) {
      mkdirSync(report, { recursive: true });
      accessSync(report, constants.W_OK);
    }
    return { names, smoke, nodes, done, json, old, report };
  } catch (error) {
    throw new FileMistake((error as Error).message);
  }
}

async function run({ names, smoke, nodes }: Order): Promise<Results[]> {
  if (nodes.length > 0) {
    const runs = withEachNode(names, nodes, smoke);
    if (!smoke) showThresholds(runs[0]?.thresholds ?? []);
    return runs;
  }
  return [names.length > 1 && !smoke ? runAll(names) : await runHere(names, smoke)];
}

async function runHere(names: readonly string[], smoke: boolean): Promise<Results> {
  const session = new Session(smoke);
  const machine = runOn();
  console.log(machineLine(machine));
  for (const name of names) {
    session.heading(SUITES[name]?.title ?? name);
    await SUITES[name]?.run(session);
  }
  session.close();
  return { machine, smoke, rows: session.rows, thresholds: session.thresholds };
}

/** Each suite in a process of its own. */
function runAll(names: readonly string[]): Results {
  const machine = runOn();
  const all = names.map((name) => runInOwnProcess(name));
  const thresholds = all.flatMap((results) => results.thresholds);
  showThresholds(thresholds);
  return { machine, smoke: false, rows: all.flatMap(({ rows }) => rows), thresholds };
}

async function deliver(results: readonly Results[], order: Order): Promise<void> {
  const { done, json, old, report } = order;
  const [first] = results as [Results];
  if (results.length > 1) showSideBySide(results);
  if (json !== undefined) writeResults(json, first);
  if (old !== undefined) compareWith(old, first);
  if (done.length === 1 && old === undefined && report === undefined) {
    console.log(machineLine(first.machine));
    showThresholds(first.thresholds);
  }
  if (report === undefined) return;
  // Only here, because the plotting library takes a while to load.
  const { writeReport } = await import("./harness/report.ts");
  console.log(`wrote ${writeReport(report, results)}`);
}
