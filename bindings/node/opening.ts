// Opening: one connection that somebody wants, from the request to the socket.
//
//   resolve ──▶ pick ──▶ attempt ──▶ ready: the caller has a socket
//                │ ▲        │
//     none left  │ │        ├──▶ the port is in other hands: the next one, a bounded number of times
//                ▼ │        └──▶ failed: the host's next address, if it has one
//              wait
//
// A host's addresses are tried in turn, each attempt a little after the one before, until one is
// connected (RFC 8305); each has a port of its own. The others are closed, and their ports come back.
//
// Must stay true: the caller is told once.

import type { Socket } from "node:net";
import { show } from "../errors.ts";
import {
  Attempt,
  checkDialled,
  type Dial,
  type Ends,
  type Observer,
  type Verdict,
  verdictOn,
} from "./attempt.ts";
import type { Connecting } from "./connecting.ts";
import { ConnectorError } from "./connector-error.ts";
import type { Waiter } from "./line.ts";
import { type Destination, type Source, TUPLE_ASIDE_MS } from "./pair.ts";
import { Lease, type Wish } from "./pool.ts";

/** Told how it went: an error, or a socket that is connected. */
export type Opened = (error: Error | null, socket: Socket | null) => void;

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

export class Opening implements Observer {
  readonly #with: Connecting;
  readonly #target: Target;
  readonly #opened: Opened;
  /** Among those under way. */
  #place = -1;
  /** Attempts under way, or open. A list that is replaced: there is more than one only with several addresses. */
  #active: readonly Attempt[] = [];
  readonly #errors: Error[] = [];
  #destinations: readonly Destination[] = [];
  #next = 0;
  /** Ports in other hands that it has run into. */
  #tries = 0;
  /** Those whose tuple was taken, each with its source. */
  #taken: Set<number> | undefined;
  #deadSources = 0;
  #isOver = false;
  #winner: Attempt | undefined;
  /** What this one waits for. */
  #waiter: Waiter | undefined;
  /** Its place among those who wait, from the first time on. */
  #ticket: number | undefined;
  #waitsSince = 0;
  /** Milliseconds that this one has waited in all, before the present wait. */
  #waited = 0;
  #onAbort: (() => void) | undefined;
  #delay: NodeJS.Timeout | undefined;
  #waitTimer: NodeJS.Timeout | undefined;
  #connectTimer: NodeJS.Timeout | undefined;

  constructor(connecting: Connecting, target: Target, opened: Opened) {
    this.#with = connecting;
    this.#target = target;
    this.#opened = opened;
  }

  begin(): void {
    this.#place = this.#with.openings.push(this) - 1;
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

  /** Begins with the next address, and with the one after it a little later. */
  #launch(): void {
    clearTimeout(this.#delay);
    if (this.#isOver) return;
    const destination = this.#destinations[this.#next++];
    if (destination === undefined) return;
    if (this.#next < this.#destinations.length) {
      this.#delay = setTimeout(() => this.#launch(), this.#with.settings.attemptDelay);
    }
    const wish = this.#wishFor(destination);
    const hasLine = this.#with.waiting.hasLine(wish);
    // Who was served just now may have given this one up.
    if (this.#isOver) return;
    if (hasLine) this.#wait(wish, false);
    else this.#try(wish);
  }

  #wishFor(destination: Destination): Wish {
    return { destination, source: this.#target.sourceFor(destination) };
  }

  /** Picks ports until one may be tried. */
  #try(wish: Wish): void {
    let lease = this.#pick(wish);
    while (lease instanceof Lease && this.#dial(lease) === "again") lease = this.#pick(wish);
    if (lease === undefined) this.#onNoPort(wish);
    else if (lease instanceof Error) this.#onNoPick(wish, lease);
  }

  /** A port, nothing, or an error: there is no memory for a record, or the group is gone. */
  #pick(wish: Wish): Lease | Error | undefined {
    try {
      return this.#with.pool.pick(wish);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === "ENOBUFS" ? this.#with.explain.noMemory(wish) : (error as Error);
    }
  }

  #onNoPick(wish: Wish, error: Error): void {
    if (error instanceof ConnectorError) this.#refuse(wish, error);
    else this.#onAddressFailed(error);
  }

  // ── Attempts ────────────────────────────────────────────────────────────────────────────

  /** Begins to connect from that port; `"again"` if it is in other hands, and the next is to be tried. */
  #dial(lease: Lease): "again" | undefined {
    this.#with.events.onPick(lease);
    const { dial, readyEvent } = this.#target;
    let socket: Socket;
    try {
      socket = checkDialled(dial(endsOf(lease)), readyEvent);
    } catch (thrown) {
      const error = asError(thrown);
      const verdict = verdictOn(error);
      if (verdict === "port" || verdict === "tuple") lease.setAside(verdict === "port");
      else if (verdict === "files") lease.freeUnopened();
      else lease.free();
      return this.#onRefusedBySystem(lease, error, verdict);
    }
    const attempt = new Attempt(lease, socket, readyEvent, this);
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
    attempt.lease.pair.onConnected(attempt.lease.port);
    this.#with.events.onConnected(attempt.lease);
    this.#tell(null, attempt.socket);
  }

