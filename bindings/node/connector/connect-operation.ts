// ConnectOperation: one connection, from the request to the socket.
//
//   resolve ──▶ AddressRace ──▶ PortAcquisition ──▶ Attempt ──▶ ready: the caller has a socket
//                  ▲                  │ ▲               │
//                  │          no port ▼ │               │
//                  │            OperationWait           │
//                  └────────── the address failed ◀─────┘
//
// Each attempt has a port of its own. When one has connected the others are closed, and their
// ports come back.
//
// Must stay true: the callback is called once, and not before `start` has returned.

import type { Socket } from "node:net";
import type { Trip } from "../metrics/events.ts";
import type { Checkout } from "../sources/checkout.ts";
import type { Destination } from "../sources/destination.ts";
import type { PairRequest } from "../sources/pair-table.ts";
import type { Source } from "../sources/source.ts";
import { AddressRace, type Racer } from "./address-race.ts";
import {
  Attempt,
  causeOf,
  checkDialled,
  type Dial,
  type Endpoints,
  type FailureCause,
  giveBackUnopened,
  type Observer,
} from "./attempt.ts";
import type { ConnectorContext } from "./connector-context.ts";
import type { ConnectorError } from "./connector-error.ts";
import { OperationWait } from "./operation-wait.ts";
import {
  type BeginFailure,
  type Obstacle,
  PortAcquisition,
  type PortSeeker,
} from "./port-acquisition.ts";

/**
 * Called with the outcome of a connection: the connected socket, or `null` and the error. The error
 * is whatever value the signal's reason is, or whatever the dial has thrown; ask `socket === null`
 * rather than for an error.
 */
export type ConnectCallback = (error: Error | null, socket: Socket | null) => void;

/**
 * Called with the addresses of a host in the order in which they are to be tried, one or more, or
 * with an error.
 */
type Resolved = (error: unknown, destinations: readonly Destination[]) => void;

/** The request for a connection. */
export interface Target {
  /** The addresses, or what resolves them. */
  readonly destinations: readonly Destination[] | ((done: Resolved) => void);
  /** The required source, if the caller names one. */
  readonly source: Source | undefined;
  /**
   * The key of the source otherwise; the source may depend on the family of the destination, too.
   */
  readonly key: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds for the whole operation with its waits; 0: no limit. */
  readonly connectTimeout: number;
  /** The destination in messages. */
  readonly host: string;
  readonly port: number;
  /** The event that a socket emits when it may be used. */
  readonly readyEvent: string;
  readonly dial: Dial;
}

/** The last number that an operation of this process was given. */
let lastId = 0;

export class ConnectOperation implements Observer, PortSeeker, Racer, Trip {
  readonly id: number = ++lastId;
  readonly #context: ConnectorContext;
  readonly #target: Target;
  readonly #callback: ConnectCallback;
  #destinations: readonly Destination[] = [];
  /** The race, where there are several addresses, or the only one has failed. */
  #race: AddressRace | undefined = undefined;
  readonly #ports: PortAcquisition;
  /** The wait, from the first one on. */
  #wait: OperationWait | undefined = undefined;
  /** The index among the context's operations. */
  #place = -1;
  /**
   * The attempts under way, or open. The list is replaced; it has more than one only with several
   * addresses.
   */
  #sockets: readonly Socket[] = [];
  /** The attempt that has connected. */
  #winner: Socket | undefined = undefined;
  #isOver = false;
  #onAbort: (() => void) | undefined = undefined;
  #connectTimer: NodeJS.Timeout | undefined = undefined;

  constructor(context: ConnectorContext, target: Target, callback: ConnectCallback) {
    this.#context = context;
    this.#target = target;
    this.#callback = callback;
    this.#ports = new PortAcquisition(context, this);
  }

  get source(): Source | undefined {
    return this.#target.source;
  }

  get key(): string | undefined {
    return this.#target.key;
  }

  start(): void {
    this.#place = this.#context.operations.push(this) - 1;
    const { signal, destinations } = this.#target;
    if (signal !== undefined) this.#heed(signal);
    this.#startConnectTimer();
    if (typeof destinations !== "function") this.#onResolved(null, destinations);
    else if (!this.#isOver) destinations((error, found) => this.#onResolved(error, found));
  }

  /** Milliseconds that the operation has waited for ports and files. */
  get waitedMs(): number {
    return this.#wait?.waitedMs ?? 0;
  }

  /** Gives up, for a reason of the caller's. */
  abandon(reason: unknown): void {
    this.#fail(reason);
  }

  #onResolved(error: unknown, destinations: readonly Destination[]): void {
    this.#destinations = destinations;
    if (this.#isOver) this.#forgetDestinations();
    else if (error !== null) this.#fail(error);
    else if (destinations.length === 1) this.beginWith(destinations[0] as Destination);
    else this.#raceOf(0).start();
  }

  #forgetDestinations(): void {
    for (const destination of this.#destinations) destination.operations--;
    this.#destinations = [];
  }

  // ── Addresses ───────────────────────────────────────────────────────────────────────────

  /** The race; makes it if the only address was begun without one. */
  #raceOf(begun = 1): AddressRace {
    const { attemptDelay } = this.#context.settings;
    this.#race ??= new AddressRace(this, attemptDelay, this.#destinations, begun);
    return this.#race;
  }

