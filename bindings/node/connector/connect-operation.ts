// Opening: one connection that somebody wants, from the request to the socket.
//
//   resolve ──▶ pick ──▶ attempt ──▶ ready: the caller has a socket
//                │ ▲        │
//     none left  │ │        ├──▶ the port is held by another program: the next one, a bounded number of times
//                ▼ │        └──▶ failed: the host's next address, if it has one
//              wait
//
// A host's addresses are tried in turn, each attempt a little after the one before, until one is
// connected (RFC 8305); each has a port of its own. The others are closed, and their ports come back.
//
// Must stay true: the caller is told once.

import type { Socket } from "node:net";
import { show } from "../../errors.ts";
import { type Destination, type Source, TUPLE_ASIDE_MS } from "../sources/pair.ts";
import { Checkout, type PairRequest } from "../sources/pair-table.ts";
import {
  Attempt,
  causeOf,
  checkDialled,
  type Dial,
  type Endpoints,
  type FailureCause,
  type Observer,
} from "./attempt.ts";
import type { ConnectorContext } from "./connector-context.ts";
import { ConnectorError } from "./connector-error.ts";
import type { Waiter } from "./wait-queue.ts";
import { counted } from "./words.ts";

/** Told how it went: an error, or a socket that is connected. */
export type ConnectCallback = (error: Error | null, socket: Socket | null) => void;

/** Tells the addresses of a host, in the order in which they are to be tried; one or more, or an error. */
type Resolve = (done: (error: Error | null, destinations: readonly Destination[]) => void) => void;

/** What is to be opened. */
export interface Target {
  readonly destinations: readonly Destination[] | Resolve;
  /** The one source that will do, which may depend on whether the destination is IPv4 or IPv6. */
  readonly sourceFor: (destination: Destination) => Source | undefined;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds for all of it, waiting as well; 0: no limit. */
  readonly connectTimeout: number;
  /** Host and port, as messages name them. */
  readonly name: string;
  /** What a socket emits when it may be used. */
  readonly readyEvent: string;
  readonly dial: Dial;
}

export class ConnectOperation implements Observer {
  readonly #with: ConnectorContext;
  readonly #target: Target;
  readonly #opened: ConnectCallback;
  /** Among those under way. */
  #place = -1;
  /** Attempts under way, or open. A list that is replaced: there is more than one only with several addresses. */
  #active: readonly Attempt[] = [];
  readonly #errors: Error[] = [];
  #destinations: readonly Destination[] = [];
  #next = 0;
  /** Addresses that are to be begun with: the present one, and the next if it has failed already. */
  #launchesDue = 0;
  /** Ports held by another program that it has run into. */
  #attemptsMade = 0;
  /** Those whose tuple was taken, each with its source. */
  #taken: Set<number> | undefined;
  #deadSources = 0;
  #isOver = false;
  #winner: Attempt | undefined;
  /** What this one waits for. */
  #waiter: Waiter | undefined;
  /** Its place among those who wait, from the first time on. */
  #position: number | undefined;
  #waitsSince = 0;
  /** Milliseconds that this one has waited in all, before the present wait. */
  #waited = 0;
  #onAbort: (() => void) | undefined;
  #delay: NodeJS.Timeout | undefined;
  #waitTimer: NodeJS.Timeout | undefined;
  #connectTimer: NodeJS.Timeout | undefined;

  constructor(connecting: ConnectorContext, target: Target, opened: ConnectCallback) {
    this.#with = connecting;
    this.#target = target;
    this.#opened = opened;
  }

  begin(): void {
    this.#place = this.#with.operations.push(this) - 1;
    const { signal, destinations } = this.#target;
    if (typeof destinations !== "function") this.#destinations = destinations;
    if (signal !== undefined) this.#heed(signal);
    if (signal?.aborted) {
      this.#fail(signal.reason);
      return;
    }
    this.#startConnectTimer();
    if (typeof destinations !== "function") this.#launch();
    else destinations((error, found) => this.#onResolved(error, found));
  }

  /** Gives up, for a reason from outside. */
  abandon(reason: Error): void {
    this.#fail(reason);
  }

  #onResolved(error: Error | null, destinations: readonly Destination[]): void {
    if (this.#isOver) {
      leave(destinations);
      return;
    }
    this.#destinations = destinations;
    if (error === null) this.#launch();
    else this.#fail(error);
  }

