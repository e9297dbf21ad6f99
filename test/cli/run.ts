// Runs the command `portwarden` as a person would: as a process of its own.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

/** What a command line has led to. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

/** The program, as it is built. */
export const MAIN: string = fileURLToPath(
  new URL("../../build/bindings/cli/main.js", import.meta.url),
);
const RUN_MS_MAX = 60_000;

/** Runs a command line, whose words are apart by single blanks. */
export function run(line: string, env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return runWith(
    line.split(" ").filter((word) => word !== ""),
    env,
  );
}

/** Runs the command with these arguments. */
export function runWith(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const own = { ...process.env, NO_COLOR: "", COLUMNS: "", ...env };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, ...args],
      { env: own, timeout: RUN_MS_MAX },
      (error, out, errors) => {
        resolve({ code: error === null ? 0 : Number(error.code), out, errors });
      },
    );
  });
}

/** Runs a command line with `--json`: the exit code, and the document. */
export async function json(
  line: string,
): Promise<{ code: number; value: Record<string, unknown> }> {
  const { code, out, errors } = await run(`${line} --json`);
  expect(errors).toBe("");
  return { code, value: JSON.parse(out) };
}
