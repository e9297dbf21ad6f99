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
import { Attempt, type Dial, type Ends, type Observer, type Verdict } from "./attempt.ts";
import type { Connecting } from "./connecting.ts";
import type { ConnectorError } from "./connector-error.ts";
import type { Destination, Lease, Source, Wish } from "./pool.ts";
import type { Waiter } from "./waiting.ts";

/** Told how it went: an error, or a socket that is connected. */
export type Opened = (error: Error | null, socket: Socket | null) => void;

/** What is to be opened. */
export interface Target {
  /** Addresses of the host, in the order in which they are to be tried. */
  readonly destinations: readonly Destination[];
  /** The one source that will do. */
  readonly source: Source | undefined;
  readonly signal: AbortSignal | undefined;
  readonly connectTimeout: number;
  /** What a socket emits when it may be used. */
  readonly readyEvent: string;
  readonly dial: Dial;
}

export class Opening implements Observer, Waiter {
  readonly #with: Connecting;
  readonly #target: Target;
  readonly #opened: Opened;
  readonly #active: Set<Attempt> = new Set();
  readonly #errors: Error[] = [];
  #next = 0;
  #tries = 0;
  #isOver = false;
  #winner: Attempt | undefined;
  /** The wish that this one waits with; before that, the first address. */
  wish: Wish;
  isForFile = false;
  #isWaiting = false;
  #delay: NodeJS.Timeout | undefined;
  #waitTimer: NodeJS.Timeout | undefined;
  #connectTimer: NodeJS.Timeout | undefined;

  constructor(connecting: Connecting, target: Target, opened: Opened) {
    this.#with = connecting;
    this.#target = target;
    this.#opened = opened;
    this.wish = this.#wishFor(target.destinations[0] as Destination);
  }

  begin(): void {
    const { signal } = this.#target;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (signal?.aborted) this.#fail(signal.reason);
    else this.#launch();
  }

  /** Gives up, for a reason from outside. */
  abandon(reason: Error): void {
    this.#fail(reason);
  }

  // ── Addresses ───────────────────────────────────────────────────────────────────────────

  /** Begins with the next address, and with the one after it a little later. */
  #launch(): void {
    clearTimeout(this.#delay);
    const { destinations } = this.#target;
    const destination = destinations[this.#next++];
    if (destination === undefined) return;
    if (this.#next < destinations.length) {
      this.#delay = setTimeout(() => this.#launch(), this.#with.settings.attemptDelay);
    }
    this.#try(this.#wishFor(destination));
  }

  #wishFor(destination: Destination): Wish {
    return { destination, source: this.#target.source };
  }

  #try(wish: Wish): void {
    const { pool, waiting } = this.#with;
    const lease = waiting.hasLine(wish) ? undefined : pool.pick(wish);
    if (lease === undefined) this.#onNoPort(wish);
    else this.#dial(lease);
  }

  // ── Attempts ────────────────────────────────────────────────────────────────────────────

  #dial(lease: Lease): void {
    if (this.#target.connectTimeout > 0) this.#startConnectTimer();
    let socket: Socket;
    try {
      socket = this.#target.dial(endsOf(lease));
    } catch (error) {
      lease.free();
      this.#onAddressFailed(error as Error);
      return;
    }
    this.#with.events.onPick(lease);
    this.#active.add(new Attempt(lease, socket, this.#target.readyEvent, this));
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
    this.#with.events.onConnected(attempt.lease);
    this.#opened(null, attempt.socket);
  }

  onClosed(attempt: Attempt): void {
    this.#target.signal?.removeEventListener("abort", this.#onAbort);
    this.#active.delete(attempt);
    this.#with.events.onReleased(attempt.lease);
  }

