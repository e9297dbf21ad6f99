// `npm run bench -- NAME...`: runs the named benchmarks, or all.

import { parseArgs } from "node:util";
import { runEphemeral } from "./ephemeral.ts";
import { runLinux } from "./linux.ts";
import { machineLine, Report } from "./report.ts";

const BENCHMARKS: Record<string, (report: Report, smoke: boolean) => Promise<void>> = {
  ephemeral: runEphemeral,
  linux: runLinux,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS);
const unknown = names.filter((name) => !Object.hasOwn(BENCHMARKS, name));

if (values.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`no benchmark is called ${unknown.join(", ")}`);
  console.log(
    `npm run bench -- [--smoke] [NAME...]   names: ${Object.keys(BENCHMARKS).join(", ")}`,
  );
  if (unknown.length > 0) process.exitCode = 2;
} else {
  const report = new Report(!values.smoke);
  console.log(machineLine());
  for (const name of names) await BENCHMARKS[name]?.(report, values.smoke);
  report.close();
}
