// Tools run: one load generator at work, in a network namespace that is its own. It holds
// connections first, then runs the tool for some seconds, and prints its figures.
//
//   node tools-run.js FIRST LAST PERCENT SECONDS WARM-UP TOOL [localAddress | portwarden]

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import autocannon from "autocannon";
import { Pool } from "undici";
import {
  autocannonSetup,
  type Connector,
  createConnector,
  undiciConnect,
} from "../../bindings/node/index.ts";

/** What one run has found. `null`: the tool does not say. */
export interface ToolFigures {
  readonly perSecond: number;
  readonly failedOfMillion: number;
  readonly cpuMs: number;
  readonly medianMs: number | null;
  readonly p99Ms: number | null;
}

/** What a tool counted. */
interface Counted {
  readonly answered: number;
  readonly failed: number;
  readonly medianMs: number | null;
  readonly p99Ms: number | null;
  /** Of programs that it has started, which say themselves how many were answered per second. */
  readonly cpuMs?: number;
  readonly perSecond?: number;
}

/** How a connection gets its local end. */
type Method = "kernel" | "localAddress" | "portwarden";

const SCRIPT = fileURLToPath(import.meta.url);
const SOURCES = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
const DESTINATIONS = ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4"];
const PORT = 9001;
const BACKLOG = 4096;
/** To each destination. */
const AT_A_TIME = 16;
const FILL_AT_A_TIME = 64;
const WAIT_MS = 5;
/** About as many as there are, to one destination. */
const REQUESTS_PER_SECOND = 1000;
const ANSWER = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
const SERVE = "serve";

async function main(args: readonly string[]): Promise<void> {
  const [first = 0, last = 0, percent = 0, seconds = 0, warmUp = 0] = args.map(Number);
  const [tool = "", method = "kernel"] = args.slice(5) as [string, Method];
  const server = spawn(process.execPath, [SCRIPT, SERVE], { stdio: ["pipe", "pipe", "inherit"] });
  await once(server.stdout as Readable, "data");
  const portRange = { first, last };
  const connector = createConnector({ sources: SOURCES, portRange, headroom: 0 });
  const ends = new Ends(method, connector);
  await ends.hold(Math.floor(((last - first + 1) * percent) / 100));
  const run = TOOLS[tool] as Tool;
  // Until V8 has compiled all of it, tens of thousands of connections later, it is another.
  if (warmUp > 0) await run(ends, warmUp);
  const before = process.cpuUsage();
  const start = process.hrtime.bigint();
  const counted = await run(ends, seconds);
  const taken = Number(process.hrtime.bigint() - start) / 1e9;
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify(figuresOf(counted, taken, (user + system) / 1e3)));
  await end(server);
  process.exit();
}

function figuresOf(counted: Counted, seconds: number, ownCpuMs: number): ToolFigures {
  const { answered, failed, medianMs, p99Ms, cpuMs = ownCpuMs } = counted;
  return {
    perSecond: counted.perSecond ?? answered / seconds,
    failedOfMillion: (failed / (answered + failed)) * 1e6,
    cpuMs: cpuMs / answered,
    medianMs,
    p99Ms,
  };
}

/** Answers each request and closes; what asks for nothing stays open. */
function serve(): void {
  const server = createServer((socket) => {
    socket.on("error", () => {}).once("data", () => socket.end(ANSWER));
  });
  server.listen({ port: PORT, backlog: BACKLOG }, () => console.log("listens"));
  process.stdin.resume().on("end", () => process.exit());
}

async function end(child: ChildProcess): Promise<void> {
  child.stdin?.end();
  await once(child, "exit");
}

// ── Connections ───────────────────────────────────────────────────────────────────────────

type Opened = (error: Error | null, socket: Socket | null) => void;

/** Opens connections by one method. */
class Ends {
  readonly method: Method;
  readonly connector: Connector;
  #count = 0;

  constructor(method: Method, connector: Connector) {
    this.method = method;
    this.connector = connector;
  }