  // ── Addresses ───────────────────────────────────────────────────────────────────────────

  /**
   * Begins with the next address. Where that one fails at once, so does the one after it, in a loop: a resolver may
   * answer thousands.
   */
  #launch(): void {
    this.#launchesDue++;
    if (this.#launchesDue > 1) return; // from within the loop below
    for (; this.#launchesDue > 0; this.#launchesDue--) this.#launchNext();
  }

  /** Begins with one address, and with the one after it a little later. */
  #launchNext(): void {
    clearTimeout(this.#delay);
    if (this.#isOver) return;
    const destination = this.#destinations[this.#next++];
    if (destination === undefined) return;
    if (this.#next < this.#destinations.length) {
      this.#delay = setTimeout(() => this.#launch(), this.#with.settings.attemptDelay);
    }
    const request = this.#requestFor(destination);
    const hasLine = this.#with.waiting.hasLine(request);
    // Who was served just now may have given this one up.
    if (this.#isOver) return;
    if (hasLine) this.#wait(request, false);
    else this.#try(request);
  }

  #requestFor(destination: Destination): PairRequest {
    return { destination, source: this.#target.sourceFor(destination) };
  }

  /** Picks ports until one may be tried. */
  #try(request: PairRequest): void {
    let checkout = this.#pick(request);
    while (checkout instanceof Checkout && this.#dial(checkout) === "again")
      checkout = this.#pick(request);
    if (checkout === undefined) this.#onNoPort(request);
    else if (checkout instanceof Error) this.#onNoPick(request, checkout);
  }

  /** A port, nothing, or an error: there is no memory for a record, or the group is gone. */
  #pick(request: PairRequest): Checkout | Error | undefined {
    try {
      return this.#with.pairs.pick(request);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === "ENOBUFS" ? this.#with.explain.noMemory(request) : (error as Error);
    }
  }

  #onNoPick(request: PairRequest, error: Error): void {
    if (error instanceof ConnectorError) this.#refuse(request, error);
    else this.#onAddressFailed(error);
  }

  // ── Attempts ────────────────────────────────────────────────────────────────────────────

  /** Begins to connect from that port; `"again"` if it is held by another program, and the next is to be tried. */
  #dial(checkout: Checkout): "again" | undefined {
    this.#with.events.onPick(checkout);
    const { dial, readyEvent } = this.#target;
    let socket: Socket;
    try {
      socket = checkDialled(dial(endsOf(checkout)), readyEvent);
    } catch (thrown) {
      const error = asError(thrown);
      const cause = causeOf(error);
      if (cause === "port" || cause === "tuple") checkout.quarantine(cause === "port");
      else if (cause === "files") checkout.freeUnopened();
      else checkout.free();
      return this.#onRefusedBySystem(checkout, error, cause);
    }
    const attempt = new Attempt(checkout, socket, readyEvent, this);
    this.#active = this.#active.length === 0 ? [attempt] : [...this.#active, attempt];
    // Given up by what was called just now: a dial, or who listens to events.
    if (this.#isOver) socket.destroy();
    return undefined;
  }

  onConnected(attempt: Attempt): void {
    if (this.#isOver || this.#winner !== undefined) {
      attempt.socket.destroy();
      return;
    }
    this.#winner = attempt;
    clearTimeout(this.#delay);
    for (const other of this.#active) if (other !== attempt) other.socket.destroy();
  }

  onReady(attempt: Attempt): void {
    if (this.#isOver) return;
    this.#settle();
    if (this.#target.signal === undefined) attempt.leaveTo(this.#with.events);
    attempt.checkout.pair.onConnected(attempt.checkout.port);
    this.#with.events.onConnected(attempt.checkout);
    this.#succeed(attempt.socket);
  }

  onClosed(attempt: Attempt): void {
    this.#ignoreSignal();
    this.#drop(attempt);
    this.#with.events.onClosed(attempt);
  }

  onFailed(attempt: Attempt, error: NodeJS.ErrnoException, cause: FailureCause): void {
    this.#drop(attempt);
    if (this.#onRefusedBySystem(attempt.checkout, error, cause, attempt) === "again") {
      this.#try(this.#requestFor(attempt.checkout.pair.destination));
    }
  }

  #onRefusedBySystem(
    checkout: Checkout,
    error: Error,
    cause: FailureCause,
    attempt?: Attempt,
  ): "again" | undefined {
    this.#with.events.onFailed(checkout, error, cause);
    if (this.#isOver || (this.#winner !== undefined && this.#winner !== attempt)) return undefined;
    this.#winner = undefined; // its connection was established, and then not made secure
    const request = this.#requestFor(checkout.pair.destination);
    if (cause === "files") this.#onNoFile(request, error);
    else if (cause === "other") this.#onAddressFailed(error);
    else return this.#onNotThatPort(checkout, request, error, cause);
    return undefined;
  }

  /** The port, or the source, is not to be had: the next one, a bounded number of times. */
  #onNotThatPort(
    checkout: Checkout,
    request: PairRequest,
    error: Error,
    cause: FailureCause,
  ): "again" | undefined {
    const { pairs, settings, explain } = this.#with;
    if (cause === "source") {
      checkout.pair.source.quarantine(pairs.now() + settings.quarantine);
      pairs.onQuarantine(checkout.pair);
      // Each source once. With a short quarantine the first are back before the last has been tried.
      if (++this.#deadSources <= pairs.sources.length) return "again";
      this.#refuse(request, explain.noSource(request));
      return undefined;
    }
    if (cause === "port" || this.#isNews(checkout)) this.#attemptsMade++;
    if (this.#attemptsMade < settings.maxAttempts) return "again";
    this.#refuse(request, explain.tooManyAttempts(request, this.#attemptsMade, error));
    return undefined;
  }

  /** A taken tuple that is tried again, after it was quarantined for a while, does not count a second time. */
  #isNews({ pair: { source }, port }: Checkout): boolean {
    if (this.#with.settings.quarantine < TUPLE_ASIDE_MS.least) return true;
    this.#taken ??= new Set();
    const { size } = this.#taken;
    return this.#taken.add(source.index * 65_536 + port).size > size;
  }

  /** This address will not do: the next one, or that was it. */
  #onAddressFailed(error: Error): void {
    this.#errors.push(error);
    if (this.#next < this.#destinations.length) this.#launch();
    else if (this.#active.length === 0 && this.#waiter === undefined)
      this.#fail(together(this.#errors));
  }

  // ── Waiting ─────────────────────────────────────────────────────────────────────────────

  #onNoPort(request: PairRequest): void {
    const error = this.#with.explain.noPort(request);
    if (this.#mayWaitFor(error)) this.#wait(request, false);
    else this.#refuse(request, error);
  }

  #onNoFile(request: PairRequest, cause: Error): void {
    if (this.#with.settings.waits) this.#wait(request, true);
    else this.#refuse(request, this.#with.explain.noFile(request, cause));
  }

  #mayWaitFor({ exhausted }: ConnectorError): boolean {
    const { waits, waitsForCooling } = this.#with.settings;
    // Who waits already is not refused because ports rest, nor is who comes back to its place.
    if (exhausted === "cooling") return waitsForCooling || (waits && this.#position !== undefined);
    return waits && WORTH_WAITING.includes(exhausted);
  }

  #refuse(request: PairRequest, error: ConnectorError): void {
    this.#with.events.onRefused(request, error);
    this.#onAddressFailed(error);
  }

  #wait(request: PairRequest, isForFile: boolean): void {
    const { waiting, settings, explain, events } = this.#with;
    if (this.#waiter !== undefined) return; // for an address before this one
    // Who comes back to its place is one of those that wait already.
    if (this.#position === undefined && waiting.count >= settings.waitLimit) {
      this.#refuse(request, explain.tooManyWaiters(request, settings.waitLimit));
      return;
    }
    this.#position ??= waiting.position();
    const position = this.#position;
    this.#waiter = { request, position, isForFile, serve: () => this.#serve(request) };
    waiting.add(this.#waiter);
    events.onWaiting(request);
    if (this.#isOver) return;
    if (settings.waitTimeout > 0) {
      this.#waitsSince = this.#with.pairs.now();
      const left = Math.max(0, settings.waitTimeout - this.#waited);
      this.#waitTimer = setTimeout(() => this.#onWaitedTooLong(request), left);
    }
  }

  #serve(request: PairRequest): boolean {
    // Another address is connected, but not secure yet: if that fails, so does this.
    const isNeeded = !this.#isOver && this.#winner === undefined;
    const checkout = isNeeded ? this.#pick(request) : undefined;
    if (isNeeded && checkout === undefined) return false;
    this.#waiter = undefined;
    if (checkout === undefined) return true;
    clearTimeout(this.#waitTimer);
    this.#waited += this.#with.pairs.now() - this.#waitsSince;
    if (checkout instanceof Error) this.#onNoPick(request, checkout);
    else if (this.#dial(checkout) === "again") this.#try(request);
    return true;
  }

  #onWaitedTooLong(request: PairRequest): void {
    const { waiting, explain, settings } = this.#with;
    if (this.#waiter !== undefined) waiting.remove(this.#waiter);
    this.#waiter = undefined;
    // Another address may be connected, or on its way.
    if (this.#winner !== undefined) return;
    this.#refuse(request, explain.waitedTooLong(request, settings.waitTimeout));
  }

  // ── The end ─────────────────────────────────────────────────────────────────────────────

  #startConnectTimer(): void {
    const { connectTimeout, name } = this.#target;
    if (connectTimeout === 0) return;
    this.#connectTimer = setTimeout(() => {
      const message = `connect ETIMEDOUT ${name}: not connected within ${connectTimeout} ms`;
      this.#fail(Object.assign(new Error(message), { code: "ETIMEDOUT", syscall: "connect" }));
    }, connectTimeout);
  }

  #heed(signal: AbortSignal): void {
    this.#onAbort = () => {
      // As Node does: the signal counts as long as the socket lives.
      if (!this.#isOver) this.#fail(signal.reason);
      else for (const { socket } of this.#active) socket.destroy(signal.reason);
    };
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  #ignoreSignal(): void {
    if (this.#onAbort !== undefined) {
      this.#target.signal?.removeEventListener("abort", this.#onAbort);
    }
  }

  #drop(attempt: Attempt): void {
    this.#active = this.#active.filter((one) => one !== attempt);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#settle();
    this.#ignoreSignal();
    for (const { socket } of this.#active) socket.destroy();
    // Never before `open` has returned, as everywhere in Node: a caller may try again in its callback.
    process.nextTick(this.#opened, asError(error), null);
  }

  /** An exception of the caller's is left to the process, and interrupts nothing here. */
  #succeed(socket: Socket): void {
    try {
      this.#opened(null, socket);
    } catch (thrown) {
      process.nextTick(() => {
        throw thrown;
      });
    }
  }

  #settle(): void {
    this.#isOver = true;
    if (this.#delay !== undefined) clearTimeout(this.#delay);
    if (this.#waitTimer !== undefined) clearTimeout(this.#waitTimer);
    if (this.#connectTimer !== undefined) clearTimeout(this.#connectTimer);
    if (this.#waiter !== undefined) this.#with.waiting.remove(this.#waiter);
    this.#leavePlace();
    leave(this.#destinations);
  }

  /** The last one takes it. */
  #leavePlace(): void {
    const { operations } = this.#with;
    const last = operations.pop() as ConnectOperation;
    if (last === this) return;
    operations[this.#place] = last;
    last.#place = this.#place;
  }
}

/** From now on these may be forgotten, as far as this opening is concerned. */
function leave(destinations: readonly Destination[]): void {
  for (const destination of destinations) destination.operations--;
}

/** What may get better by waiting. */
const WORTH_WAITING: readonly ConnectorError["exhausted"][] = [
  ...(["source", "destination", "range", "group"] as const),
];

function endsOf({ pair: { source, destination }, port }: Checkout): Endpoints {
  return {
    host: destination.address,
    port: destination.port,
    family: destination.family,
    localAddress: source.address,
    localPort: port,
  };
}

/** Whatever was thrown, or given as a reason, as an error. */
function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(typeof thrown === "object" ? show(thrown) : String(thrown));
}

/** How many of a host's errors a message quotes. */
const QUOTED_MAX = 3;

/** One error, or as Node has it where several addresses have failed, one that lists them. */
function together(errors: readonly Error[]): Error {
  const [first] = errors;
  if (errors.length < 2) return first as Error;
  const { code } = first as NodeJS.ErrnoException;
  const quoted = errors.slice(0, QUOTED_MAX).map(({ message }) => message);
  const others = errors.length - quoted.length;
  const more = others > 0 ? [`and ${counted(others, "more error")}, see errors`] : [];
  const message = `no address of the host could be connected: ${[...quoted, ...more].join("; ")}`;
  return Object.assign(new AggregateError(errors, message), code === undefined ? {} : { code });
}
