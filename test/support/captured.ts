// Commands in this process: what a command line says, and the exit code that it leaves. It starts in
// no time, where a process of its own would load everything again.

import { execFile } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { vi } from "vitest";

/** What a command line has led to. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

/** Runs a command's main function here. */
export async function captured(
  main: (args: string[]) => Promise<void>,
  args: readonly string[],
): Promise<Outcome> {
  const [out, errors]: [string[], string[]] = [[], []];
  const into = (lines: string[]) => (line: unknown) => void lines.push(`${line}\n`);
  const spies = [
    vi.spyOn(console, "log").mockImplementation(into(out)),
    vi.spyOn(console, "error").mockImplementation(into(errors)),
  ];
  try {
    process.exitCode = 0;
    await main([...args]);
    return { code: Number(process.exitCode), out: out.join(""), errors: errors.join("") };
  } finally {
    process.exitCode = 0;
    for (const spy of spies) spy.mockRestore();
  }
}

/** Runs a script of Node in a process of its own. */
export function spawned(script: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], (error, out, errors) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, errors });
    });
  });
}

/** The first line that a process or thread prints. Throws, where it ends without one. */
export async function firstLine(stdout: Readable): Promise<string> {
  for await (const line of createInterface({ input: stdout })) return line;
  throw new Error("it has ended and printed nothing");
}
