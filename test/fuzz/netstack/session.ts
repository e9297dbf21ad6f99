// A session on port managers: each of them twice, as the reference model and as the real thing.

import { isDeepStrictEqual } from "node:util";
import { NO_MEMORY } from "../../../assembly/abi.ts";
import { type OpenOptions, PortError } from "../../../bindings/index.ts";
import type { ReferencePortManager } from "../../models/reference-manager.ts";
import { show } from "../../support/ask.ts";
import type { Session } from "../fuzz.ts";
import { compare, Mismatch, settled } from "../mismatch.ts";
import { Implementation } from "./implementation.ts";
import type { Action } from "./operations.ts";
import { Reference } from "./reference.ts";
import { rangeOf, type Setup } from "./setup.ts";

export interface SessionOptions {
  /** How the real managers are opened. */
  readonly open: OpenOptions;
  /** Whether to check the invariants of the debug build after each change. */
  readonly verifies: boolean;
  /** Makes the reference model; for tests of the fuzzer, one with a fault. */
  readonly model?: () => ReferencePortManager;
}

const NOTHING = { descriptors: 0, counters: 0, references: 0, bytes: 0 };

export class NetstackSession implements Session {
  readonly setup: Setup;
  readonly references: Reference[] = [];
  readonly implementations: Implementation[] = [];
  readonly script: string[] = [];
  /** Refusals are those for want of memory; pools grow into bitmaps and shrink into lists. */
  readonly figures = { operations: 0, refusals: 0, grown: 0, shrunk: 0 };
  readonly #options: SessionOptions;

  constructor(setup: Setup, options: SessionOptions) {
    this.setup = setup;
    this.#options = options;
    for (let at = 0; at < setup.managers; at++) this.#openAt(at);
  }

  /** Does an action on both sides of a manager, and compares. */
  step(at: number, action: Action): void {
    const reference = this.references[at] as Reference;
    const implementation = this.implementations[at] as Implementation;
    this.figures.operations += 1;
    this.script.push(`${at}: ${action.says}`);
    const isTight = this.setup.limit !== undefined;
    const before = isTight ? implementation.figures() : undefined;
    const got = settled(() => answerOf(implementation, action));
    if (isTight && got === NO_MEMORY) {
      // Refused for want of memory: that the model cannot know, but nothing may have changed.
      this.figures.refusals += 1;
      this.script.push("   no memory");
      compare("figures after a refusal", implementation.figures(), before);
    } else {
      const expected = action.does(reference);
      if (!isDeepStrictEqual(got, expected)) compare("answer", got, expected);
    }
    if (this.#options.verifies && !action.isQuestion) settled(() => implementation.verify());
  }

  /** Closes a manager that still holds something; its memory must serve the next one. */
  renew(at: number): void {
    this.figures.operations += 1;
    this.script.push(`${at}: close, and open another`);
    this.implementations[at]?.manager.close();
    this.#countPools(at);
    this.#openAt(at);
    for (const implementation of this.implementations) settled(() => implementation.verify());
  }

  /** Releases everything. Nothing must be counted then, and no byte be in use. */
  finish(): void {
    for (const at of this.references.keys()) this.#finishAt(at);
  }

  abandon(): void {
    for (const at of this.references.keys()) this.#countPools(at);
    for (const { manager } of this.implementations) {
      try {
        manager.close();
      } catch {
        // It has trapped before; whoever abandons it takes a fresh instance.
      }
    }
  }

  #finishAt(at: number): void {
    const reference = this.references[at] as Reference;
    const implementation = this.implementations[at] as Implementation;
    while (reference.pools.length > 0) {
      reference.closePool(0);
      implementation.closePool(0);
    }
    const { ledger } = reference;
    for (let held = ledger.pick(0); held !== undefined; held = ledger.pick(0)) {
      const { ask, port } = held;
      const wasHeld = [
        reference.release(ask, port),
        settled(() => implementation.release(ask, port)),
      ];
      if (wasHeld.includes(false)) throw new Mismatch(`${show(ask, port)} held: ${wasHeld}`);
    }
    const left = settled(() => implementation.figures());
    compare("left when all is released", left, NOTHING);
    settled(() => implementation.verify());
  }

  #countPools(at: number): void {
    const { grown = 0, shrunk = 0 } = this.references[at] ?? {};
    this.figures.grown += grown;
    this.figures.shrunk += shrunk;
  }

  #openAt(at: number): void {
    const { setup } = this;
    const { open, model } = this.#options;
    const seed = (setup.seed + at + this.figures.operations) >>> 0;
    const { first, last } = rangeOf(setup.first, setup.count);
    const reference = new Reference(seed, model?.());
    reference.setRange(first, last);
    this.references[at] = reference;
    const limit = setup.limit === undefined ? {} : { memoryLimit: setup.limit };
    const options = { ...open, ...limit, seed, portRange: { first, last } };
    this.implementations[at] = new Implementation(options);
  }
}

function answerOf(implementation: Implementation, action: Action): unknown {
  try {
    return action.does(implementation);
  } catch (error) {
    if (error instanceof PortError && error.reason === "no-memory") return NO_MEMORY;
    throw error;
  }
}
