// PortAcquisition: picks ports for one connection and begins attempts from them, until one is under
// way or an obstacle is met.
//
//   pick ──▶ begin an attempt ──▶ under way
//    ▲ │          │
//    │ │          ├──▶ another program holds the port, or the source cannot be bound: the next one,
//    └─┼──────────┘    a bounded number of times
//      ▼
//   an obstacle: no port, no file, no memory, or the error of the attempt

import type { Checkout } from "../sources/checkout.ts";
import type { Destination } from "../sources/destination.ts";
import { TUPLE_QUARANTINE_MS } from "../sources/pair.ts";
import type { PairRequest } from "../sources/pair-table.ts";
import type { Source } from "../sources/source.ts";
import type { FailureCause } from "./attempt.ts";
import type { ConnectorContext } from "./connector-context.ts";
import type { ConnectorError } from "./connector-error.ts";

/** So many sources that cannot be bound one connection may run into. */
const ABSENT_SOURCES_MAX = 1024;
/** So many ports from blocks of other holders may turn out to be taken at each try. */
const SPILL_CONFLICTS_MAX = 64;

/** Why no attempt is under way. */
export type Obstacle =
  /** No port can be had at present. */
  | { readonly kind: "port"; readonly error: ConnectorError }
  /** No file can be opened at present. */
  | { readonly kind: "file"; readonly error: ConnectorError }
  /** An obstacle that waiting does not change. */
  | { readonly kind: "refusal"; readonly error: ConnectorError }
  /** The address, or its attempt, has failed: whatever error that was. */
  | { readonly kind: "failure"; readonly error: unknown };

/** The request of a connection for a port. */
export interface PortSeeker {
  /** The required source, if the caller names one. */
  readonly source: Source | undefined;
  /** The key of the source otherwise. */
  readonly key: string | undefined;
  /** Begins an attempt: answers the cause of its failure if it has failed already. */
  begin(checkout: Checkout): BeginFailure | undefined;
}

/** An attempt that failed while it began. */
export interface BeginFailure {
  readonly error: unknown;
  readonly cause: FailureCause;
}

export class PortAcquisition {
  readonly #context: ConnectorContext;
  readonly #seeker: PortSeeker;
  /** How many ports turned out to be held by another program. */
  #conflicts = 0;
  /** The tuples among them, by source and port. */
  #takenTuples: Set<number> | undefined;
  /** How many sources could not be bound. */
  #absentSources = 0;
  /** How many ports of other holders turned out to be taken. */
  #spillConflicts = 0;

  constructor(context: ConnectorContext, seeker: PortSeeker) {
    this.#context = context;
    this.#seeker = seeker;
  }

  requestFor(destination: Destination): PairRequest {
    const { source, key } = this.#seeker;
    if (source !== undefined) return { destination, source };
    if (key === undefined) return destination.fromAnySource;
    return { destination, source: this.#context.pairs.sources.ofKey(key, destination.family) };
  }

  /** After a wait, taken ports of other holders are counted from 0. */
  onWaited(): void {
    this.#spillConflicts = 0;
  }

  /** Picks ports and begins attempts until one is under way. */
  acquire(request: PairRequest): Obstacle | undefined {
    for (;;) {
      const picked = this.pick(request);
      if ("kind" in picked) return picked;
      const outcome = this.beginOnce(picked);
      if (outcome !== "again") return outcome;
    }
  }

  /** A port; or why there is none. */
  pick(request: PairRequest): Checkout | Obstacle {
    const { pairs, errors } = this.#context;
    try {
      const checkout = pairs.pick(request, this.#spillConflicts < SPILL_CONFLICTS_MAX);
      if (checkout !== undefined) return checkout;
      // A connection that waits now may meet the same sources again.
      this.#absentSources = 0;
      return { kind: "port", error: errors.noPort(request) };
    } catch (error) {
      // There is no memory for a record, or the group has been removed.
      const isMemory = (error as NodeJS.ErrnoException).code === "ENOBUFS";
      if (isMemory) return { kind: "refusal", error: errors.noMemory(request) };
      return { kind: "failure", error };
    }
  }

  /** Begins one attempt; `"again"`: the next port is to be tried. */
  beginOnce(checkout: Checkout): Obstacle | "again" | undefined {
    const failure = this.#seeker.begin(checkout);
    return failure === undefined ? undefined : this.judge(checkout, failure);
  }

  /** Handles the failure of an attempt. */
  judge(checkout: Checkout, { error, cause }: BeginFailure): Obstacle | "again" {
    const request = this.requestFor(checkout.pair.destination);
    if (cause === "other") return { kind: "failure", error };
    if (cause === "files") {
      return { kind: "file", error: this.#context.errors.noFile(request, error) };
    }
    if (cause === "source") return this.#onAbsentSource(checkout, request);
    return this.#onConflict(checkout, request, error, cause);
  }

  /** Bounded, since each costs a socket, and there may be thousands. */
  #onAbsentSource(checkout: Checkout, request: PairRequest): Obstacle | "again" {
    const { pairs, errors } = this.#context;
    const { family } = request.destination;
    pairs.quarantineSource(checkout.pair);
    const most = Math.min(ABSENT_SOURCES_MAX, pairs.sources.count(family));
    if (++this.#absentSources < most && pairs.presentSources(family) > 0) return "again";
    return { kind: "refusal", error: errors.noSource(request, this.#absentSources) };
  }

  #onConflict(
    checkout: Checkout,
    request: PairRequest,
    error: unknown,
    cause: "port" | "tuple",
  ): Obstacle | "again" {
    const { settings, errors } = this.#context;
    if (checkout.isSpilled) {
      this.#spillConflicts++;
      return "again";
    }
    if (cause === "port" || this.#isFirstTryOf(checkout)) this.#conflicts++;
    if (this.#conflicts < settings.maxAttempts) return "again";
    return { kind: "refusal", error: errors.tooManyAttempts(request, this.#conflicts, error) };
  }

  /** A taken tuple that is tried again, after a short quarantine, does not count a second time. */
  #isFirstTryOf({ pair: { source }, port }: Checkout): boolean {
    if (this.#context.settings.quarantine < TUPLE_QUARANTINE_MS.least) return true;
    this.#takenTuples ??= new Set();
    const { size } = this.#takenTuples;
    return this.#takenTuples.add(source.index * 65_536 + port).size > size;
  }
}
