// Hosts: processes with servers, as the scripts of the proofs start, ask and kill them.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** What servers speak. */
export type Kind = "tcp" | "tls" | "http" | "https" | "ws";

/** Where their addresses are; outside of the range that clients use. */
export const HOST = "127.0.0.1";
const SCRIPT = fileURLToPath(new URL("servers.js", import.meta.url));

/** A process with servers on so many ports, one after another. */
export class Host {
  readonly ports: readonly number[];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ports: readonly number[]) {
    this.#child = child;
    this.ports = ports;
  }

  static async start(kind: Kind, first: number, count: number, backlog = 511): Promise<Host> {
    const child = fork(SCRIPT, [kind, first, count, backlog].map(String));
    await once(child, "message");
    return new Host(
      child,
      Array.from({ length: count }, (_, index) => first + index),
    );
  }

  /** The peers that are connected to each server: `address:port`. */
  async who(): Promise<string[][]> {
    const answer = once(this.#child, "message");
    this.#child.send("who");
    return (await answer)[0] as string[][];
  }

  /** Asks until so many are connected, or some seconds have passed. */
  async whoWhen(count: number): Promise<string[][]> {
    const until = Date.now() + 60_000;
    for (;;) {
      const found = await this.who();
      if (found.flat().length === count || Date.now() > until) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Stops it from doing anything, its accepting included. */
  stop(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Ends it as a crash would: the system resets its connections. */
  async kill(): Promise<void> {
    const closed = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await closed;
  }
}