  /** The next source, where one is asked for. */
  nextAddress(): { localAddress?: string } {
    if (this.method !== "localAddress") return {};
    return { localAddress: SOURCES[this.#count++ % SOURCES.length] as string };
  }

  open(host: string, opened: Opened): void {
    if (this.method === "portwarden") this.connector.open({ host, port: PORT }, opened);
    else settle(connect({ host, port: PORT, ...this.nextAddress() }), opened);
  }

  /** Holds so many local ports of all that the method has: of each source, of each destination. */
  async hold(ports: number): Promise<void> {
    const each = this.method === "portwarden" ? ports * SOURCES.length : ports;
    const hosts = Array.from({ length: each }, () => DESTINATIONS).flat();
    const one = async (): Promise<void> => {
      for (let host = hosts.pop(); host !== undefined; host = hosts.pop()) await this.#keep(host);
    };
    await Promise.all(Array.from({ length: FILL_AT_A_TIME }, one));
  }

  #keep(host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.open(host, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}

function settle(socket: Socket, opened: Opened): void {
  socket.once("error", (error) => opened(error, null));
  socket.once("connect", () => {
    socket.removeAllListeners("error").on("error", () => {});
    opened(null, socket);
  });
}

// ── Tools ─────────────────────────────────────────────────────────────────────────────────

type Tool = (ends: Ends, seconds: number) => Promise<Counted>;

const TOOLS: Readonly<Record<string, Tool>> = {
  autocannon: byAutocannon,
  undici: byUndici,
  wrk: (_ends, seconds) => byProgram("wrk", ["-t1", "--latency"], seconds, readWrk),
  h2load: (_ends, seconds) => byProgram("h2load", ["--h1", "-t1"], seconds, readH2load),
};

/**
 * autocannon has no option for the local address: `localAddress` goes the way that portwarden
 * goes, without portwarden.
 */
async function byAutocannon(ends: Ends, seconds: number): Promise<Counted> {
  const setup = { kernel: undefined, localAddress: asConnector(ends), portwarden: ends.connector };
  const connector = setup[ends.method];
  const results = await Promise.all(
    DESTINATIONS.map((host) =>
      autocannon({
        url: `http://${host}:${PORT}`,
        connections: AT_A_TIME,
        duration: seconds,
        ...(connector && { setupClient: autocannonSetup(connector) }),
      }),
    ),
  );
  const sum = (of: (result: (typeof results)[0]) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  return {
    answered: sum((result) => result["2xx"]),
    failed: sum(({ errors, non2xx }) => errors + non2xx),
    medianMs: sum(({ latency }) => latency.p50) / results.length,
    p99Ms: Math.max(...results.map(({ latency }) => latency.p99)),
  };
}

/** What the adapter needs of a connector. */
function asConnector(ends: Ends): Connector {
  const dial: Connector["dial"] = ({ host, port }, make, opened) => {
    const to = { host: host as string, port: Number(port) };
    settle(make({ ...to, ...ends.nextAddress() } as Parameters<typeof make>[0]), opened);
  };
  return { dial } as Connector;
}

async function byUndici(ends: Ends, seconds: number): Promise<Counted> {
  const until = performance.now() + seconds * 1e3;
  const latencies: number[] = [];
  let failed = 0;
  const pools = DESTINATIONS.map((host) => poolTo(`http://${host}:${PORT}`, ends));
  const loop = async (pool: Pool): Promise<void> => {
    for (let begun = performance.now(); begun < until; begun = performance.now()) {
      try {
        const { body } = await pool.request({ path: "/", method: "GET" });
        await body.dump();
        latencies.push(performance.now() - begun);
      } catch {
        failed++;
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      }
    }
  };
  const loops = pools.flatMap((pool) => Array.from({ length: AT_A_TIME }, () => loop(pool)));
  await Promise.all(loops);
  latencies.sort((a, b) => a - b);
  const at = (share: number): number | null =>
    latencies[Math.floor(latencies.length * share)] ?? null;
  return { answered: latencies.length, failed, medianMs: at(0.5), p99Ms: at(0.99) };
}

function poolTo(origin: string, ends: Ends): Pool {
  if (ends.method === "portwarden") {
    return new Pool(origin, { connections: AT_A_TIME, connect: undiciConnect(ends.connector) });
  }
  const connectNext = (_options: object, opened: Opened): void =>
    settle(connect({ host: new URL(origin).hostname, port: PORT, ...ends.nextAddress() }), opened);
  const plain = ends.method === "kernel" ? {} : { connect: connectNext as never };
  return new Pool(origin, { connections: AT_A_TIME, ...plain });
}

/** One for each destination, all at the same time; their shell reports the time that they take. */
async function byProgram(
  command: string,
  options: readonly string[],
  seconds: number,
  read: (output: string) => Counted,
): Promise<Counted> {
  const words = [command, ...options, `-c${AT_A_TIME}`, "-H", "Connection:close"];
  // h2load counts requests: by time it waits for connections that are closed to it.
  const duration =
    command === "wrk"
      ? `-d${Math.ceil(seconds)}s`
      : `-n${Math.ceil(seconds * REQUESTS_PER_SECOND)}`;
  const line = (host: string): string => [...words, duration, `http://${host}:${PORT}/`].join(" ");
  const children = DESTINATIONS.map((host) =>
    spawn("sh", ["-c", `${line(host)}; times`], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  const outputs = await Promise.all(children.map(outputOf));
  const all = outputs.map((output) => ({ ...read(output), cpuMs: cpuOf(output) }));
  const sum = (of: (one: (typeof all)[0]) => number): number =>
    all.reduce((total, one) => total + of(one), 0);
  return {
    answered: sum(({ answered }) => answered),
    failed: sum(({ failed }) => failed),
    medianMs: all[0]?.medianMs === null ? null : sum(({ medianMs }) => medianMs ?? 0) / all.length,
    p99Ms: all[0]?.p99Ms === null ? null : Math.max(...all.map(({ p99Ms }) => p99Ms ?? 0)),
    cpuMs: sum(({ cpuMs }) => cpuMs),
    perSecond: sum(({ perSecond = 0 }) => perSecond),
  };
}

async function outputOf(child: ChildProcess): Promise<string> {
  let output = "";
  (child.stdout as Readable).setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`a tool ended with ${code}: ${output}`);
  return output;
}

function readWrk(output: string): Counted {
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(
    output,
  );
  const numbers = errors?.slice(1).map(Number) ?? [];
  return {
    answered: numberIn(output, /(\d+) requests in/),
    failed: numbers.reduce((sum, number) => sum + number, 0),
    medianMs: timeIn(output, /50%\s+([\d.]+)(us|ms|s)/),
    p99Ms: timeIn(output, /99%\s+([\d.]+)(us|ms|s)/),
    perSecond: numberIn(output, /Requests\/sec:\s+([\d.]+)/),
  };
}

/** It prints the mean, no percentiles. */
function readH2load(output: string): Counted {
  return {
    answered: numberIn(output, /(\d+) succeeded/),
    failed: numberIn(output, /(\d+) failed/) + numberIn(output, /(\d+) timeout/),
    medianMs: null,
    p99Ms: null,
    perSecond: numberIn(output, /([\d.]+) req\/s/),
  };
}

/** The last line of `times`: what the children took, as user and as system. */
function cpuOf(output: string): number {
  const times = [...output.matchAll(/(\d+)m([\d.]+)s/g)].slice(-2);
  return times.reduce(
    (sum, [, minutes, rest]) => sum + Number(minutes) * 60e3 + Number(rest) * 1e3,
    0,
  );
}

function numberIn(output: string, pattern: RegExp): number {
  const found = pattern.exec(output)?.[1];
  if (found === undefined) throw new Error(`no ${pattern} in what a tool has written: ${output}`);
  return Number(found);
}

function timeIn(output: string, pattern: RegExp): number {
  const unit = pattern.exec(output)?.[2];
  return numberIn(output, pattern) * (unit === "us" ? 1e-3 : unit === "ms" ? 1 : 1e3);
}

if (process.argv[1] === SCRIPT) {
  if (process.argv[2] === SERVE) serve();
  else await main(process.argv.slice(2));
}