  onClosed(attempt: Attempt): void {
    this.#ignoreSignal();
    this.#drop(attempt);
    this.#with.events.onClosed(attempt);
  }

  onFailed(attempt: Attempt, error: NodeJS.ErrnoException, verdict: Verdict): void {
    this.#drop(attempt);
    if (this.#onRefusedBySystem(attempt.lease, error, verdict, attempt) === "again") {
      this.#try(this.#wishFor(attempt.lease.pair.destination));
    }
  }

  #onRefusedBySystem(
    lease: Lease,
    error: Error,
    verdict: Verdict,
    attempt?: Attempt,
  ): "again" | undefined {
    this.#with.events.onFailed(lease, error, verdict);
    if (this.#isOver || (this.#winner !== undefined && this.#winner !== attempt)) return undefined;
    this.#winner = undefined; // its connection was established, and then not made secure
    const wish = this.#wishFor(lease.pair.destination);
    if (verdict === "files") this.#onNoFile(wish, error);
    else if (verdict === "other") this.#onAddressFailed(error);
    else return this.#onNotThatPort(lease, wish, error, verdict);
    return undefined;
  }

  /** The port, or the source, is not to be had: the next one, a bounded number of times. */
  #onNotThatPort(lease: Lease, wish: Wish, error: Error, verdict: Verdict): "again" | undefined {
    const { pool, settings, explain } = this.#with;
    if (verdict === "source") {
      lease.pair.source.leaveAlone(pool.now() + settings.setAside);
      pool.onSetAside(lease.pair);
      // Each source once. With a short setAside the first are back before the last has been tried.
      if (++this.#deadSources <= pool.sources.length) return "again";
      this.#refuse(wish, explain.noSource(wish));
      return undefined;
    }
    if (verdict === "port" || this.#isNews(lease)) this.#tries++;
    if (this.#tries < settings.triesMax) return "again";
    this.#refuse(wish, explain.tooManyTries(wish, this.#tries, error));
    return undefined;
  }

  /** A taken tuple that is tried again, after it was left alone for a while, does not count a second time. */
  #isNews({ pair: { source }, port }: Lease): boolean {
    if (this.#with.settings.setAside < TUPLE_ASIDE_MS.least) return true;
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

  #onNoPort(wish: Wish): void {
    const error = this.#with.explain.noPort(wish);
    if (this.#mayWaitFor(error)) this.#wait(wish, false);
    else this.#refuse(wish, error);
  }

  #onNoFile(wish: Wish, cause: Error): void {
    if (this.#with.settings.waits) this.#wait(wish, true);
    else this.#refuse(wish, this.#with.explain.noFile(wish, cause));
  }

  #mayWaitFor({ exhausted }: ConnectorError): boolean {
    const { waits, waitsForResting } = this.#with.settings;
    // Who waits already is not refused because ports rest, nor is who comes back to its place.
    if (exhausted === "resting") return waitsForResting || (waits && this.#ticket !== undefined);
    return waits && WORTH_WAITING.includes(exhausted);
  }

  #refuse(wish: Wish, error: ConnectorError): void {
    this.#with.events.onRefused(wish, error);
    this.#onAddressFailed(error);
  }

  #wait(wish: Wish, isForFile: boolean): void {
    const { waiting, settings, explain, events } = this.#with;
    if (this.#waiter !== undefined) return; // for an address before this one
    // Who comes back to its place is one of those that wait already.
    if (this.#ticket === undefined && waiting.count >= settings.waitLimit) {
      this.#refuse(wish, explain.tooManyWaiters(wish, settings.waitLimit));
      return;
    }
    this.#ticket ??= waiting.ticket();
    const ticket = this.#ticket;
    this.#waiter = { wish, ticket, isForFile, serve: () => this.#serve(wish) };
    waiting.add(this.#waiter);
    events.onWaiting(wish);
    if (this.#isOver) return;
    if (settings.waitTimeout > 0) {
      this.#waitsSince = this.#with.pool.now();
      const left = Math.max(0, settings.waitTimeout - this.#waited);
      this.#waitTimer = setTimeout(() => this.#onWaitedTooLong(wish), left);
    }
  }

  #serve(wish: Wish): boolean {
    // Another address is connected, but not secure yet: if that fails, so does this.
    const isNeeded = !this.#isOver && this.#winner === undefined;
    const lease = isNeeded ? this.#pick(wish) : undefined;
    if (isNeeded && lease === undefined) return false;
    this.#waiter = undefined;
    if (lease === undefined) return true;
    clearTimeout(this.#waitTimer);
    this.#waited += this.#with.pool.now() - this.#waitsSince;
    if (lease instanceof Error) this.#onNoPick(wish, lease);
    else if (this.#dial(lease) === "again") this.#try(wish);
    return true;
  }

  #onWaitedTooLong(wish: Wish): void {
    const { waiting, explain, settings } = this.#with;
    if (this.#waiter !== undefined) waiting.remove(this.#waiter);
    this.#waiter = undefined;
    // Another address may be connected, or on its way.
    if (this.#winner !== undefined) return;
    this.#refuse(wish, explain.waitedTooLong(wish, settings.waitTimeout));
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
    this.#tell(asError(error), null);
  }

  /** What the caller throws is the process's to handle, and stops nothing that we are in the middle of. */
  #tell(error: Error | null, socket: Socket | null): void {
    try {
      this.#opened(error, socket);
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
    const { openings } = this.#with;
    const last = openings.pop() as Opening;
    if (last === this) return;
    openings[this.#place] = last;
    last.#place = this.#place;
  }
}

/** From now on these may be forgotten, as far as this opening is concerned. */
function leave(destinations: readonly Destination[]): void {
  for (const destination of destinations) destination.openings--;
}

/** What may get better by waiting. */
const WORTH_WAITING: readonly ConnectorError["exhausted"][] = [
  ...(["source", "destination", "range", "group"] as const),
];

function endsOf({ pair: { source, destination }, port }: Lease): Ends {
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

/** One error, or as Node has it where several addresses have failed, one that lists them. */
function together(errors: readonly Error[]): Error {
  const [first] = errors;
  if (errors.length < 2) return first as Error;
  const { code } = first as NodeJS.ErrnoException;
  const message = `no address of the host could be connected: ${errors.map(({ message }) => message).join("; ")}`;
  return Object.assign(new AggregateError(errors, message), code === undefined ? {} : { code });
}
