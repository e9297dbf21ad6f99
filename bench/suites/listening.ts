// Listening: processes that all want ports at the same time, and listen on them a moment later, as
// the workers of a test runner do. How long they take to find their ports, and how many of the
// ports could not be listened on, because another process got the same number.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { figureOf } from "../harness/measure.ts";
import type { RowKey, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";

const SCRIPT = fileURLToPath(new URL("./port-finder.js", import.meta.url));
const SYSTEMS: readonly System[] = ["leasePort", "get-port", "portfinder", "detect-port"];
const PROCESSES = 64;
const PORTS = 20;
const MOMENT_MS = 100;

interface Found {
  readonly ms: number;
  readonly ports: readonly number[];
}

export const listeningSuite: Suite = {
  title: "ports that processes find at once, and listen on a moment later",
  async run(session) {
    const processes = session.smoke ? 2 : PROCESSES;
    const keyOf = (what: string): RowKey => ({
      suite: "listening",
      workload: `${processes} processes, ${PORTS} ports each: ${what}`,
    });
    for (const system of SYSTEMS) {
      const { found, refused } = await race(system, processes);
      const figure = figureOf(found.map(({ ms }) => ms * 1e6));
      session.keep({ ...keyOf("time to find"), system, operations: PORTS, ...figure });
      const keep = (what: string, value: number): void => {
        session.keepOne(keyOf(what), system, value, { unit: "ratio" });
      };
      keep(
        "of them named twice",
        PORTS * processes - new Set(found.flatMap(({ ports }) => ports)).size,
      );
      keep("of them refused", refused);
      if (system !== "leasePort") continue;
      session.check({ name: "leased ports that are refused", value: refused, atMost: 0 });
    }
  },
};

/** All find their ports, then all listen on them, then all end. */
async function race(
  system: System,
  processes: number,
): Promise<{ found: Found[]; refused: number }> {
  const finders = Array.from({ length: processes }, () => new Finder(system));
  try {
    await Promise.all(finders.map((finder) => finder.line()));
    const found = (await Promise.all(finders.map((finder) => finder.ask()))) as Found[];
    await sleep(MOMENT_MS);
    const ends = (await Promise.all(finders.map((finder) => finder.ask()))) as {
      refused: number;
    }[];
    return { found, refused: ends.reduce((sum, { refused }) => sum + refused, 0) };
  } finally {
    for (const finder of finders) finder.end();
  }
}

class Finder {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(system: System) {
    this.#child = spawn(process.execPath, [SCRIPT, system, `${PORTS}`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.#child.stdout as Readable })[
      Symbol.asyncIterator
    ]();
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("a process has ended before it had said anything");
    return value;
  }

  async ask(): Promise<unknown> {
    (this.#child.stdin as Writable).write("\n");
    return JSON.parse(await this.line());
  }

  end(): void {
    this.#child.kill("SIGKILL");
  }
}
