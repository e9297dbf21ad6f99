// The machine's own kernel: a helper in Python runs sequences of calls with real sockets, each in a
// network namespace of its own.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export type Call = readonly [string, ...unknown[]];

/** What a namespace has before the first call. */
export interface Environment {
  /** Texts by their names below net.ipv4. */
  readonly sysctl: Readonly<Record<string, string>>;
  /** Addresses beside loopback: those of IPv4 are on the device v0. */
  readonly v4: readonly string[];
  readonly v6: readonly string[];
  /** Do sockets bind with the rights of their owners? */
  readonly exec_as_owner: boolean;
}

export interface Answers {
  readonly answers?: readonly string[];
  /** How long the calls took. */
  readonly ms?: number;
  /** What went wrong in the helper. */
  readonly error?: string;
}

/** What answers sequences of calls as the kernel does. */
export interface Kernel {
  run(env: Environment, calls: readonly Call[]): Promise<Answers>;
  close(): Promise<void>;
}

/** Where the helper stands, for sources and for what is compiled. */
const HELPER = fileURLToPath(new URL("helper.py", import.meta.url)).replace(
  "/build/test/",
  "/test/",
);

/** Which kernel this machine has, and why it cannot be compared with; "" if it can. */
export function canRunKernel(): { readonly kernel: string; readonly why: string } {
  try {
    return JSON.parse(execFileSync("python3", [HELPER, "check"], { encoding: "utf8" }));
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return { kernel: "", why: isMissing ? "there is no python3" : `${error}` };
  }
}

export function openKernel(): Kernel {
  return new HelperProcess();
}

class HelperProcess implements Kernel {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const child = spawn("python3", [HELPER], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async run(env: Environment, calls: readonly Call[]): Promise<Answers> {
    this.#child.stdin?.write(`${JSON.stringify({ env, calls })}\n`);
    const line = await this.#lines.next();
    return line.done === true ? { error: "the helper is gone" } : JSON.parse(line.value);
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, "exit");
  }
}
