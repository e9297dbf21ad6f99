// Agents for node:http and node:https, and the function that http.request takes instead of an
// agent.
//
// Node asks an agent for a socket by `createConnection`, and takes it later by a callback, too.
// Until then the agent must count it, or it would open more than `maxSockets`; and it must notice
// when the request is given up, for which Node has no event while a request has no socket. A
// Pending does both.

import type {
  ClientRequest,
  ClientRequestArgs,
  Agent as HttpAgent,
  AgentOptions as HttpAgentOptions,
} from "node:http";
import type { Agent as HttpsAgent, AgentOptions as HttpsAgentOptions } from "node:https";
import { isIP, type NetConnectOpts, connect as netConnect, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { checkObject } from "../../requests/checks.ts";
import { builtin, loadedLater } from "../builtin.ts";
import { type Connector, type ConnectTarget, dialBy } from "../connector/connector.ts";
import { endsIn, refuseIgnored } from "./options.ts";

/** The options of portwarden for the connections of an agent or a request. */
export interface StickyOptions {
  /** With `spread: "sticky"`: connections come from the source that belongs to this key. */
  stickyKey?: string | undefined;
}

/** Options of {@link HttpPortAgent}: those of `http.Agent`, and portwarden's. */
export interface HttpPortAgentOptions extends HttpAgentOptions, StickyOptions {}

/** Options of {@link HttpsPortAgent}: those of `https.Agent`, and portwarden's. */
export interface HttpsPortAgentOptions extends HttpsAgentOptions, StickyOptions {}

/** Node's callback for the outcome. */
type Done = (error: Error | null, socket: Duplex) => void;

const NodesHttpAgent: typeof HttpAgent = loadedLater(() => builtin("http").Agent);
const NodesHttpsAgent: typeof HttpsAgent = loadedLater(() => builtin("https").Agent);

/**
 * An `http.Agent` whose connections go through a connector: each is opened from a source and a port
 * that portwarden has picked. All else is Node's: keep-alive (a pooled connection keeps its port),
 * `maxSockets`, timeouts. A request's `localAddress` must be one of the sources, and its `lookup`
 * is used instead of the connector's; `localPort` and what else a connector decides is refused.
 * Connections to a `socketPath` are left to Node.
 *
 * - If there is no port, the request emits `error` with a {@link ConnectorError}.
 * - A request that is destroyed ends at once: it gives up its connection, and before that its place among the
 *   waiting ones, for a port as well as in the agent's own queue.
 * - A request that waits for a port takes a connection of the agent that becomes idle meanwhile.
 * - `timeout` counts while connecting and while waiting for a port; the request emits `timeout`, as usual.
 * - `agent.destroy()` also ends the connections under way: their requests fail with `ECONNRESET`.
 * @example
 * const connector = createConnector({ sources: "127.0.0.2-127.0.0.5" });
 * const agent = new HttpPortAgent(connector, { keepAlive: true });
 * http.get("http://127.0.0.1:8080/", { agent }, (response) => response.resume());
 */
export class HttpPortAgent extends NodesHttpAgent {
  readonly #connector: Connector;
  readonly #stickyKey: string | undefined;

  constructor(connector: Connector, options: HttpPortAgentOptions = {}) {
    checkObject("options", options);
    const { stickyKey, ...ofNode } = options;
    refuseIgnored(ofNode, SECURE_REFUSED);
    super(ofNode);
    this.#connector = connector;
    this.#stickyKey = stickyKey;
    serveByIdle(this);
  }

  /** Called by Node for every request. */
  addRequest(request: ClientRequest, options: ClientRequestArgs): void {
    addRequest(this, request, options);
  }

  /** Called by Node for a request that needs a new connection. */
  createSocket(request: ClientRequest, options: ClientRequestArgs, done: Done): void {
    createSocket(this, request, options, done);
  }

  /** Called by Node: opens a connection. */
  override createConnection(options: ClientRequestArgs, done: Done): Duplex | undefined {
    const make = (more: object): Socket =>
      nodes("http").createConnection.call(this, { ...options, ...more });
    return open(this, this.#connector, this.#stickyKey, options, done, make, "connect");
  }
}

/**
 * The same as {@link HttpPortAgent} for `https`: TLS with server names, certificates and sessions
 * is Node's; sessions are reused for a host whatever the source.
 * @example
 * const agent = new HttpsPortAgent(connector, { keepAlive: true, maxCachedSessions: 100 });
 * https.get("https://example.org/", { agent }, (response) => response.resume());
 */
export class HttpsPortAgent extends NodesHttpsAgent {
  readonly #connector: Connector;
  readonly #stickyKey: string | undefined;

  constructor(connector: Connector, options: HttpsPortAgentOptions = {}) {
    checkObject("options", options);
    const { stickyKey, ...ofNode } = options;
    refuseIgnored(ofNode, SECURE_REFUSED);
    super(ofNode);
    this.#connector = connector;
    this.#stickyKey = stickyKey;
    serveByIdle(this);
  }

  /** Called by Node for every request. */
  addRequest(request: ClientRequest, options: ClientRequestArgs): void {
    addRequest(this, request, options);
  }

  /** Called by Node for a request that needs a new connection. */
  createSocket(request: ClientRequest, options: ClientRequestArgs, done: Done): void {
    createSocket(this, request, options, done);
  }

  /** Called by Node: opens a connection. */
  override createConnection(options: ClientRequestArgs, done: Done): Duplex | undefined {
    const make = (more: object): Socket =>
      nodes("https").createConnection.call(this, { ...options, ...more });
    return open(this, this.#connector, this.#stickyKey, options, done, make, "secureConnect");
  }
}

/** Options of {@link connectionFor}. */
export interface ConnectionForOptions extends StickyOptions {
  /**
   * The connections are secure (TLS), with the request's options of `tls.connect`. Default false.
   */
  secure?: boolean | undefined;
}

/**
 * A function for the option `createConnection` of `http.request`, and of clients that pass it on,
 * such as `ws`: a new connection each time, without an agent. With `secure: true` for
 * `https.request` and `wss:`. An agent does more: with this, a request that is destroyed or times
 * out while connecting leaves its connection to be closed once it is open.
 * @example
 * const createConnection = connectionFor(connector);
 * const socket = new WebSocket("ws://127.0.0.1:8080/", { createConnection });
 */
export function connectionFor(
  connector: Connector,
  options: ConnectionForOptions = {},
): (options: NetConnectOpts | ClientRequestArgs, done?: Done) => Socket {
  checkObject("options", options);
  const { secure = false, stickyKey } = options;
  // Node takes the socket that the callback gets; its types say that one is returned.
  return ((request: ClientRequestArgs, done: Done): Socket | undefined => {
    // `path` is that of the URL, but net.connect would take it for that of a local socket.
    const path = request.socketPath ?? undefined;
    const servername = secure ? { servername: serverNameOf(request) } : {};
    const passed = { ...request, ...servername, path } as NetConnectOpts;
    const make = (more: object): Socket =>
      secure ? builtin("tls").connect({ ...passed, ...more }) : netConnect({ ...passed, ...more });
    if (path !== undefined) return make({});
    const opened = (error: Error | null, socket: Socket | null): void => {
      if (socket !== null) done(null, socket);
      else failBy(done, error as Error);
    };
    const readyEvent = secure ? "secureConnect" : "connect";
    connector.dial(targetOf(request, stickyKey), make, opened, readyEvent);
    return undefined;
  }) as unknown as (options: NetConnectOpts | ClientRequestArgs, done?: Done) => Socket;
}

// ── Between Node's agents and the connector ───────────────────────────────────────────────

/** Members of Node's agents that their types do not have; `agent-base` relies on the same. */
interface AgentInside {
  readonly sockets: Record<string, Duplex[] | undefined>;
  readonly requests: Record<string, ClientRequest[] | undefined>;
  totalSocketCount: number;
  getName(options: object): string;
  readonly freeSockets: Record<string, Socket[] | undefined>;
  addRequest(request: ClientRequest, options: object): void;
  reuseSocket(socket: Socket, request: ClientRequest): void;
  removeSocket(socket: Duplex, options: object): void;
  createSocket(request: ClientRequest, options: object, done: Done): void;
  createConnection(this: HttpAgent, options: object): Socket;
}

function nodes(module: "http" | "https"): AgentInside {
  return builtin(module).Agent.prototype as unknown as AgentInside;
}

/** Options for TLS over an existing connection, which would not be one of the connector. */
const SECURE_REFUSED = ["socket"];

/** The request that a connection is made for, among its options. */
const REQUEST = Symbol("portwarden.request");

interface RequestOptions extends ClientRequestArgs {
  /** Node's name for the pairs that the connection belongs to. */
  _agentKey?: string;
  [REQUEST]?: ClientRequest;
}

/** By agent: requests that have been given no connection yet, and what is under way for each. */
const underWay = new WeakMap<object, Set<Pending>>();

/**
 * Node itself emits no event for a request that is destroyed in the queue, and leaves it there
 * until its turn.
 */
function addRequest(agent: HttpAgent, request: ClientRequest, options: ClientRequestArgs): void {
  const inside = agent as unknown as AgentInside;
  nodes("http").addRequest.call(agent, request, options);
  onDestroy(request, () => {
    if (leaveQueue(inside, request)) request.onSocket(null as unknown as Socket);
  });
}

/** Has a connection that becomes idle serve a request whose own connection has no port yet. */
function serveByIdle(agent: HttpAgent): void {
  const inside = agent as unknown as AgentInside;
  const pendings = new Set<Pending>();
  underWay.set(agent, pendings);
  // Node's own listener runs first: a socket that no request in the queue has taken is idle then.
  agent.on("free", (socket: Socket, options: RequestOptions) => {
    const name = inside.getName(options);
    const idle = inside.freeSockets[name] ?? [];
    if (!idle.includes(socket)) return;
    const waiting = [...pendings].find((pending) => pending.mayTake(name));
    if (waiting === undefined) return;
    idle.splice(idle.indexOf(socket), 1);
    if (idle.length === 0) delete inside.freeSockets[name];
    waiting.take(socket);
  });
}

/** Calls back once the request has been destroyed. */
function onDestroy(request: ClientRequest, destroyed: () => void): void {
  const { destroy } = request;
  request.destroy = (error) => {
    destroy.call(request, error);
    destroyed();
    return request;
  };
  if (request.destroyed) destroyed();
}

function createSocket(
  agent: HttpAgent,
  request: ClientRequest,
  options: ClientRequestArgs,
  done: Done,
): void {
  const inside = agent as unknown as AgentInside;
  // A request in the queue may get another connection than the one that is opened for it.
  const wasQueued = queueOf(inside, request) !== undefined;
  const tell: Done = (error, socket) => {
    if (error !== null && wasQueued && !leaveQueue(inside, request)) return;
    // A request that has been destroyed knows its error.
    if (error !== null && request.destroyed) request.onSocket(null as unknown as Socket);
    else done(error, socket);
  };
  nodes("http").createSocket.call(
    agent,
    request,
    { ...options, [REQUEST]: request } as object,
    tell,
  );
}

function queueOf({ requests }: AgentInside, request: ClientRequest): string | undefined {
  return Object.keys(requests).find((name) => requests[name]?.includes(request));
}

/**
 * Removes a request from the queue, and tells whether it was there. Node leaves requests that have
 * failed in it.
 */
function leaveQueue(inside: AgentInside, request: ClientRequest): boolean {
  const name = queueOf(inside, request);
  const queue = name === undefined ? undefined : inside.requests[name];
  if (name === undefined || queue === undefined) return false;
  queue.splice(queue.indexOf(request), 1);
  if (queue.length === 0) delete inside.requests[name];
  return true;
}

function open(
  agent: HttpAgent,
  connector: Connector,
  stickyKey: string | undefined,
  options: RequestOptions,
  done: Done,
  make: (more: object) => Socket,
  readyEvent: string,
): Duplex | undefined {
  if (options.socketPath) return make({});
  const pending = new Pending(agent as unknown as AgentInside, options);
  const opened = (error: Error | null, socket: Socket | null): void => {
    if (socket !== null) pending.succeed(() => done(null, socket));
    else pending.fail(() => done(error, undefined as unknown as Socket));
  };
  try {
    const target = targetOf(options, stickyKey);
    pending.isOpenedBy(dialBy(connector, target, (ends) => make(ends), opened, readyEvent));
  } catch (error) {
    opened(error as Error, null);
  }
  return undefined;
}

/** A connection under way, which counts as one of the agent's sockets. */
class Pending {
  readonly #agent: AgentInside;
  readonly #options: RequestOptions;
  readonly #name: string;
  #operation: ReturnType<typeof dialBy> | undefined;
  /** Why it has been given up. */
  #reason: Error | undefined;
  /**
   * Stands for the connection among the agent's sockets, so that the agent counts it, and destroys
   * it.
   */
  readonly #standIn: Socket = new Socket();
  readonly #timer: NodeJS.Timeout | undefined;
  /** The request that this connection is for, unless that is in the agent's queue and takes any. */
  readonly #request: ClientRequest | undefined;
  #isOver = false;

  constructor(agent: AgentInside, options: RequestOptions) {
    this.#agent = agent;
    this.#options = options;
    this.#name = options._agentKey ?? agent.getName(options);
    agent.sockets[this.#name] ??= [];
    agent.sockets[this.#name]?.push(this.#standIn);
    agent.totalSocketCount++;
    this.#standIn.once("close", () => this.#giveUp());
    const request = options[REQUEST];
    if (request === undefined) return;
    onDestroy(request, () => this.#giveUp());
    const isQueued = queueOf(agent, request) !== undefined;
    this.#request = isQueued ? undefined : request;
    underWay.get(agent)?.add(this);
    const { timeout } = options;
    if (timeout) this.#timer = setTimeout(() => request.emit("timeout"), timeout);
  }

  isOpenedBy(operation: ReturnType<typeof dialBy>): void {
    this.#operation = operation;
    if (this.#reason !== undefined) operation.abandon(this.#reason);
  }

  /** May its request be served by a connection of that name that has become idle? */
  mayTake(name: string): boolean {
    return this.#request !== undefined && !this.#request.destroyed && name === this.#name;
  }

  /** Serves its request by a connection that is there, and gives its own up. */
  take(socket: Socket): void {
    const request = this.#request as ClientRequest;
    const agent = this.#agent;
    this.#end();
    this.#abandon();
    agent.reuseSocket(socket, request);
    request.onSocket(socket);
    const timeout = this.#options.timeout ?? 0;
    if (timeout !== socket.timeout) socket.setTimeout(timeout);
    agent.sockets[this.#name]?.push(socket);
    // Another origin's request may be next.
    process.nextTick(() => agent.removeSocket(this.#standIn, this.#options));
  }

  /** @param tell has Node put the socket in place of the stand-in. */
  succeed(tell: () => void): void {
    if (this.#isOver) return;
    this.#end();
    const sockets = this.#agent.sockets[this.#name] ?? [];
    const index = sockets.indexOf(this.#standIn);
    if (index >= 0) sockets.splice(index, 1);
    tell();
  }

  /** Later, since Node may begin with the next request at once. */
  fail(tell: () => void): void {
    if (this.#isOver) return;
    this.#end();
    process.nextTick(() => {
      tell();
      this.#agent.removeSocket(this.#standIn, this.#options);
    });
  }

  #end(): void {
    this.#isOver = true;
    this.#agent.totalSocketCount--;
    underWay.get(this.#agent)?.delete(this);
    clearTimeout(this.#timer);
  }

  #giveUp(): void {
    if (!this.#isOver) this.#abandon();
  }

  #abandon(): void {
    this.#reason ??= hungUp();
    this.#operation?.abandon(this.#reason);
  }
}

/** @throws PortError `ERR_INVALID_ARG_VALUE` for what a connector would have to ignore. */
function targetOf(options: ClientRequestArgs, key: string | undefined): ConnectTarget {
  refuseIgnored(options, SECURE_REFUSED);
  const { host, port } = options;
  return {
    ...endsIn(options),
    host: host ?? undefined,
    port: Number(port ?? options.defaultPort),
    key,
  };
}

/**
 * A request that is told of an error only emits that. A socket that fails also ends the request,
 * with `close`, as usual.
 */
function failBy(done: Done, error: Error): void {
  const socket = new Socket();
  // A request that has ended has no listeners any more.
  socket.on("error", () => {});
  done(null, socket);
  socket.destroy(error);
}

/** The name that the certificate must have. */
function serverNameOf(request: ClientRequestArgs & { servername?: string }): string {
  const { servername, host } = request;
  if (servername !== undefined) return servername;
  return host && isIP(host) === 0 ? host : "";
}

/** Node's error of a request whose connection ends before the response. */
function hungUp(): Error {
  return Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
}
