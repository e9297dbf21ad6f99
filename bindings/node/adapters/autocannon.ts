// autocannon: a function for its option `setupClient`, after which a client's connections go
// through a connector.
//
// autocannon has no option for the socket of a connection (its request 255). A client calls its
// method `_connect`, which makes `conn`, listens to it, and sends its first requests; that is
// replaced here, by one that does the same with a socket of the connector. Until it is there, a
// stand-in keeps what the client writes.

import { isIP, type Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { checkObject } from "../../requests/checks.ts";
import { builtin } from "../builtin.ts";
import type { Dial } from "../connector/attempt.ts";
import { type Connector, dialBy } from "../connector/connector.ts";
import { dialNet } from "../connector/dial-net.ts";
import { endsIn, refuseIgnored } from "./options.ts";

/**
 * After as many failures in a row, a client pauses so many milliseconds, times two for each one
 * more.
 */
const PAUSE_AFTER = 2;
const PAUSE_MS = 10;
const PAUSE_MAX_MS = 1000;

/** The members of a client that are used (autocannon 9, `lib/httpClient.js`). */
export interface AutocannonClient {
  readonly opts: {
    readonly hostname?: string | undefined;
    readonly port?: number | string | undefined;
    readonly servername?: string | undefined;
    readonly tlsOptions?: ConnectionOptions | undefined;
    readonly pipelining?: number | undefined;
  };
  /** A TLS client. */
  readonly secure: boolean;
  /** A client of a local socket. */
  readonly ipc: boolean;
  readonly destroyed: boolean;
  readonly parser: { execute(chunk: Buffer): unknown };
  readonly pipelinedRequests: { addByteCount(count: number): void; clear(): void };
  conn: unknown;
  _connect(): void;
  _doRequest(): void;
  emit(event: string, ...values: unknown[]): boolean;
}

/** Options of {@link autocannonSetup}. */
export interface AutocannonSetupOptions {
  /**
   * With `spread: "sticky"`: the key of a client, which are numbered from 0; by default that
   * number. So each client comes from one source, also when it reconnects.
   */
  stickyKey?: ((index: number) => string) | undefined;
}

/**
 * A function for the option `setupClient` of autocannon, whose connections are then opened from
 * sources and ports that portwarden has picked. TLS is as usual in autocannon: `tlsOptions` and
 * `servername` count, certificates do not.
 *
 * - A connection that fails is counted as an error (`connError`), as usual. Autocannon then reconnects at once; after
 *   failures in a row this pauses, from 10 ms up to one second. Each connection counts for `amount`, and errors for
 *   `bailout`, so a run ends.
 * - What had been sent on a connection that is gone is forgotten: it does not spoil the latencies of the next one.
 * - With `workers` a function does not do: see `autocannonWorkers`.
 * @example
 * const connector = createConnector({ sources: "127.0.0.2-127.0.0.5" });
 * const result = await autocannon({
 *   url: "http://127.0.0.1:8080",
 *   connections: 1000,
 *   setupClient: autocannonSetup(connector),
 * });
 */
export function autocannonSetup(
  connector: Connector,
  options: AutocannonSetupOptions = {},
): (client: object) => void {
  checkObject("options", options);
  const { stickyKey = String } = options;
  let count = 0;
  return (one) => {
    const client = one as AutocannonClient;
    if (client.ipc) return; // no ports
    refuseIgnored(client.opts.tlsOptions ?? {}, ["host", "port", "path", "socket"]);
    const connections = new Connections(connector, client, stickyKey(count++));
    client._connect = () => connections.open();
  };
}

/** The connections of one client, one after the other. */
class Connections {
  readonly #connector: Connector;
  readonly #client: AutocannonClient;
  readonly #key: string;
  #failures = 0;

  constructor(connector: Connector, client: AutocannonClient, key: string) {
    this.#connector = connector;
    this.#client = client;
    this.#key = key;
  }

  /** As the client's own `_connect`. */
  open(): void {
    const client = this.#client;
    const standIn = new StandIn();
    client.conn = standIn;
    client.pipelinedRequests.clear();
    const steps = this.#failures - PAUSE_AFTER;
    if (steps < 0) this.#dial(standIn);
    else standIn.timer = setTimeout(() => this.#dial(standIn), pauseAt(steps));
    for (let request = 0; request < (client.opts.pipelining ?? 1); request++) client._doRequest();
  }

  #dial(standIn: StandIn): void {
    const { opts, secure } = this.#client;
    const where = {
      ...endsIn(opts.tlsOptions ?? {}),
      host: opts.hostname,
      port: Number(opts.port),
      key: this.#key,
    };
    const opened = (error: Error | null, socket: Socket | null): void => {
      if (socket !== null) this.#onOpened(standIn, socket);
      // Later: the client may be in the middle of a call, and a new one has no listeners yet.
      else setImmediate(() => this.#onFailed(standIn, error as Error));
    };
    const dial = secure ? dialSecure(opts) : dialNet({});
    const readyEvent = secure ? "secureConnect" : "connect";
    try {
      standIn.isOpenedBy(dialBy(this.#connector, where, dial, opened, readyEvent));
    } catch (error) {
      opened(error as Error, null);
    }
  }

  #onFailed(standIn: StandIn, error: Error): void {
    if (this.#client.conn === standIn && !standIn.isDestroyed) this.#onError(error);
  }

  /** Puts the socket in place of the stand-in, as the client's own `_connect` would have. */
  #onOpened(standIn: StandIn, socket: Socket): void {
    const client = this.#client;
    client.conn = socket;
    socket.on("error", (error) => this.#onError(error));
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    for (const chunk of standIn.chunks) socket.write(chunk);
  }

  #onData(chunk: Buffer): void {
    this.#failures = 0;
    this.#client.pipelinedRequests.addByteCount(chunk.length);
    this.#client.parser.execute(chunk);
  }

  #onError(error: Error): void {
    this.#client.emit("connError", error);
    this.#onEnd();
  }

  #onEnd(): void {
    this.#failures++;
    if (!this.#client.destroyed) this.#client._connect();
  }
}

/** A client's socket while its connection is being opened. */
class StandIn {
  readonly chunks: (Buffer | string)[] = [];
  #operation: ReturnType<typeof dialBy> | undefined;
  isDestroyed = false;
  timer: NodeJS.Timeout | undefined;

  isOpenedBy(operation: ReturnType<typeof dialBy>): void {
    this.#operation = operation;
    if (this.isDestroyed) this.destroy();
  }

  write(chunk: Buffer | string): boolean {
    this.chunks.push(chunk);
    return true;
  }

  on(): this {
    return this;
  }

  removeAllListeners(): this {
    return this;
  }

  destroy(): this {
    this.isDestroyed = true;
    clearTimeout(this.timer);
    this.#operation?.abandon(new Error("the client has given the connection up"));
    return this;
  }
}

function pauseAt(steps: number): number {
  return Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** steps);
}

/** As autocannon does: any certificate is good. */
function dialSecure({ tlsOptions, servername, hostname = "" }: AutocannonClient["opts"]): Dial {
  const name = servername || (isIP(hostname) === 0 ? hostname : "");
  const passed = {
    ...tlsOptions,
    rejectUnauthorized: false,
    ...(name !== "" && { servername: name }),
  };
  return (ends) => builtin("tls").connect({ ...passed, ...ends });
}
