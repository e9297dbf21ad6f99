// The demo: real connections inside this machine, opened in three ways, with how many each gets and
// what one costs.

import { readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { canMakeNamespace, runInNamespace } from "../../node/host/namespace.ts";
import { CannotRun } from "../args.ts";
import { helpText, writeText } from "../output.ts";
import { type DemoOptions, HELP, understand } from "./options.ts";
import { CLOSE_MS_MAX, RUN_MS_MAX, show } from "./show.ts";

const INSIDE = fileURLToPath(new URL("./demo-inside.js", import.meta.url));
// Overwritten inside.
const PORT_RANGE = { first: 40_000, last: 40_511 };
const START_MS_MAX = 5000;

/**
 * Runs `portwarden demo` with these arguments; the exit code, see `--help`.
 * @throws BadInput when they are not understood; CannotRun if not one connection can be opened.
 */
export async function runDemo(args: readonly string[]): Promise<number> {
  const options = understand(args);
  if (options === undefined) {
    writeText(helpText(HELP));
    return 0;
  }
  if (!options.namespace) return show(options, { inside: false, why: "--no-namespace" });
  const answer = canMakeNamespace();
  return answer.ok ? runInside(options) : show(options, { inside: false, why: answer.why });
}

async function runInside(options: DemoOptions): Promise<number> {
  const here = readlinkSync("/proc/self/ns/net");
  const { code, timedOut } = await runInNamespace([INSIDE, JSON.stringify(options), here], {
    portRange: PORT_RANGE,
    timeoutMs: START_MS_MAX + RUN_MS_MAX + CLOSE_MS_MAX,
    stdio: "inherit",
  });
  if (timedOut) throw new CannotRun("the demo did not end in time, and was ended");
  return code;
}
