// The keeper of blocks: terms by both clocks, late answers, and one request at a time; on clocks
// and a store that the test moves.

import { expect, test } from "vitest";
import { BlockKeeper, type KeeperListener } from "../../../bindings/node/blocks/block-keeper.ts";
import type {
  BlockGrant,
  BlockStore,
  HeldBlocks,
  Renewal,
} from "../../../bindings/node/blocks/block-store.ts";
import { blockScope } from "../../../bindings/node/blocks/block-store.ts";
import { FakeClock } from "./fake-clock.ts";

const TTL = 9_000;
const SCOPE = blockScope("10.0.0.1");

interface Call {
  readonly what: "acquire" | "renew" | "release";
  readonly held: HeldBlocks;
  answer(value: unknown): void;
  fail(error: unknown): void;
}

/** A store that answers when the test says so. */
class SlowStore implements BlockStore {
  readonly name = "slow";
  readonly ttl: number = TTL;
  readonly calls: Call[] = [];

  acquire(): Promise<BlockGrant> {
    return this.#call("acquire");
  }
  renew(_: unknown, held: HeldBlocks): Promise<Renewal> {
    return this.#call("renew", held);
  }
  release(_: unknown, held: HeldBlocks): Promise<void> {
    return this.#call("release", held);
  }
  async close(): Promise<void> {}

  #call<T>(what: Call["what"], held: HeldBlocks = new Map()): Promise<T> {
    return new Promise((resolve, reject) => {
      this.calls.push({ what, held, answer: (value) => resolve(value as T), fail: reject });
    });
  }
}

interface Setup {
  readonly keeper: BlockKeeper;
  readonly store: SlowStore;
  readonly clock: FakeClock;
  readonly told: string[];
  /** The last call; answers it and lets the keeper see the answer. */
  answer(value: unknown, call?: Call): Promise<void>;
}

/** @param Keeper may be one that is broken on purpose. */
function setup(Keeper = BlockKeeper): Setup {
  const [store, clock, told] = [new SlowStore(), new FakeClock(), [] as string[]];
  const listener: KeeperListener = {
    onAcquired: (blocks) => told.push(`acquired ${blocks}`),
    onRefused: (grant, error) => told.push(`refused ${error ?? grant?.retryAfter}`),
    onLost: (blocks) => told.push(`lost ${blocks}`),
    onError: () => told.push("error"),
    onWanted: () => told.push("wanted"),
    spans: () => [[640, 703]],
  };
  const keeper = new Keeper(SCOPE, store, listener, clock);
  const answer = async (value: unknown, call = store.calls.at(-1)): Promise<void> => {
    call?.answer(value);
    await settled();
  };
  return { keeper, store, clock, told, answer };
}

async function settled(): Promise<void> {
  await new Promise((done) => setImmediate(done));
}

/** A keeper that holds block 640. */
async function holding(Keeper = BlockKeeper): Promise<Setup> {
  const made = setup(Keeper);
  made.keeper.ask(1, false);
  await settled();
  await made.answer({ blocks: [640], grant: "1" });
  expect(made.told).toEqual(["acquired 640"]);
  expect(made.keeper.isUsable()).toBe(true);
  return made;
}

test("a block is not usable from its term's end on, less a tenth, by the monotonic clock", async () => {
  const { keeper, clock, told } = await holding();
  clock.monotonicNow += TTL * 0.9 - 1;
  expect(keeper.isUsable()).toBe(true);
  clock.monotonicNow += 1;
  expect(keeper.isUsable()).toBe(false);
  expect(told).toContain("lost 640");
});

test("a block is not usable after a sleep in which the monotonic clock stood still", async () => {
  const { keeper, clock } = await holding();
  clock.wallNow += 60_000;
  expect(keeper.isUsable()).toBe(false);
});

test("a wall clock that is set back does not make a term longer", async () => {
  const { keeper, clock } = await holding();
  clock.wallNow -= 3_600_000;
  expect(keeper.isUsable()).toBe(true);
  clock.monotonicNow += TTL;
  expect(keeper.isUsable()).toBe(false);
});

test("a term counts from before the request was sent", async () => {
  const { keeper, store, clock, answer } = setup();
  keeper.ask(1, false);
  await settled();
  clock.monotonicNow += TTL / 4;
  await answer({ blocks: [640], grant: "1" });
  expect(store.calls).toHaveLength(1);
  clock.monotonicNow += TTL * 0.9 - TTL / 4;
  expect(keeper.isUsable()).toBe(false);
});

