// Checks of stores: what connectors rely on, whatever store they lease blocks from. Each check runs
// on stores and a scope of its own.

import { deepStrictEqual, ok } from "node:assert/strict";
import { randomInt } from "node:crypto";
import { type BlockGrant, type BlockScope, type BlockStore, blockScope } from "./block-store.ts";

/** One thing that a store must do. */
export interface BlockStoreCheck {
  /** A sentence. */
  readonly name: string;
  /** Rejects with an `AssertionError` if the store does something else. */
  run(): Promise<void>;
}

/** How stores are made for {@link blockStoreChecks}. */
export interface BlockStoreChecksOptions {
  /**
   * Makes a store.
   * @param holder 0, 1 or 2: which of the holders that share the blocks. May be called several
   * times for one of them, after what was made before has been closed.
   */
  open(holder: number): BlockStore | Promise<BlockStore>;
  /** How long a block that was given back may take to come, milliseconds; 30,000 by default. */
  patience?: number | undefined;
}

/** Blocks that a check uses: few, so that holders meet. */
const FIRST = 640;
const LAST = 647;
const ALL = LAST - FIRST + 1;
const HOLDERS = 3;
const PATIENCE_MS = 30_000;
const PAUSE_MS = 10;

/** A check under way: its stores, closed in the end, and its scope. */
class Fixture {
  readonly scope: BlockScope = freshScope();
  readonly #options: BlockStoreChecksOptions;
  readonly #stores: BlockStore[] = [];

  constructor(options: BlockStoreChecksOptions) {
    this.#options = options;
  }

  async open(holder: number): Promise<BlockStore> {
    const store = await this.#options.open(holder);
    this.#stores.push(store);
    return store;
  }

