// Connector process: a client in a process of its own, and in a network namespace where that can
// be. There the whole range of ports is its own, and what V8 learns from one method does not blur
// another. It gets its orders through a socket in the file system, which all network namespaces
// share.
//
//   node --expose-gc connector-process.js PATH METHOD FIRST LAST SERVER-PORT

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { PortRange } from "../../bindings/index.ts";
import { runInNamespace } from "../../bindings/node/host/namespace.ts";
import {
  type Client,
  LocalClient,
  type Method,
  type Ports,
  Server,
  type Taken,
} from "./connector-client.ts";

type Order = { readonly [Name in "hold" | "ports"]?: number } & {
  readonly run?: readonly [count: number, atATime: number];
  readonly bytes?: true;
};

const SCRIPT = fileURLToPath(import.meta.url);
/** Outside of the ranges that are used in namespaces. */
const SERVER_PORT = 9001;
const TIME_MS = 600_000;

/** Such a process, as its parent sees it. */
export class ProcessClient implements Client {
  readonly method: Method;
  readonly #socket: Socket;
  readonly #answers: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  private constructor(method: Method, socket: Socket, ended: Promise<unknown>) {
    this.method = method;
    this.#socket = socket;
    this.#answers = createInterface(socket)[Symbol.asyncIterator]();
    this.#ended = ended;
  }

  static async start(
    method: Method,
    range: PortRange,
    inNamespace: boolean,
  ): Promise<ProcessClient> {
    const scratch = mkdtempSync(join(tmpdir(), "portwarden-bench-"));
    const path = join(scratch, "socket");
    const server = createServer().listen(path);
    try {
      const serverPort = inNamespace ? SERVER_PORT : 0;
      const args = [path, method, range.first, range.last, serverPort].map(String);
      const command = ["--expose-gc", SCRIPT, ...args];
      const ended = inNamespace ? inside(command, range) : outside(command);
      const socket = await Promise.race([connectionOf(server), ended]);
      return new ProcessClient(method, socket as Socket, ended);
    } finally {
      server.close();
      rmSync(scratch, { recursive: true });
    }
  }

  async #ask<Answer>(order: Order): Promise<Answer> {
    this.#socket.write(`${JSON.stringify(order)}\n`);
    const { value } = await this.#answers.next();
    if (value === undefined) await this.#ended;
    return JSON.parse(value);
  }

  hold(count: number): Promise<void> {
    return this.#ask({ hold: count });
  }

  run(count: number, atATime: number): Promise<Taken> {
    return this.#ask({ run: [count, atATime] });
  }

  ports(count: number): Promise<Ports> {
    return this.#ask({ ports: count });
  }

  bytes(): Promise<number> {
    return this.#ask({ bytes: true });
  }

  async close(): Promise<void> {
    this.#socket.end();
    await this.#ended;
  }
}

async function inside(command: readonly string[], portRange: PortRange): Promise<void> {
  const { code, stderr } = await runInNamespace(command, { portRange, timeoutMs: TIME_MS });
  if (code !== 0) throw new Error(`a client of the suite ended with ${code}: ${stderr}`);
}

function outside(command: readonly string[]): Promise<void> {
  const child: ChildProcess = spawn(process.execPath, command, { stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.on("error", reject).on("exit", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`a client of the suite ended with ${code}`));
    });
  });
}

function connectionOf(server: ReturnType<typeof createServer>): Promise<Socket> {
  return new Promise((resolve) => server.once("connection", resolve));
}

// ── In that process ───────────────────────────────────────────────────────────────────────

if (process.argv[1] === SCRIPT) await serve(process.argv.slice(2));

async function serve([path = "", method = "", ...numbers]: readonly string[]): Promise<void> {
  const [first = 0, last = 0, port = 0] = numbers.map(Number);
  const server = await Server.start(port);
  const client = new LocalClient(method as Method, { first, last }, server.port);
  const socket = connect(path);
  for await (const line of createInterface(socket)) {
    const answer = await obey(client, JSON.parse(line));
    socket.write(`${JSON.stringify(answer ?? null)}\n`);
  }
  process.exit();
}

function obey(client: Client, { hold, run, ports }: Order): Promise<unknown> {
  if (hold !== undefined) return client.hold(hold);
  if (run !== undefined) return client.run(...run);
  return ports === undefined ? client.bytes() : client.ports(ports);
}
