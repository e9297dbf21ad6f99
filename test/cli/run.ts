// Runs the command `portwarden`: in this process, where only what it says and answers is looked at,
// or as a person would, as a process of its own.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, vi } from "vitest";
import { runCommand } from "../../bindings/cli/command.ts";

/** What a command line has led to. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

/** The program, as it is built. */
export const MAIN: string = fileURLToPath(new URL("../../build/lib/cli.js", import.meta.url));
const RUN_MS_MAX = 600_000;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Runs a command line, whose words are apart by single blanks. */
export function run(line: string, env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  return runWith(wordsOf(line), env);
}

/** Runs the command with these arguments. */
export async function runWith(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const out: string[] = [];
  const errors: string[] = [];
  const listenersBefore = SIGNALS.map((signal) => [signal, process.listeners(signal)] as const);
  try {
    for (const [name, value] of Object.entries({ COLUMNS: "", ...env })) vi.stubEnv(name, value);
    vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
    vi.spyOn(process.stderr, "write").mockImplementation((text) => errors.push(String(text)) > 0);
    const code = await runCommand([...args]);
    return { code, out: out.join(""), errors: errors.join("") };
  } finally {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    for (const [signal, before] of listenersBefore) {
      for (const listener of process.listeners(signal)) {
        if (!before.includes(listener)) process.off(signal, listener);
      }
    }
  }
}

/** Runs a command line in a process of its own. */
export function runProcess(line: string, env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const own = { ...process.env, NO_COLOR: "", COLUMNS: "", ...env };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, ...wordsOf(line)],
      { env: own, timeout: RUN_MS_MAX },
      (error, out, errors) => {
        resolve({ code: error === null ? 0 : Number(error.code), out, errors });
      },
    );
  });
}

function wordsOf(line: string): string[] {
  return line.split(" ").filter((word) => word !== "");
}

/** Runs a command line with `--json`: the exit code, and the document. */
export async function json(
  line: string,
): Promise<{ code: number; value: Record<string, unknown> }> {
  const { code, out, errors } = await run(`${line} --json`);
  expect(errors).toBe("");
  return { code, value: JSON.parse(out) };
}
