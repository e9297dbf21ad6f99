// Connector: opens connections from the local ports that portwarden picks for their pair of source
// and destination. It checks requests; a ConnectOperation does the work.

import type { Socket, TcpNetConnectOpts } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { closed, wrongType, wrongValue } from "../../errors.ts";
import { PortManager, UDP } from "../../index.ts";
import { parseAddress } from "../../requests/address.ts";
import { checkInteger, checkObject, checkPort } from "../../requests/checks.ts";
import { refuseIgnored } from "../adapters/options.ts";
import { filesLeft, type HostState, readHostSettings, readHostState } from "../host/host-state.ts";
import { foreignSockets, quarantineOccupied } from "../host/occupied-ports.ts";
import { type ReconcileOptions, Reconciler, type Reconciliation } from "../host/reconcile.ts";
import { Events } from "../metrics/events.ts";
import { type ConnectorMetrics, snapshot } from "../metrics/metrics.ts";
import { WaitTimes } from "../metrics/wait-times.ts";
import { anyAddress } from "../sources/destination.ts";
import { PairTable } from "../sources/pair-table.ts";
import type { Source } from "../sources/source.ts";
import type { Dial } from "./attempt.ts";
import { type ConnectCallback, ConnectOperation, type Target } from "./connect-operation.ts";
import type { ConnectorContext } from "./connector-context.ts";
import type { Capacity } from "./connector-error.ts";
import {
  type ConnectorOptions,
  type ConnectorSettings,
  checkOptions,
  type Lookup,
} from "./connector-options.ts";
import { destinationsOf } from "./destinations.ts";
import { dialNet } from "./dial-net.ts";
import { dialTls } from "./dial-tls.ts";
import { ExhaustionErrors } from "./exhaustion-errors.ts";
import { WaitQueues } from "./wait-queues.ts";

const DAY_MS = 86_400_000;
const DESTINATIONS_MAX = 0xffffffff;

/** The request of a connection: where to connect to, and how. */
export interface ConnectTarget {
  /** A host name or an IP address; `"localhost"` by default. */
  host?: string | undefined;
  /** The port, 1..65535, as a number or in digits. */
  port: number | string;
  /**
   * 4 or 6: only addresses of that kind; 0, the default: either. It is what the resolver is asked
   * for; addresses of another kind that it answers all the same are left out. An address as `host`
   * is used whatever its kind, as in `net.connect`.
   */
  family?: number | undefined;
  /** With `spread: "sticky"`: the same key always gets the same source. */
  key?: string | undefined;
  /** One of the connector's sources, which must then be the one; with the zone that it has. */
  localAddress?: string | undefined;
  /** Ends the connection, and before that the wait for it, when it is aborted. */
  signal?: AbortSignal | undefined;
  /** As the connector's option, for this connection. */
  connectTimeout?: number | undefined;
  /** As the connector's option, for this connection: it need not respect `family`. */
  lookup?: Lookup | undefined;
}

/** Where to bind a UDP socket. */
export interface DatagramSource extends Pick<ConnectTarget, "key" | "localAddress" | "signal"> {
  family: 4 | 6;
}

/**
 * Options of {@link Connector.connect}: those of `net.connect` but for the local port, and those of
 * {@link ConnectTarget}.
 */
export interface ConnectOptions
  extends ConnectTarget,
    Omit<
      TcpNetConnectOpts,
      keyof ConnectTarget | "localPort" | "lookup" | "autoSelectFamily" | "onread"
    > {
  /** `true`, or options of `tls.connect`: the connection is to be secure (TLS). */
  tls?: boolean | ConnectionOptions | undefined;
}

/**
 * {@link Connector.dial}, for adapters; the operation that it returns can give the connection up.
 */
export let dialBy: (
  connector: Connector,
  where: ConnectTarget,
  dial: Dial,
  opened: ConnectCallback,
  readyEvent: string,
) => Abandoned;

/** An operation that can give up a connection that is being opened. */
type Abandoned = Pick<ConnectOperation, "abandon">;

/**
 * Opens connections from chosen local addresses, each from the local port that portwarden picks for
 * its source and destination. So as many connections share a port as there are destinations. The
 * system does not share ports for sockets that are bound to an address alone (Linux without
 * `IP_BIND_ADDRESS_NO_PORT`, which Node does not set).
 */
