// Connector client: opens connections by one method. One operation is a connection from connect()
// until it is closed, by a reset, so that nothing of it stays behind.
//
// All methods share the loops and differ in how a socket is asked for. Connections that are held
// stay open meanwhile.

import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { PortRange } from "../../bindings/index.ts";
import { type Connector, createConnector, readHostState } from "../../bindings/node/index.ts";

/** How a connection is asked for. */
export type Method =
  /** By `connector.open`, from a chosen source, on a port that portwarden has picked. */
  | "connector"
  /** The same with ports in turn, as a port that is counted up has them. */
  | "sequential"
  /** The same by `connector.connect`, which answers a promise. */
  | "promise"
  /** By `net.connect`; the system chooses address and port. */
  | "net.connect"
  /** The same with `localAddress`; the system chooses the port. */
  | "localAddress"
  /**
   * With `localAddress` and `localPort`, which is counted up: what the connector has to do anyhow.
   */
  | "localPort";

/** What ports a number of new connections had. */
export interface Ports {
  readonly count: number;
  readonly different: number;
  readonly within: number;
  /** That a held connection has at the same time. */
  readonly heldToo: number;
}

/** What a number of connections took of the process that opened them. */
export interface Taken {
  /** Nanoseconds from the first to the last. */
  readonly ns: number;
  /** Nanoseconds of the processor, in the program and in the kernel. */
  readonly cpu: number;
}

/** Opens connections by one method, here or in another process. */
export interface Client {
  readonly method: Method;
  /** Opens or closes connections until so many are held. */
  hold(count: number): Promise<void>;
  /** Opens so many connections, one after another or several at a time. */
  run(count: number, atATime: number): Promise<Taken>;
  /** Opens so many at once, looks at their ports, and closes them. */
  ports(count: number): Promise<Ports>;
  /** Bytes of JavaScript's memory that are in use. */
  bytes(): Promise<number>;
  close(): Promise<void>;
}

type ConnectCallback = (error: Error | null, socket: Socket | null) => void;

const HOST = "127.0.0.1";
// Elsewhere there is no other loopback address.
const SOURCE = process.platform === "linux" ? "127.0.0.2" : HOST;
const SERVER = fileURLToPath(new URL("connector-server.js", import.meta.url));
const SYSTEMS_CHOICE: readonly Method[] = ["net.connect", "localAddress"];
const ANY: PortRange = { first: 1, last: 65535 };
const FILL_AT_A_TIME = 64;

/** A server for such connections, in a process of its own. */
export class Server {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** @param port 0: one that is free. */
  static async start(port: number): Promise<Server> {
    const stdio: StdioOptions = ["pipe", "pipe", "inherit"];
    const child = spawn(process.execPath, [SERVER, `${port}`], { stdio });
    const [line] = await once(child.stdout as Readable, "data");
    return new Server(child, Number(line));
  }

  async close(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.stdin?.end();
    await ended;
  }
}

export class LocalClient implements Client {
  readonly method: Method;
  /** That new ports must be from. */
  readonly #range: PortRange;
  readonly #open: (opened: ConnectCallback) => void;
  readonly #connector: Connector;
  readonly #held: Socket[] = [];

  constructor(method: Method, range: PortRange, serverPort: number) {
    this.method = method;
    this.#range = SYSTEMS_CHOICE.includes(method) ? (readHostState().portRange ?? ANY) : range;
    // All of the range is meant to be used, to the last port.
    const selection = method === "sequential" ? method : "random";
    const options = { sources: SOURCE, portRange: range, seed: 1, headroom: 0, selection } as const;
    this.#connector = createConnector(options);
    this.#open = openBy(method, this.#connector, serverPort, range);
  }

  async hold(count: number): Promise<void> {
    const closing = this.#held.splice(count).map((socket) => {
      socket.resetAndDestroy();
      return once(socket, "close");
    });
    await Promise.all(closing);
    const more = count - this.#held.length;
    this.#held.push(...(await this.#openMany(more)));
  }

  async #openMany(count: number): Promise<Socket[]> {
    const sockets: Socket[] = [];
    await this.#inTurn(count, FILL_AT_A_TIME, (socket, next) => {
      sockets.push(socket.on("error", () => {}));
      next();
    });
    return sockets;
  }

  async run(count: number, atATime: number): Promise<Taken> {
    const [start, before] = [process.hrtime.bigint(), process.cpuUsage()];
    await this.#inTurn(count, atATime, closeByReset);
    const { user, system } = process.cpuUsage(before);
    return { ns: Number(process.hrtime.bigint() - start), cpu: (user + system) * 1000 };
  }

  /** Opens so many, each as soon as there is room for it. */
  #inTurn(
    count: number,
    atATime: number,
    use: (socket: Socket, next: () => void) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      let begun = 0;
      let done = 0;
      const opened: ConnectCallback = (error, socket) => {
        if (error === null) use(socket as Socket, next);
        else reject(error);
      };
      const next = (): void => {
        if (++done === count) resolve();
        else if (begun < count) begin();
      };
      const begin = (): void => {
        begun++;
        this.#open(opened);
      };
      if (count <= 0) resolve();
      while (begun < Math.min(atATime, count)) begin();
    });
  }

  async ports(count: number): Promise<Ports> {
    const sockets = await this.#openMany(count);
    const ports = sockets.map(({ localPort }) => localPort as number);
    const held = new Set(this.#held.map(({ localPort }) => localPort));
    const { first, last } = this.#range;
    await Promise.all(
      sockets.map((socket) => new Promise<void>((next) => closeByReset(socket, next))),
    );
    return {
      count,
      different: new Set(ports).size,
      within: ports.filter((port) => port >= first && port <= last).length,
      heldToo: ports.filter((port) => held.has(port)).length,
    };
  }

  async bytes(): Promise<number> {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  }

  async close(): Promise<void> {
    await this.hold(0);
    this.#connector.close();
  }
}

function closeByReset(socket: Socket, next: () => void): void {
  socket.once("close", next);
  socket.resetAndDestroy();
}

function openBy(
  method: Method,
  connector: Connector,
  port: number,
  { first, last }: PortRange,
): (opened: ConnectCallback) => void {
  const options = { host: HOST, port };
  if (method === "connector" || method === "sequential") {
    return (opened) => connector.open(options, opened);
  }
  if (method === "promise") {
    return (opened) => {
      connector.connect(options).then(
        (socket) => opened(null, socket),
        (error) => opened(error, null),
      );
    };
  }
  if (method === "net.connect") return (opened) => watch(connect({ host: HOST, port }), opened);
  if (method === "localAddress") {
    return (opened) => watch(connect({ host: HOST, port, localAddress: SOURCE }), opened);
  }
  let local = first;
  return (opened) => {
    watch(connect({ host: HOST, port, localAddress: SOURCE, localPort: local }), opened);
    local = local === last ? first : local + 1;
  };
}

/** What a caller of net.connect does at the least. */
function watch(socket: Socket, opened: ConnectCallback): void {
  const failed = (error: Error): void => opened(error, null);
  socket.once("error", failed);
  socket.once("connect", () => {
    socket.removeListener("error", failed);
    opened(null, socket);
  });
}