  async close(): Promise<void> {
    for (const store of this.#stores) await store.close();
  }

  /** Asks until there is something, as a holder does. */
  async acquire(store: BlockStore, want: number, scope = this.scope): Promise<BlockGrant> {
    const end = performance.now() + (this.#options.patience ?? PATIENCE_MS);
    for (;;) {
      const grant = await store.acquire(scope, want, FIRST, LAST);
      if (grant.blocks.length > 0) return grant;
      ok(performance.now() < end, "no block came, although some are free");
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }

  /** Everything that the holder can have, grant by grant. */
  async all(store: BlockStore, scope = this.scope): Promise<BlockGrant[]> {
    const grants = [await this.acquire(store, ALL, scope)];
    for (;;) {
      const more = await store.acquire(scope, ALL, FIRST, LAST);
      if (more.blocks.length === 0) return grants;
      grants.push(more);
      ok(grants.length <= ALL, "blocks are granted without end");
    }
  }
}

const CHECKS: readonly (readonly [name: string, run: (fixture: Fixture) => Promise<void>])[] = [
  [
    "a grant holds no more blocks than were wanted, each once, and within the range",
    async (fixture) => {
      const store = await fixture.open(0);
      const { blocks } = await fixture.acquire(store, 2);
      ok(blocks.length <= 2, `${blocks.length} blocks were granted, and 2 wanted`);
      deepStrictEqual(blocks.length, new Set(blocks).size);
      ok(blocks.every(isInRange), `blocks ${blocks} are not all in ${FIRST}..${LAST}`);
    },
  ],
  [
    "no block is granted to two holders at a time",
    async (fixture) => {
      const stores = await openAll(fixture);
      const grants = await Promise.all(
        Array.from({ length: ALL }, () =>
          stores.map((store) => store.acquire(fixture.scope, 1, FIRST, LAST)),
        ).flat(),
      );
      const blocks = grants.flatMap((grant) => grant.blocks);
      deepStrictEqual(blocks.length, new Set(blocks).size);
    },
  ],
  [
    "a holder that asks again gets other blocks, and at last an empty grant",
    async (fixture) => {
      const store = await fixture.open(0);
      const blocks = blocksOf(await fixture.all(store));
      ok(blocks.length > 0);
      deepStrictEqual(blocks.length, new Set(blocks).size);
    },
  ],
  [
    "a block that was given back can be had again",
    async (fixture) => {
      const store = await fixture.open(0);
      const before = await fixture.all(store);
      for (const { blocks, grant } of before) {
        await store.release(fixture.scope, new Map(blocks.map((block) => [block, grant])));
      }
      await waitForAll(fixture, store, blocksOf(before));
    },
  ],
  [
    "giving back by another grant does nothing",
    async (fixture) => {
      const store = await fixture.open(0);
      const held = await fixture.all(store);
      const blocks = blocksOf(held);
      await store.release(fixture.scope, new Map(blocks.map((block) => [block, "another"])));
      const { lost } = await store.renew(fixture.scope, heldBy(held));
      deepStrictEqual(lost, []);
    },
  ],
  [
    "a renewal keeps what it names, and says what is not held",
    async (fixture) => {
      const store = await fixture.open(0);
      const held = heldBy(await fixture.all(store));
      deepStrictEqual((await store.renew(fixture.scope, held)).lost, []);
      const strange = new Map([...held.keys()].map((block) => [block, "another"]));
      const { lost } = await store.renew(fixture.scope, strange);
      deepStrictEqual([...lost].sort(), [...held.keys()].sort());
    },
  ],
  [
    "what a renewal does not name goes back",
    async (fixture) => {
      const store = await fixture.open(0);
      const held = [...heldBy(await fixture.all(store))];
      const kept = new Map(held.slice(0, 1));
      deepStrictEqual((await store.renew(fixture.scope, kept)).lost, []);
      await waitForAll(
        fixture,
        store,
        held.slice(1).map(([block]) => block),
      );
    },
  ],
  [
    "scopes have blocks of their own",
    async (fixture) => {
      const store = await fixture.open(0);
      const { source } = fixture.scope;
      const count = blocksOf(await fixture.all(store)).length;
      const udp = await fixture.all(store, blockScope(source, 17));
      deepStrictEqual(blocksOf(udp).length, count);
      deepStrictEqual((await store.renew(fixture.scope, new Map())).lost, []);
      deepStrictEqual((await store.renew(blockScope(source, 17), heldBy(udp))).lost, []);
    },
  ],
  [
    "what a closed store held can be had again",
    async (fixture) => {
      const store = await fixture.open(0);
      const blocks = blocksOf(await fixture.all(store));
      await store.close();
      await waitForAll(fixture, await fixture.open(0), blocks);
    },
  ],
  [
    "what need not wait gives one block at a time, and the same as asking does",
    async (fixture) => {
      const [one, other] = await openAll(fixture);
      if (one?.tryAcquire === undefined || other === undefined) return;
      const found = new Set<number>();
      for (;;) {
        const grant: BlockGrant | undefined = one.tryAcquire(fixture.scope, FIRST, LAST);
        if (grant === undefined) break;
        deepStrictEqual(grant.blocks.length, 1);
        const [block = -1] = grant.blocks;
        ok(isInRange(block) && !found.has(block), `block ${block} is not free`);
        found.add(block);
      }
      const { blocks } = await one.acquire(fixture.scope, ALL, FIRST, LAST);
      deepStrictEqual(blocks, []);
      const others = await other.acquire(fixture.scope, ALL, FIRST, LAST);
      ok(
        others.blocks.every((block) => !found.has(block)),
        "another holder has the same",
      );
    },
  ],
];

/**
 * The duties of a store, as checks to run under any test runner. A store of one's own should pass
 * all of them.
 * @example
 * for (const { name, run } of blockStoreChecks({ open: () => hostBlocks() })) test(name, run);
 */
export function blockStoreChecks(options: BlockStoreChecksOptions): BlockStoreCheck[] {
  return CHECKS.map(([name, act]) => ({
    name,
    run: async () => {
      const fixture = new Fixture(options);
      try {
        await act(fixture);
      } finally {
        await fixture.close();
      }
    },
  }));
}

/** An address that is used nowhere else, but for a chance of one in millions. */
function freshScope(): BlockScope {
  const octet = (): number => randomInt(1, 255);
  return blockScope(`127.${octet()}.${octet()}.${octet()}`);
}

async function openAll(fixture: Fixture): Promise<BlockStore[]> {
  const stores: BlockStore[] = [];
  for (let holder = 0; holder < HOLDERS; holder++) stores.push(await fixture.open(holder));
  return stores;
}

/** Waits until the holder has been granted all of these. */
async function waitForAll(
  fixture: Fixture,
  store: BlockStore,
  wanted: readonly number[],
): Promise<void> {
  const missing = new Set(wanted);
  while (missing.size > 0) {
    const { blocks } = await fixture.acquire(store, ALL);
    for (const block of blocks) missing.delete(block);
  }
}

function isInRange(block: number): boolean {
  return Number.isInteger(block) && block >= FIRST && block <= LAST;
}

function blocksOf(grants: readonly BlockGrant[]): number[] {
  return grants.flatMap(({ blocks }) => blocks);
}

function heldBy(grants: readonly BlockGrant[]): Map<number, string> {
  return new Map(grants.flatMap(({ blocks, grant }) => blocks.map((block) => [block, grant])));
}