  beginWith(destination: Destination): void {
    const request = this.#ports.requestFor(destination);
    const { queues } = this.#context;
    queues.serve(request);
    // The connection that was served just now may have given this one up.
    if (this.#isOver) return;
    if (queues.has(request)) this.#join(request, false);
    else this.#acquire(request);
  }

  isUnderWay(): boolean {
    return this.#sockets.length > 0 || (this.#wait?.isWaiting ?? false);
  }

  onLost(error: unknown): void {
    this.#fail(error);
  }

  #acquire(request: PairRequest): void {
    const obstacle = this.#ports.acquire(request);
    if (obstacle !== undefined) this.#onObstacle(request, obstacle);
  }

  #onObstacle(request: PairRequest, obstacle: Obstacle): void {
    if (this.#isOver) return;
    if (obstacle.kind === "failure") this.#raceOf().onFailed(obstacle.error);
    else if (this.#mayWaitFor(request, obstacle)) this.#join(request, obstacle.kind === "file");
    else this.#refuse(request, obstacle.error);
  }

  #refuse(request: PairRequest, error: ConnectorError): void {
    this.#context.events.onRefused(request, error, this);
    this.#raceOf().onFailed(error);
  }

  // ── Attempts ────────────────────────────────────────────────────────────────────────────

  begin(checkout: Checkout): BeginFailure | undefined {
    this.#context.events.onPick(checkout, this);
    const { dial, readyEvent } = this.#target;
    let socket: Socket;
    try {
      socket = checkDialled(dial(endpointsOf(checkout)), readyEvent);
    } catch (error) {
      const cause = causeOf(error);
      giveBackUnopened(checkout, cause);
      return this.#noteFailure(checkout, error, cause);
    }
    new Attempt(checkout, socket, readyEvent, this);
    this.#sockets = this.#sockets.length === 0 ? [socket] : [...this.#sockets, socket];
    // The dial, or a listener of events, may have given the operation up.
    if (this.#isOver) socket.destroy();
    return undefined;
  }

  #noteFailure(
    checkout: Checkout,
    error: unknown,
    cause: FailureCause,
    socket?: Socket,
  ): BeginFailure | undefined {
    this.#context.events.onFailed(checkout, error, cause, this);
    const isDecided = this.#winner !== undefined && this.#winner !== socket;
    return this.#isOver || isDecided ? undefined : { error, cause };
  }

