// OperationWait: how one connection waits. It has a place with the same position in the queue of
// each address that it has reached, so that the first queue with a port serves it; and one time
// limit for all of them.

import type { Destination } from "../sources/destination.ts";
import type { PairRequest } from "../sources/pair-table.ts";
import type { ConnectorContext } from "./connector-context.ts";
import type { Waiter } from "./wait-queue.ts";

export class OperationWait {
  readonly #context: ConnectorContext;
  readonly #onTimeout: (requests: readonly PairRequest[]) => void;
  readonly #waiters: Map<Destination, Waiter> = new Map();
  /** Its position in all queues, which it keeps. */
  readonly #position: number;
  #since = 0;
  /** Milliseconds of the waits before the present one. */
  #waited = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param onTimeout called when the time limit has passed, after the places have been given up.
   */
  constructor(context: ConnectorContext, onTimeout: (requests: readonly PairRequest[]) => void) {
    this.#context = context;
    this.#onTimeout = onTimeout;
    this.#position = context.queues.nextPosition();
  }

  get isWaiting(): boolean {
    return this.#waiters.size > 0;
  }

  /** Milliseconds that it has waited in all. */
  get waitedMs(): number {
    return this.isWaiting ? this.#waited + this.#context.pairs.now() - this.#since : this.#waited;
  }

  /** Takes a place in the queue of that request. */
  join(request: PairRequest, isForFile: boolean, serve: () => boolean): void {
    const { queues } = this.#context;
    if (!this.isWaiting) this.#startTimer();
    const waiter = { request, position: this.#position, isForFile, serve };
    this.#waiters.set(request.destination, waiter);
    queues.add(waiter);
    if (this.#waiters.size === 1) queues.count++;
  }

  /** Notes that it was served in that queue, which drops the place by itself. */
  onServed({ destination }: PairRequest): void {
    if (this.#waiters.delete(destination) && this.#waiters.size === 0) this.#stop();
  }

  /** Gives up all places. */
  leave(): void {
    if (this.#waiters.size === 0) return;
    const waiters = [...this.#waiters.values()];
    this.#waiters.clear();
    this.#stop();
    for (const waiter of waiters) this.#context.queues.remove(waiter);
  }

  #startTimer(): void {
    const { pairs, settings } = this.#context;
    this.#since = pairs.now();
    if (settings.waitTimeout === 0) return;
    const left = Math.max(0, settings.waitTimeout - this.#waited);
    this.#timer = setTimeout(() => this.#giveUp(), left);
  }

  #stop(): void {
    const { pairs, queues } = this.#context;
    clearTimeout(this.#timer);
    this.#waited += pairs.now() - this.#since;
    queues.count--;
  }

  #giveUp(): void {
    const requests = [...this.#waiters.values()].map(({ request }) => request);
    this.leave();
    this.#onTimeout(requests);
  }
}
