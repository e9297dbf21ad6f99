// Processes with a time limit: those that come to an end, and servers that are stopped. None
// outlives this one.

import { type ChildProcess, spawn } from "node:child_process";

const LINES_SHOWN = 12;

export interface Limits {
  readonly cwd: string;
  readonly ms: number;
}

/** What stops with {@link Running.stop}. */
export interface Running {
  /** What made it known that it is ready. */
  readonly ready: RegExpExecArray;
  stop(): void;
}

const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** What it printed, once it has ended well. Throws what it printed last, if not. */
export function finished(
  command: string,
  args: readonly string[],
  limits: Limits,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const { child, printed } = launch(command, args, limits.cwd);
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${command}: not done after ${limits.ms / 1000} s${end(printed.all)}`));
    }, limits.ms);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(printed.out);
      else reject(new Error(`${command}: ended with ${code ?? signal}${end(printed.all)}`));
    });
  });
}

/** A server, once it has printed that it is ready. */
export function started(
  command: string,
  args: readonly string[],
  ready: RegExp,
  { cwd, ms }: Limits,
): Promise<Running> {
  return new Promise((resolve, reject) => {
    const { child, printed } = launch(command, args, cwd);
    const stop = (): void => void child.kill("SIGKILL");
    const fail = (what: string): void => {
      stop();
      reject(new Error(`${command}: ${what}${end(printed.all)}`));
    };
    const timer = setTimeout(() => fail(`not ready after ${ms / 1000} s`), ms);
    child.once("error", (error) => fail(error.message));
    child.once("close", (code) => fail(`ended with ${code}`));
    const look = (): void => {
      const match = ready.exec(printed.all);
      if (match === null) return;
      clearTimeout(timer);
      resolve({ ready: match, stop });
    };
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
  });
}

function launch(command: string, args: readonly string[], cwd: string) {
  // Colours would stand between the words that are looked for.
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined };
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  child.once("close", () => children.delete(child));
  const printed = { out: "", all: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed.out += text;
    printed.all += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    printed.all += text;
  });
  return { child, printed };
}

function end(text: string): string {
  const lines = text.trim().split("\n").slice(-LINES_SHOWN);
  return lines.map((line) => `\n    ${line.slice(0, 300)}`).join("");
}