  onConnected(_attempt: Attempt, socket: Socket): void {
    if (this.#isOver || this.#winner !== undefined) {
      socket.destroy();
      return;
    }
    this.#winner = socket;
    this.#race?.pause();
    for (const other of this.#sockets) if (other !== socket) other.destroy();
  }

  onReady(attempt: Attempt, socket: Socket): void {
    if (this.#isOver) return;
    this.#settle();
    const { events, waits } = this.#context;
    waits.observe(this.waitedMs);
    if (this.#target.signal === undefined) attempt.leaveTo(events);
    attempt.waitedMs = this.waitedMs;
    attempt.pair.onConnected(attempt.port);
    events.onConnected(attempt, this);
    this.#succeed(socket);
  }

  onClosed(attempt: Attempt, socket: Socket): void {
    this.#ignoreSignal();
    this.#drop(socket);
    this.#context.events.onClosed(attempt);
  }

  onFailed(attempt: Attempt, socket: Socket, error: unknown, cause: FailureCause): void {
    this.#drop(socket);
    const failure = this.#noteFailure(attempt, error, cause, socket);
    if (failure === undefined) return;
    this.#winner = undefined; // its connection was established, and then not made secure
    const request = this.#ports.requestFor(attempt.pair.destination);
    const outcome = this.#ports.judge(attempt, failure);
    if (outcome === "again") this.#acquire(request);
    else this.#onObstacle(request, outcome);
  }

  #drop(socket: Socket): void {
    this.#sockets = this.#sockets.filter((one) => one !== socket);
  }

  // ── Waiting ─────────────────────────────────────────────────────────────────────────────

  #mayWaitFor(
    request: PairRequest,
    { kind, error }: Obstacle & { error: ConnectorError },
  ): boolean {
    const { waits, waitsForCooling } = this.#context.settings;
    if (kind === "file") return waits;
    if (kind !== "port") return false;
    // A connection that returns to its place in the queue is not refused because ports cool down.
    if (error.exhausted === "blocks" && this.#context.pairs.isAsking(request)) return true;
    if (error.exhausted === "cooling")
      return waitsForCooling || (waits && this.#wait !== undefined);
    return waits && WORTH_WAITING.includes(error.exhausted);
  }

  /** Without the option `wait` it only waits until the store of blocks has answered. */
  #waitsOn(request: PairRequest, obstacle: Obstacle & { error: ConnectorError }): boolean {
    const { pairs, settings } = this.#context;
    return pairs.leases === undefined || settings.waits || this.#mayWaitFor(request, obstacle);
  }

  #join(request: PairRequest, isForFile: boolean): void {
    const { queues, settings, errors, events } = this.#context;
    if (this.#wait === undefined && queues.count >= settings.waitLimit) {
      this.#refuse(request, errors.tooManyWaiters(request, settings.waitLimit));
      return;
    }
    this.#wait ??= new OperationWait(this.#context, (all) => this.#onWaitedTooLong(all));
    this.#wait.join(request, isForFile, () => this.#serve(request));
    events.onWaiting(request, this);
  }

  #serve(request: PairRequest): boolean {
    // Another address may be connected, and not secure yet: if that fails, so does this one.
    if (this.#isOver || this.#winner !== undefined) {
      this.#wait?.onServed(request);
      return true;
    }
    this.#ports.onWaited();
    const picked = this.#ports.pick(request);
    const isObstacle = "kind" in picked;
    if (isObstacle && picked.kind === "port" && this.#waitsOn(request, picked)) return false;
    this.#wait?.onServed(request);
    if (isObstacle) {
      this.#onObstacle(request, picked);
      return true;
    }
    const outcome = this.#ports.beginOnce(picked);
    if (outcome === "again") this.#acquire(request);
    else if (outcome !== undefined) this.#onObstacle(request, outcome);
    return true;
  }

  #onWaitedTooLong(requests: readonly PairRequest[]): void {
    const { errors, settings, events } = this.#context;
    // Another address may be connected, and not secure yet.
    if (this.#isOver || this.#winner !== undefined) return;
    for (const request of requests) {
      const error = errors.waitedTooLong(request, settings.waitTimeout);
      events.onRefused(request, error, this);
      this.#raceOf().note(error);
    }
    this.#raceOf().goOn();
  }

  // ── The end ─────────────────────────────────────────────────────────────────────────────

  #startConnectTimer(): void {
    const { connectTimeout, host, port } = this.#target;
    if (connectTimeout === 0 || this.#isOver) return;
    this.#connectTimer = setTimeout(() => {
      const why = `not connected within ${connectTimeout} ms`;
      const message = `connect ETIMEDOUT ${host}:${port}: ${why}`;
      this.#fail(Object.assign(new Error(message), { code: "ETIMEDOUT", syscall: "connect" }));
    }, connectTimeout);
  }

  #heed(signal: AbortSignal): void {
    if (signal.aborted) {
      this.#fail(signal.reason);
      return;
    }
    this.#onAbort = () => {
      // As in Node the signal counts as long as the socket lives.
      if (!this.#isOver) this.#fail(signal.reason);
      else for (const socket of this.#sockets) socket.destroy(signal.reason);
    };
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  #ignoreSignal(): void {
    if (this.#onAbort !== undefined) {
      this.#target.signal?.removeEventListener("abort", this.#onAbort);
    }
  }

  #fail(reason: unknown): void {
    if (this.#isOver) return;
    this.#settle();
    if (this.#wait !== undefined) this.#context.waits.observe(this.waitedMs);
    this.#ignoreSignal();
    for (const socket of this.#sockets) socket.destroy();
    // Never before `start` has returned, as everywhere in Node: a caller may try again in its
    // callback.
    process.nextTick(this.#callback, reason, null);
  }

  /** An exception of the callback is left to the process, and interrupts nothing here. */
  #succeed(socket: Socket): void {
    try {
      this.#callback(null, socket);
    } catch (thrown) {
      process.nextTick(() => {
        throw thrown;
      });
    }
  }

  #settle(): void {
    this.#isOver = true;
    if (this.#connectTimer !== undefined) clearTimeout(this.#connectTimer);
    this.#race?.stop();
    this.#forgetDestinations();
    this.#wait?.leave();
    this.#leaveOperations();
  }

  /** The last operation of the list takes its place. */
  #leaveOperations(): void {
    const { operations } = this.#context;
    const last = operations.pop() as ConnectOperation;
    if (last === this) return;
    operations[this.#place] = last;
    last.#place = this.#place;
  }
}

/** The failures that waiting may cure. */
const WORTH_WAITING: readonly ConnectorError["exhausted"][] = [
  ...(["source", "destination", "range", "group", "headroom", "blocks"] as const),
];

function endpointsOf({ pair: { source, destination }, port }: Checkout): Endpoints {
  return {
    host: destination.address,
    port: destination.port,
    family: destination.family,
    localAddress: source.address,
    localPort: port,
  };
}