test("blocks are renewed three times a term, and a renewal makes the term longer", async () => {
  const { keeper, store, clock, answer } = await holding();
  for (let round = 0; round < 9; round++) {
    await clock.advance(TTL / 3 + 1);
    expect(store.calls).toHaveLength(2 + round);
    expect(store.calls.at(-1)).toMatchObject({ what: "renew", held: new Map([[640, "1"]]) });
    await answer({ lost: [] });
  }
  expect(keeper.isUsable()).toBe(true);
});

class Forgetful extends BlockKeeper {
  override isUsable(): boolean {
    return true;
  }
}

test.each([
  ["what has ended stays ended, although a renewal is answered after all, and twice", BlockKeeper],
  ["a keeper that brings back what has ended is found", Forgetful],
])("%s", async (_name, Keeper) => {
  const { keeper, store, clock, told, answer } = await holding(Keeper);
  await clock.advance(TTL / 3 + 1);
  const renewal = store.calls.at(-1);
  clock.monotonicNow += TTL;
  expect(keeper.isUsable()).toBe(Keeper === Forgetful);
  for (let times = 0; times < 2; times++) await answer({ lost: [] }, renewal);
  expect(keeper.held.size).toBe(Keeper === Forgetful ? 1 : 0);
  expect(told).toEqual(Keeper === Forgetful ? ["acquired 640"] : ["acquired 640", "lost 640"]);
});

test("a request that is not answered in a third of a term is given up, and the next is sent", async () => {
  const { keeper, store, clock, told } = setup();
  keeper.ask(1, false);
  await settled();
  await clock.advance(TTL / 3 + 1);
  expect(told).toEqual(["error", expect.stringMatching(/^refused Error: slow did not answer/)]);
  expect(keeper.isAsking).toBe(false);
  keeper.ask(1, false);
  await clock.advance(1000);
  expect(store.calls.map(({ what }) => what)).toEqual(["acquire", "acquire"]);
});

test("a grant that comes after its request was given up goes back, and is never used", async () => {
  const { keeper, store, clock, told, answer } = setup();
  keeper.ask(1, false);
  await settled();
  const [late] = store.calls;
  await clock.advance(TTL / 3 + 1);
  await answer({ blocks: [650], grant: "7" }, late);
  expect(keeper.held.size).toBe(0);
  expect(told.some((line) => line.startsWith("acquired"))).toBe(false);
  expect(store.calls.at(-1)).toMatchObject({ what: "release", held: new Map([[650, "7"]]) });
});

test("a late renewal does nothing to a block that is held by a later grant", async () => {
  const { keeper, store, clock, told, answer } = await holding();
  await clock.advance(TTL / 3 + 1);
  const renewal = store.calls.at(-1);
  clock.monotonicNow += TTL;
  keeper.isUsable();
  await clock.advance(TTL / 3 + 1);
  keeper.ask(1, false);
  await clock.advance(1000);
  await answer({ blocks: [640], grant: "2" });
  expect(keeper.held).toEqual(new Map([[640, "2"]]));
  await answer({ lost: [640] }, renewal);
  expect(keeper.held).toEqual(new Map([[640, "2"]]));
  expect(told.at(-1)).toBe("acquired 640");
});

test("one request is under way at a time", async () => {
  const { keeper, store, clock, answer } = await holding();
  keeper.ask(1, false);
  keeper.giveBack([640]);
  keeper.ask(3, false);
  await settled();
  expect(store.calls).toHaveLength(2);
  await clock.advance(10);
  await answer({ blocks: [641], grant: "2" });
  expect(store.calls.map(({ what }) => what)).toEqual(["acquire", "acquire", "release"]);
});

test("a store that fails is asked less and less often, and what is held is kept to its term", async () => {
  const { keeper, store, clock, told } = await holding();
  for (let at = 0; at < TTL * 0.8; at += 10) {
    await clock.advance(10);
    const last = store.calls.at(-1);
    if (last?.what === "renew") last.fail(new Error("away"));
    await settled();
  }
  expect(keeper.isUsable()).toBe(true);
  expect(store.calls.length).toBeLessThan(12);
  await clock.advance(TTL * 0.2);
  expect(keeper.isUsable()).toBe(false);
  expect(told.at(-1)).toBe("lost 640");
});

test("what the store says is lost is lost, and what is wanted is told", async () => {
  const { keeper, clock, told, answer } = await holding();
  await clock.advance(TTL / 3 + 1);
  await answer({ lost: [640], wanted: true });
  expect(keeper.held.size).toBe(0);
  expect(told.slice(1)).toEqual(["lost 640", "wanted"]);
});
