// Servers: the processes that connections go to, one for each destination.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { CannotRun } from "../args.ts";

/** Where a connection goes to. */
export interface Destination {
  readonly host: string;
  readonly port: number;
}

/** What a server process says: where it listens, how many connections it holds, what is wrong. */
export type FromServer = { port: number } | { held: number } | { failed: string };

const PROGRAM = fileURLToPath(new URL("./demo-server.js", import.meta.url));
const HOST = "127.0.0.1";
const POLL_MS = 20;
const AGREE_MS_MAX = 2000;
const SIGNAL_MS = 50;

export class Servers {
  readonly destinations: readonly Destination[];
  readonly #processes: readonly ChildProcess[];

  private constructor(processes: readonly ChildProcess[], ports: readonly number[]) {
    this.#processes = processes;
    this.destinations = ports.map((port) => ({ host: HOST, port }));
  }

  /**
   * Starts servers on loopback.
   *
   * @param firstPort they listen on this port and those that follow; 0 for ports that the kernel
   *     chooses.
   * @param stop Ctrl-C ends servers, too, that have only just begun: if it is aborted, there are none.
   * @throws CannotRun if one cannot listen, or ends before it does.
   */
  static async start(count: number, firstPort: number, stop: AbortSignal): Promise<Servers> {
    const processes = Array.from({ length: count }, (_, index) => {
      const port = firstPort === 0 ? 0 : firstPort + index;
      const process = fork(PROGRAM, [HOST, String(port)], {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      });
      // `answerOf` reports the error to its caller.
      return process.on("error", () => {});
    });
    try {
      return new Servers(processes, await Promise.all(processes.map(portOf)));
    } catch (error) {
      for (const process of processes) process.kill("SIGKILL");
      // The signal that ended it may reach this process a little later.
      await new Promise((resolve) => setTimeout(resolve, SIGNAL_MS));
      if (stop.aborted) return new Servers([], []);
      throw error;
    }
  }

  /**
   * How many connections the servers hold in all, once that is `expected`; or after two seconds.
   */
  async held(expected: number): Promise<number> {
    const limit = performance.now() + AGREE_MS_MAX;
    for (;;) {
      const counts = await Promise.all(this.#processes.map(heldBy));
      const total = counts.reduce((sum, count) => sum + count, 0);
      if (total === expected || performance.now() > limit) return total;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Ends the processes. */
  async close(): Promise<void> {
    const running = this.#processes.filter(isRunning);
    const ended = running.map((process) => once(process, "exit"));
    for (const process of running) process.disconnect();
    await Promise.all(ended);
  }
}

async function portOf(process: ChildProcess): Promise<number> {
  const answer = await answerOf(process);
  if ("port" in answer) return answer.port;
  throw new CannotRun(`a server could not be started: ${"failed" in answer ? answer.failed : "?"}`);
}

async function heldBy(process: ChildProcess): Promise<number> {
  if (!isRunning(process)) return 0;
  process.send({});
  const answer = await answerOf(process);
  return "held" in answer ? answer.held : 0;
}

/** The next thing that a server says. */
function answerOf(process: ChildProcess): Promise<FromServer> {
  return new Promise((resolve) => {
    const answer = (said: FromServer): void => {
      process.off("message", onMessage).off("exit", onExit).off("error", onError);
      resolve(said);
    };
    const onMessage = (message: unknown): void => answer(message as FromServer);
    const onExit = (): void => answer({ failed: "its process has ended" });
    const onError = ({ message }: Error): void => answer({ failed: message });
    process.on("message", onMessage).on("exit", onExit).on("error", onError);
  });
}

function isRunning({ exitCode, signalCode, connected }: ChildProcess): boolean {
  return exitCode === null && signalCode === null && connected;
}