export class Connector implements Disposable {
  readonly #settings: ConnectorSettings;
  readonly #pairs: PairTable;
  readonly #context: ConnectorContext;
  readonly #reconciler: Reconciler = new Reconciler();
  #hasLooked: boolean;
  #isClosed = false;

  static {
    dialBy = (connector, where, dial, opened, readyEvent) =>
      #settings in Object(connector)
        ? connector.#dial(where, dial, opened, readyEvent)
        : dialOther(connector, where, dial, opened, readyEvent);
  }

  /** Made by {@link createConnector}. */
  constructor(options: ConnectorOptions) {
    const host = readHostSettings();
    const settings = checkOptions(options, host);
    const { portRange, seed, memoryLimit, selection } = settings;
    const manager = PortManager.open({
      portRange,
      ...(selection === "sequential" && { selection }),
      ...(seed !== undefined && { seed }),
      ...(memoryLimit !== undefined && { memoryLimit }),
    });
    this.#settings = settings;
    this.#hasLooked = !settings.skipUsed;
    this.#pairs = new PairTable(manager, settings, () => host.tcp);
    const queues = new WaitQueues(this.#pairs);
    this.#pairs.onFreed = (pair, hasFile) => queues.onFreed(pair, hasFile);
    this.#pairs.onQuarantine = (pair) => queues.onQuarantine(pair);
    this.#pairs.onBlocks = () => queues.onBlocks();
    this.#pairs.isWaited = () => queues.count > 0;
    this.#context = {
      settings,
      pairs: this.#pairs,
      queues,
      errors: new ExhaustionErrors(this.#pairs, settings, filesLeft(host)),
      events: new Events(this.#pairs),
      waits: new WaitTimes(),
      operations: [],
    };
  }

  /** The local addresses, in order, and then blocks whose addresses are used on demand. */
  get sources(): readonly string[] {
    const { sources, sourceBlocks } = this.#settings;
    return [...sources, ...sourceBlocks.map(({ text }) => text)];
  }

  /** Do its ports come from leased blocks (option `blocks`)? */
  get leasesBlocks(): boolean {
    return this.#pairs.leases !== undefined;
  }

  // ── Connections ─────────────────────────────────────────────────────────────────────────

  /**
   * Opens a connection (RFC 9293; `net.connect`, or `tls.connect` with `tls`).
   * @returns a promise of the socket, connected. Its local port comes back when it has closed,
   * whatever listeners are removed.
   * @throws ConnectorError if there is no port or no file; the system's error if connecting
   * failed; an `AggregateError` with a `code` if several addresses of a host did; the signal's
   * reason. All as a rejected promise. PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`,
   * `ERR_SOCKET_BAD_PORT`, `ERR_OUT_OF_RANGE`, `EBADF` (closed).
   */
  connect(options: ConnectOptions & { tls: true | ConnectionOptions }): Promise<TLSSocket>;
  connect(options: ConnectOptions): Promise<Socket>;
  connect(options: ConnectOptions): Promise<Socket> {
    // An exception in here rejects the promise.
    return new Promise((resolve, reject) => {
      this.open(options, (error, socket) => {
        // The error may be any value, null as well: the reason of a signal.
        if (socket !== null) resolve(socket);
        else reject(error);
      });
    });
  }

  /**
   * As {@link connect}, with a callback.
   * @param opened called once, and never before this has returned: with an error, or with the
   * socket, connected.
   * @throws PortError for bad arguments, and `EBADF`, at once; other errors go to `opened`.
   */
  open(options: ConnectOptions, opened: ConnectCallback): void {
    checkObject("options", options);
    const { tls } = options;
    refuseIgnored(options, ["fd", "handle"]);
    const like = "a boolean or options of tls.connect";
    if (tls !== undefined && typeof tls !== "boolean") checkObject("tls", tls, like);
    if (tls) this.dial(options, dialTls(options), opened, "secureConnect");
    else this.dial(options, dialNet(options), opened);
  }

  /**
   * Opens a connection through a socket that the caller makes: for adapters.
   * @param where the destination, and which source.
   * @param dial called for each attempt with both ends; must make a socket that begins to connect
   * between them, and must not connect from another port. An exception of it counts as a failure of
   * the socket.
   * @param opened called once, and never before this has returned: with an error, or with the
   * socket.
   * @param readyEvent the event that the socket emits when it may be used: `connect`, or
   * `secureConnect`.
   * @throws PortError for bad arguments, and `EBADF`.
   */
  dial(where: ConnectTarget, dial: Dial, opened: ConnectCallback, readyEvent = "connect"): void {
    this.#dial(where, dial, opened, readyEvent);
  }

  #dial(
    where: ConnectTarget,
    dial: Dial,
    opened: ConnectCallback,
    readyEvent: string,
  ): ConnectOperation {
    if (this.#isClosed) throw closed("connector");
    checkObject("options", where);
    checkFunctions(dial, opened);
    if (typeof readyEvent !== "string")
      throw wrongType("readyEvent", "the name of an event", readyEvent);
    const { host = "localhost", family = 0 } = where;
    const port = portOf(where.port);
    if (typeof host !== "string") throw wrongType("host", "a host name or an IP address", host);
    if (family !== 0 && family !== 4 && family !== 6)
      throw wrongValue("family", "0, 4 or 6", family);
    const { connectTimeout = this.#settings.connectTimeout, signal, lookup } = where;
    if (lookup !== undefined && typeof lookup !== "function") {
      throw wrongType("lookup", "a function like dns.lookup", lookup);
    }
    checkInteger("connectTimeout", connectTimeout, 0, DAY_MS);
    checkSignal(signal);
    const fixed = this.#fixedSource(where);
    const key = this.#stickyKey(where);
    return this.#begin(
      {
        destinations: destinationsOf(
          this.#pairs,
          lookup ?? this.#settings.lookup,
          host,
          port,
          family,
        ),
        source: fixed,
        key,
        signal,
        connectTimeout,
        host,
        port,
        readyEvent,
        dial,
      },
      opened,
    );
  }

  /**
   * The same for a UDP socket, which has no destination: for the adapter for `node:dgram`.
   * @param where which source, and 4 or 6.
   * @param dial called for each attempt; must make an object that behaves as a `net.Socket` that
   * connects when it is bound.
   * @throws PortError for bad arguments, and `EBADF`.
   */
  dialDatagram(where: DatagramSource, dial: Dial, opened: ConnectCallback): void {
    if (this.#isClosed) throw closed("connector");
    checkObject("options", where);
    const { family, signal } = where;
    if (family !== 4 && family !== 6) throw wrongValue("family", "4 or 6", family);
    checkFunctions(dial, opened);
    checkSignal(signal);
    const fixed = this.#fixedSource(where);
    if (fixed !== undefined && fixed.family !== family)
      throw wrongValue("localAddress", `an IPv${family} address`, fixed.address);
    const key = this.#stickyKey(where);
    this.#begin(
      {
        destinations: [this.#pairs.use(UDP, anyAddress(family), 0)],
        source: fixed,
        key,
        signal,
        connectTimeout: 0,
        host: "",
        port: 0,
        readyEvent: "connect",
        dial,
      },
      opened,
    );
  }

  #begin(target: Target, opened: ConnectCallback): ConnectOperation {
    this.#lookOnce();
    const operation = new ConnectOperation(this.#context, target, opened);
    operation.start();
    return operation;
  }

  /** The source that the caller requires. */
  #fixedSource({ localAddress }: Pick<ConnectTarget, "localAddress">): Source | undefined {
    if (localAddress === undefined || localAddress === null) return undefined;
    const text = canonicalSource(localAddress);
    const source = this.#pairs.sources.at(text);
    if (source !== undefined) return source;
    throw wrongValue("localAddress", "one of the connector's sources", localAddress);
  }

  #stickyKey({ key }: Pick<ConnectTarget, "key">): string | undefined {
    if (key !== undefined && typeof key !== "string") throw wrongType("key", "a string", key);
    return this.#settings.spread === "sticky" ? key : undefined;
  }

  // ── Figures ─────────────────────────────────────────────────────────────────────────────

  /**
   * How many connections the sources can carry at the same time to so many destinations: sources x
   * ports x destinations, or fewer if the process may not open that many files. Known destinations
   * at an address of a source have one port less there, their own. Sources that the system does not
   * let the connector bind are left out for as long as they are quarantined (`quarantine`).
   * @param destinations different pairs of address and port, 0..4294967295.
   * @param family 4 or 6: by default that of the first source. Only sources of that kind count.
   * @throws PortError `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   */
  capacity(destinations = 1, family: number = this.#pairs.sources.firstFamily): Capacity {
    checkInteger("destinations", destinations, 0, DESTINATIONS_MAX);
    if (family !== 4 && family !== 6) throw wrongValue("family", "4 or 6", family);
    return this.#context.errors.capacityOf(destinations, family);
  }

  /** Gauges and counters, as they are now. */
  metrics(): ConnectorMetrics {
    this.#lookOnce();
    return snapshot(this.#context);
  }

  /**
   * Reads the host's state again (Linux `/proc/net/tcp`): ports of the sources that other programs
   * have are quarantined for as long as `quarantine` says. Sources that could not be bound are
   * tried again. Some milliseconds; more with thousands of sockets.
   * @returns the host's state; where it is unknown, nothing changes.
   */
  refresh(): HostState {
    if (this.#isClosed) throw closed("connector");
    const host = readHostState();
    this.#pairs.sources.returnAll();
    this.#skipUsed(host);
    return host;
  }

  /**
   * Compares the ports that connections hold with the sockets that the host lists (Linux
   * `/proc/net/tcp`), and tells where they differ. With `fix` it corrects that: ports of other
   * programs are quarantined, as {@link refresh} does, and a port that no socket has is given back,
   * if it had none a second before, at an earlier call, either. To be called now and then, as
   * Kubernetes repairs its allocations; it takes as long as `refresh`, and a little for each
   * connection.
   * @throws PortError `EBADF` (closed), `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
   */
  reconcile(options: ReconcileOptions = {}): Reconciliation {
    if (this.#isClosed) throw closed("connector");
    return this.#reconciler.reconcile(options, this.#pairs, this.#settings);
  }

  /**
   * Reads which ports other programs hold, when that first matters, because the kernel walks its
   * tables for it.
   */
  #lookOnce(): void {
    if (!this.#hasLooked) this.#skipUsed(readHostSettings());
  }

  #skipUsed(host: HostState): void {
    this.#hasLooked = true;
    const until = this.#pairs.now() + this.#settings.quarantine;
    quarantineOccupied(foreignSockets(host, this.#pairs, this.#settings.portRange), until);
  }

  // ── The end ─────────────────────────────────────────────────────────────────────────────

  /**
   * Opens no more connections: those under way fail with `EBADF`, and so do those that wait. Open
   * sockets stay open, and give their ports back as they close. A second call does nothing.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const operation of [...this.#context.operations]) operation.abandon(closed("connector"));
    this.#pairs.close();
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * A connector: opens connections from these local addresses, on ports that it knows to be free for
 * their destination.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`,
 * `ERR_INVALID_IP_ADDRESS`, `EINVAL` (range, reserved list), `ENOBUFS`.
 * @example
 * const connector = createConnector({ sources: "127.0.0.2-127.0.0.5" });
 * const socket = await connector.connect({ host: "127.0.0.1", port: 8080 });
 */
export function createConnector(options: ConnectorOptions): Connector {
  return new Connector(options);
}

/**
 * A connector of another copy of the package, or an object that behaves as one, gives up by a
 * signal.
 */
function dialOther(...[connector, where, ...more]: Parameters<typeof dialBy>): Abandoned {
  const ended = new AbortController();
  const { signal: own } = where;
  const signal = own === undefined ? ended.signal : AbortSignal.any([own, ended.signal]);
  connector.dial({ ...where, signal }, ...more);
  return { abandon: (reason) => ended.abort(reason) };
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** As a source's address is written. */
function canonicalSource(localAddress: unknown): string {
  if (typeof localAddress === "string" && localAddress.includes("%")) {
    const zone = localAddress.indexOf("%");
    const { text } = parseAddress("localAddress", localAddress.slice(0, zone));
    return text + localAddress.slice(zone);
  }
  const { text } = parseAddress("localAddress", localAddress);
  return text || (String(localAddress).includes(".") ? "0.0.0.0" : "::");
}

function checkFunctions(dial: Dial, opened: ConnectCallback): void {
  if (typeof dial !== "function") throw wrongType("dial", "a function", dial);
  if (typeof opened !== "function") throw wrongType("callback", "a function", opened);
}

/** A port, which may be in digits, as `URL.port` is. */
function portOf(port: unknown): number {
  const isDigits = typeof port === "string" && /^\d{1,5}$/.test(port);
  return checkPort(isDigits ? Number(port) : port);
}

/** @throws PortError `ERR_INVALID_ARG_TYPE`. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  // A signal of any realm, as in Node.
  const { aborted, addEventListener } = Object(signal);
  if (typeof aborted === "boolean" && typeof addEventListener === "function") return;
  throw wrongType("signal", "an AbortSignal", signal);
}