  onFailed(attempt: Attempt, error: NodeJS.ErrnoException, verdict: Verdict): void {
    this.#active.delete(attempt);
    const { lease } = attempt;
    this.#with.events.onFailed(lease, error, verdict);
    if (this.#isOver || (this.#winner !== undefined && this.#winner !== attempt)) return;
    this.#winner = undefined; // its connection was established, and then not made secure
    const wish = this.#wishFor(lease.pair.destination);
    if (verdict === "source")
      lease.pair.source.leaveAlone(this.#with.pool.now() + this.#with.settings.setAside);
    if (verdict === "files") this.#onNoFile(wish, error);
    else if (verdict === "other") this.#onAddressFailed(error);
    else if (++this.#tries < this.#with.settings.triesMax) this.#try(wish);
    else this.#onAddressFailed(this.#with.explain.tooManyTries(wish, this.#tries, error));
  }

  /** This address will not do: the next one, or that was it. */
  #onAddressFailed(error: Error): void {
    this.#errors.push(error);
    if (this.#next < this.#target.destinations.length) this.#launch();
    else if (this.#active.size === 0 && !this.#isWaiting) this.#fail(together(this.#errors));
  }

  // ── Waiting ─────────────────────────────────────────────────────────────────────────────

  #onNoPort(wish: Wish): void {
    const error = this.#with.explain.noPort(wish);
    this.#with.events.onRefused(wish, error);
    const { settings } = this.#with;
    const mayWait =
      error.exhausted === "resting"
        ? settings.waits || settings.waitsForResting
        : settings.waits && WORTH_WAITING.includes(error.exhausted);
    if (mayWait) this.#wait(wish, false);
    else this.#onAddressFailed(error);
  }

  #onNoFile(wish: Wish, cause: Error): void {
    const error = this.#with.explain.noFile(wish, cause);
    this.#with.events.onRefused(wish, error);
    if (this.#with.settings.waits) this.#wait(wish, true);
    else this.#onAddressFailed(error);
  }

  #wait(wish: Wish, isForFile: boolean): void {
    const { waiting, settings, explain, events } = this.#with;
    if (this.#isWaiting) return; // for an address before this one
    if (waiting.count >= settings.waitLimit) {
      this.#onAddressFailed(explain.tooManyWaiters(wish, settings.waitLimit));
      return;
    }
    this.wish = wish;
    this.isForFile = isForFile;
    this.#isWaiting = true;
    waiting.add(this);
    events.onWaiting(wish);
    if (settings.waitTimeout > 0) {
      this.#waitTimer = setTimeout(() => {
        this.#fail(explain.waitedTooLong(this.wish, settings.waitTimeout));
      }, settings.waitTimeout);
    }
  }

  serve(): boolean {
    if (this.#isOver) return true;
    const lease = this.#with.pool.pick(this.wish);
    if (lease === undefined) return false;
    this.#isWaiting = false;
    clearTimeout(this.#waitTimer);
    this.#dial(lease);
    return true;
  }

  // ── The end ─────────────────────────────────────────────────────────────────────────────

  #startConnectTimer(): void {
    const { connectTimeout } = this.#target;
    this.#connectTimer ??= setTimeout(() => {
      const { name } = this.wish.destination;
      const message = `connect ETIMEDOUT ${name}: not connected within ${connectTimeout} ms`;
      this.#fail(Object.assign(new Error(message), { code: "ETIMEDOUT", syscall: "connect" }));
    }, connectTimeout);
  }

  #onAbort = (): void => {
    const { reason } = this.#target.signal as AbortSignal;
    // As Node does: the signal counts as long as the socket lives.
    if (this.#isOver) for (const { socket } of this.#active) socket.destroy(reason);
    else this.#fail(reason);
  };

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#settle();
    this.#target.signal?.removeEventListener("abort", this.#onAbort);
    for (const { socket } of this.#active) socket.destroy();
    this.#opened(error instanceof Error ? error : new Error(String(error)), null);
  }

  #settle(): void {
    this.#isOver = true;
    clearTimeout(this.#delay);
    clearTimeout(this.#waitTimer);
    clearTimeout(this.#connectTimer);
    if (this.#isWaiting) this.#with.waiting.remove(this);
    this.#isWaiting = false;
    this.#with.openings.delete(this);
  }
}

/** What may get better by waiting. */
const WORTH_WAITING: readonly ConnectorError["exhausted"][] = ["source", "destination", "range"];

function endsOf({ pair: { source, destination }, port }: Lease): Ends {
  return {
    host: destination.address,
    port: destination.port,
    family: destination.family,
    localAddress: source.address,
    localPort: port,
  };
}

/** One error, or as Node has it where several addresses have failed, one that lists them. */
function together(errors: readonly Error[]): Error {
  const [first] = errors;
  if (errors.length < 2) return first as Error;
  const { code } = first as NodeJS.ErrnoException;
  const message = `no address of the host could be connected: ${errors.map(({ message }) => message).join("; ")}`;
  return Object.assign(new AggregateError(errors, message), code === undefined ? {} : { code });
}
