// undici: a function for the option `connect` of its Client, Pool and Agent.

import { channel } from "node:diagnostics_channel";
import { isIP, type Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { wrongValue } from "../../errors.ts";
import { checkInteger, checkObject } from "../../requests/checks.ts";
import { builtin } from "../builtin.ts";
import type { Dial } from "../connector/attempt.ts";
import { type Connector, checkSignal, dialBy } from "../connector/connector.ts";
import { ConnectorError } from "../connector/connector-error.ts";
import type { Lookup } from "../connector/connector-options.ts";
import { dialNet } from "../connector/dial-net.ts";
import { endsIn, refuseIgnored } from "./options.ts";

/** undici's `Client` gives up connecting after so many milliseconds. */
const TIMEOUT_MS = 10_000;
/** undici begins with TCP keep-alive after so many idle milliseconds. */
const KEEP_ALIVE_MS = 60_000;
const SESSIONS = 100;
const DAY_MS = 86_400_000;
const UINT32_MAX = 0xffffffff;
/**
 * Options that undici itself gives for each connection, or that do not concern a port, or that
 * `allowH2` decides.
 */
const DECIDED = ["host", "port", "path", "socket", "socketPath", "ALPNProtocols", "useH2c"];

/** The connection that undici asks for. */
export interface UndiciTarget {
  hostname: string;
  protocol: string;
  port: string;
  servername?: string | undefined;
  localAddress?: string | null | undefined;
  socketPath?: string | null | undefined;
  allowH2?: boolean | undefined;
}

/** What is set on a socket once it exists. */
interface SetLater {
  noDelay?: unknown;
  keepAlive?: unknown;
  keepAliveInitialDelay?: unknown;
}

/** undici's callback for the outcome. */
export type UndiciCallback = (...result: [null, Socket] | [Error, null]) => void;

/**
 * Options of {@link undiciConnect}: those of `tls.connect`, those of undici's own connector, and
 * portwarden's. undici does not pass its options `tls`, `connectTimeout` and `maxCachedSessions` on
 * to a function, so they are said here.
 */
export interface UndiciConnectOptions extends Omit<ConnectionOptions, "timeout" | "lookup"> {
  /** One of the sources; a Client's own `localAddress` comes first. */
  localAddress?: string | undefined;
  /** 4 or 6: only addresses of that kind. */
  family?: number | undefined;
  /** Resolves host names, instead of the connector's. */
  lookup?: Lookup | undefined;
  /**
   * Milliseconds that connecting may take, 0..86400000; 0: no limit. 10,000 by default, as in
   * undici.
   */
  timeout?: number | undefined;
  /**
   * Offer HTTP/2 to servers. By default what the option `allowH2` of the Client, Pool or Agent
   * says.
   */
  allowH2?: boolean | undefined;
  /**
   * TLS sessions that are kept to be resumed, one per server name, 0..4294967295; 100 by default,
   * as in undici.
   */
  maxCachedSessions?: number | undefined;
  /** TCP keep-alive; true by default, as in undici. */
  keepAlive?: boolean | undefined;
  /** Idle milliseconds before it begins; 60,000 by default, as in undici. */
  keepAliveInitialDelay?: number | undefined;
  /** With `spread: "sticky"`: connections come from the source that belongs to this key. */
  stickyKey?: string | undefined;
  /** When aborted, ends connections that are under way, wait, or are open. */
  signal?: AbortSignal | undefined;
}

/**
 * A function for the option `connect` of undici's `Client`, `Pool` and `Agent`: each of their
 * connections is opened from a source and a port that portwarden has picked, and keeps them while
 * it is pooled. A `localAddress` of the Client, or among these options, must be one of the sources.
 *
 * - Errors are the request's: a {@link ConnectorError} if there is no port; an error that is `instanceof`
 *   `errors.ConnectTimeoutError` (`UND_ERR_CONNECT_TIMEOUT`) after `timeout`.
 * - A Client, Pool or Agent that is destroyed gives up the connections that are being opened, and its places in the
 *   queue for a port. As usual in undici, the abort of a request does not: the next one takes the connection.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`; `ERR_INVALID_ARG_VALUE` for what undici or the
 * connector decides (`localPort`, `host`, `ALPNProtocols` and so on).
 * @example
 * const connector = createConnector({ sources: "127.0.0.2-127.0.0.5" });
 * const agent = new Agent({ connect: undiciConnect(connector), connections: 1000 });
 * const { statusCode } = await request("http://127.0.0.1:8080/", { dispatcher: agent });
 */
export function undiciConnect(
  connector: Connector,
  options: UndiciConnectOptions = {},
): (target: UndiciTarget, callback: UndiciCallback) => void {
  checkObject("options", options);
  const { stickyKey, timeout = TIMEOUT_MS, maxCachedSessions = SESSIONS } = options;
  refuseIgnored(options, DECIDED);
  checkSignal(options.signal);
  checkInteger("timeout", timeout, 0, DAY_MS);
  checkInteger("maxCachedSessions", maxCachedSessions, 0, UINT32_MAX);
  const sessions = new Sessions(maxCachedSessions);
  const { family, lookup, localAddress: ownAddress } = endsIn(options);
  const { signal } = options;
  const plain = optionsOfPlain(options);
  return (target, callback) => {
    const { hostname, protocol, port, localAddress, socketPath } = target;
    if (socketPath) throw wrongValue("socketPath", "left out: it has no ports", socketPath);
    if (adopt(connector, target, callback)) return;
    const isSecure = protocol === "https:";
    const where = {
      host: hostname,
      port: port || (isSecure ? 443 : 80),
      family,
      lookup,
      localAddress: localAddress ?? ownAddress,
      key: stickyKey,
      connectTimeout: timeout,
      signal,
    };
    const dial = isSecure ? dialSecure(target, options, sessions) : dialPlain(plain, options);
    const wanted = new Wanted(connector, target, callback);
    const readyEvent = isSecure ? "secureConnect" : "connect";
    wanted.isOpenedBy(dialBy(connector, where, dial, wanted.opened, readyEvent));
  };
}

// ── Finding the Client ────────────────────────────────────────────────────────────────────
//
// undici tells a connect function neither which Client it serves nor that the Client has been
// destroyed. But all requests of a destroyed Client fail, which undici publishes on a diagnostics
// channel. So each connection that is being opened to the origin of such a request is tested: its
// Client is given an error that undici takes for a temporary one (code `UND_ERR_INFO`). A Client
// that lives asks again, before the call returns, and is given the same connection; one that is
// destroyed does not, so its connection is given up.

/** undici `lib/core/diagnostics.js`: a request has failed. */
const failures = channel("undici:request:error");
/** Being opened. */
const underWay = new Set<Wanted>();
/** The connection whose Client is just being tested. */
let tested: Wanted | undefined;

/** A connection that a Client has asked for, and that is being opened. */
class Wanted {
  readonly #connector: Connector;
  readonly #target: UndiciTarget;
  #callback: UndiciCallback;
  #operation: ReturnType<typeof dialBy> | undefined;

  constructor(connector: Connector, target: UndiciTarget, callback: UndiciCallback) {
    this.#connector = connector;
    this.#target = target;
    this.#callback = callback;
  }

  isOpenedBy(operation: ReturnType<typeof dialBy>): void {
    this.#operation = operation;
    if (underWay.size === 0) failures.subscribe(onRequestFailed);
    underWay.add(this);
  }

  readonly opened = (error: Error | null, socket: Socket | null): void => {
    underWay.delete(this);
    if (underWay.size === 0) failures.unsubscribe(onRequestFailed);
    // The error may be any value, null as well: the reason of a signal.
    if (socket !== null) this.#callback(null, socket);
    else this.#callback(asUndici(error || aborted(error)), null);
  };

  isFor(origin: string): boolean {
    const { protocol, hostname, port } = this.#target;
    const host = isIP(hostname) === 6 ? `[${hostname}]` : hostname;
    return new URL(`${protocol}//${host}:${port}`).origin === origin;
  }

  /** Tests whether the Client lives, and gives the connection up if it does not. */
  test(): void {
    if (!underWay.has(this)) return;
    const callback = this.#callback;
    tested = this;
    try {
      callback(passing(), null);
    } finally {
      tested = undefined;
    }
    if (this.#callback !== callback) return;
    this.#callback = () => {};
    this.#operation?.abandon(passing());
  }

  /** Serves a Client that asks for the same connection because of a test. */
  serve(connector: Connector, target: UndiciTarget, callback: UndiciCallback): boolean {
    const isSame = JSON.stringify(target) === JSON.stringify(this.#target);
    if (connector !== this.#connector || !isSame) return false;
    this.#callback = callback;
    return true;
  }
}

function adopt(connector: Connector, target: UndiciTarget, callback: UndiciCallback): boolean {
  return tested?.serve(connector, target, callback) ?? false;
}

function onRequestFailed(message: unknown): void {
  const { request, error } = message as {
    request: { origin: string | URL };
    error: { code?: string };
  };
  if (error.code !== "UND_ERR_DESTROYED") return;
  const { origin } = new URL(request.origin);
  // Later: the Client is in the middle of its destruction.
  queueMicrotask(() => {
    for (const wanted of [...underWay]) if (wanted.isFor(origin)) wanted.test();
  });
}

function passing(): Error {
  return Object.assign(new Error("Does the Client still want this connection?"), {
    code: "UND_ERR_INFO",
  });
}

// ── Sockets as undici makes them ──────────────────────────────────────────────────────────

/** The options of sockets without TLS; `configured` sets the others. */
function optionsOfPlain(options: UndiciConnectOptions): object {
  const { noDelay, keepAlive, keepAliveInitialDelay, ...rest } = ofNode(options) as SetLater;
  return { highWaterMark: 65_536, ...rest };
}

function dialPlain(plain: object, options: UndiciConnectOptions): Dial {
  const dial = dialNet(plain);
  return (ends) => configured(dial(ends), options);
}

function dialSecure(target: UndiciTarget, options: UndiciConnectOptions, sessions: Sessions): Dial {
  const { allowH2 = target.allowH2 ?? false } = options;
  const name = target.servername || options.servername || nameOf(target.hostname);
  const key = name || target.hostname;
  return (ends) => {
    const socket = builtin("tls").connect({
      highWaterMark: 16_384,
      session: sessions.get(key),
      ...ofNode(options),
      ...(name !== "" && { servername: name }),
      ALPNProtocols: allowH2 ? ["http/1.1", "h2"] : ["http/1.1"],
      ...ends,
    } as ConnectionOptions);
    socket.on("session", (session) => sessions.set(key, session));
    return configured(socket, options);
  };
}

/** The options without those of portwarden. */
function ofNode(options: UndiciConnectOptions): object {
  const { timeout, allowH2, maxCachedSessions, stickyKey, signal, ...rest } = options;
  return rest;
}

function configured(socket: Socket, options: UndiciConnectOptions): Socket {
  const { keepAlive = true, keepAliveInitialDelay = KEEP_ALIVE_MS } = options;
  return socket.setNoDelay(true).setKeepAlive(keepAlive, keepAliveInitialDelay);
}

function nameOf(hostname: string): string {
  return isIP(hostname) === 0 ? hostname : "";
}

/** TLS sessions by server name; the one used least recently is dropped first. */
class Sessions {
  readonly #max: number;
  readonly #sessions: Map<string, Buffer> = new Map();

  constructor(max: number) {
    this.#max = max;
  }

  get(name: string): Buffer | undefined {
    const session = this.#sessions.get(name);
    if (session !== undefined) this.set(name, session);
    return session;
  }

  set(name: string, session: Buffer): void {
    this.#sessions.delete(name);
    this.#sessions.set(name, session);
    if (this.#sessions.size <= this.#max) return;
    const [oldest] = this.#sessions.keys();
    this.#sessions.delete(oldest as string);
  }
}

// ── Errors as undici has them ─────────────────────────────────────────────────────────────

/** The symbols by which undici's errors are recognized (undici `lib/core/errors.js`). */
const UNDICI_ERROR = Symbol.for("undici.error.UND_ERR");
const UNDICI_TIMEOUT = Symbol.for("undici.error.UND_ERR_CONNECT_TIMEOUT");

/** Wraps the reason of a signal that undici would not take for an error. */
function aborted(reason: unknown): Error {
  const error = new Error("the signal was aborted", { cause: reason });
  return Object.assign(error, { name: "AbortError", code: "ABORT_ERR" });
}

function asUndici(error: NodeJS.ErrnoException): Error {
  const isTimeout = error.code === "ETIMEDOUT" && !(error instanceof ConnectorError);
  if (!isTimeout) return error;
  return Object.assign(new Error(error.message, { cause: error }), {
    name: "ConnectTimeoutError",
    code: "UND_ERR_CONNECT_TIMEOUT",
    [UNDICI_ERROR]: true,
    [UNDICI_TIMEOUT]: true,
  });
}
