// A session on port managers: each of them twice, as the reference model and as the implementation.

import { isDeepStrictEqual } from "node:util";
import { EMPTY_RANGE, NO_MEMORY, OUTSIDE_GROUP } from "../../../assembly/abi.ts";
import { type OpenOptions, PortError } from "../../../bindings/index.ts";
import type { ReferencePortManager } from "../../models/reference-manager.ts";
import { show } from "../../support/ask.ts";
import type { Session } from "../fuzz.ts";
import { compare, Mismatch, settled } from "../mismatch.ts";
import { GroupModels, RealGroups } from "./groups.ts";
import { Implementation } from "./implementation.ts";
import type { Action } from "./operations.ts";
import { isHeld, Reference } from "./reference.ts";
import { rangeOf, type Setup } from "./setup.ts";
import type { System } from "./system.ts";

export interface SessionOptions {
  /** How the real managers are opened. */
  readonly open: OpenOptions;
  /** Whether to check the invariants of the debug build after each change. */
  readonly verifies: boolean;
  /** Makes the reference model; for tests of the fuzzer, one with a fault. */
  readonly model?: () => ReferencePortManager;
}

/** Refusals are those for want of memory; pools grow into bitmaps and shrink into lists. */
export const FIGURES = {
  operations: 0,
  refusals: 0,
  grown: 0,
  shrunk: 0,
  outside: 0,
  empty: 0,
  busy: 0,
};
export type NetstackFigures = typeof FIGURES;
const NOTHING = { descriptors: 0, counters: 0, references: 0, bytes: 0 };

/** What no operation asks for. */
const UNUSED = {
  ...{ networks: [9], transport: 99, address: "", device: 0, flags: 0 },
  destination: { address: "", port: 0 },
};

export class NetstackSession implements Session {
  readonly setup: Setup;
  readonly references: Reference[] = [];
  readonly implementations: Implementation[] = [];
  readonly script: string[] = [];
  readonly figures: NetstackFigures = { ...FIGURES };
  readonly #options: SessionOptions;
  readonly #models = new GroupModels();
  readonly #groups: RealGroups;

  constructor(setup: Setup, options: SessionOptions) {
    this.setup = setup;
    this.#options = options;
    this.#groups = new RealGroups(options.open);
    for (let at = 0; at < setup.managers; at++) this.#openAt(at);
  }

  /** Does an action on both sides of a manager, and compares. */
  step(at: number, action: Action): void {
    const reference = this.references[at] as Reference;
    const implementation = this.implementations[at] as Implementation;
    this.figures.operations += 1;
    this.script.push(`${at}: ${action.says}`);
    const isTight = this.setup.limit !== undefined;
    const before = isTight ? implementation.picture() : undefined;
    const got = settled(() => answerOf(implementation, action));
    if (isTight && got === NO_MEMORY) {
      // Refused for want of memory: that the model cannot know, but nothing may have changed.
      this.figures.refusals += 1;
      this.script.push("   no memory");
      compare("figures after a refusal", implementation.picture(), before);
    } else {
      const expected = action.does(reference);
      if (!isDeepStrictEqual(got, expected)) compare("answer", got, expected);
      this.figures.outside += Number(got === OUTSIDE_GROUP);
      this.figures.empty += Number(got === EMPTY_RANGE);
      this.figures.busy += Number(got === "EBUSY");
    }
    if (this.#options.verifies && !action.isQuestion) settled(() => implementation.verify());
  }

  /** Closes a manager that still holds something; its memory must serve the next one. */
  renew(at: number): void {
    this.figures.operations += 1;
    this.script.push(`${at}: close, and open another`);
    this.implementations[at]?.manager.close();
    this.references[at]?.leaveGroups();
    this.#countPools(at);
    this.#openAt(at);
    for (const implementation of this.implementations) settled(() => implementation.verify());
  }

  /** Releases everything. Nothing must be counted then, and no byte be in use. */
  finish(): void {
    for (const at of this.references.keys()) this.#finishAt(at);
    const uses = settled(() => this.#groups.uses());
    compare("uses of groups when all is released", uses.filter(Boolean), []);
  }

  abandon(): void {
    for (const at of this.references.keys()) this.#countPools(at);
    for (const { manager } of this.implementations) {
      try {
        manager.close();
      } catch {
        // It has trapped before; the next session takes a fresh instance.
      }
    }
    try {
      this.#groups.close();
    } catch {}
  }

  #finishAt(at: number): void {
    const reference = this.references[at] as Reference;
    const implementation = this.implementations[at] as Implementation;
    while (reference.pools.length > 0) {
      reference.closePool(0);
      implementation.closePool(0);
    }
    if (reference.groupsInUse().length > 0) this.#leaveGroups(reference, implementation);
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

  /** Reservations go by themselves, and those that went by another way are taken back by value. */
  #leaveGroups(reference: Reference, implementation: Implementation): void {
    const both = <T>(does: (system: System) => T): void => {
      const got = settled(() => does(implementation));
      compare("answer in the end", got, does(reference));
    };
    for (const [ago, reservation] of [...reference.reservations].reverse().entries()) {
      const { reserved: _, ...ask } = reservation.ask;
      const { port } = reservation;
      if (!isHeld(reservation)) continue;
      // One half by themselves, the other by value.
      if (ago % 2 === 0) both((system) => system.giveBack(ago));
      else both((system) => system.release(ask, port));
    }
    for (
      let [group] = reference.groupsInUse();
      group !== undefined;
      [group] = reference.groupsInUse()
    ) {
      const ask = { ...UNUSED, group };
      both((system) => system.tuple(UNUSED, 1));
      both((system) => system.release(ask, 1));
    }
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
    const { selection = { algorithm: "random" } } = setup;
    const reference = new Reference(seed, selection, this.#models, model?.());
    reference.setRange(first, last);
    this.references[at] = reference;
    const limit = setup.limit === undefined ? {} : { memoryLimit: setup.limit };
    const options = { ...open, ...limit, seed, selection, portRange: { first, last } };
    this.implementations[at] = new Implementation(options, this.#groups);
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
