// Stores do what connectors rely on; and a store that does not is found.

import { describe, expect, test } from "vitest";
import {
  type BlockStore,
  hostBlocks,
  memoryBlocks,
  sliceBlocks,
} from "../../../bindings/node/index.ts";
import { type BlockStoreCheck, blockStoreChecks } from "../../../bindings/node/testing.ts";

const ON_LINUX = process.platform === "linux";

describe("memoryBlocks", () => {
  for (const { name, run } of blockStoreChecks({ open: memoryBlocks })) test(name, run);
});

describe("sliceBlocks", () => {
  const open = (index: number): BlockStore => sliceBlocks({ index, of: 3 });
  for (const { name, run } of blockStoreChecks({ open })) test(name, run);
});

describe.runIf(ON_LINUX)("hostBlocks", () => {
  for (const { name, run } of blockStoreChecks({ open: hostBlocks })) test(name, run);
});

test.each(["darwin", "win32"])("hostBlocks says on %s what to use instead", (platform) => {
  const own = Object.getOwnPropertyDescriptor(process, "platform") as PropertyDescriptor;
  Object.defineProperty(process, "platform", { ...own, value: platform });
  try {
    expect(hostBlocks).toThrow(
      new RegExp(`needs Linux, and this is ${platform}: use sliceBlocks.*redisBlocks`),
    );
  } finally {
    Object.defineProperty(process, "platform", own);
  }
});

// ── Stores that are broken on purpose ─────────────────────────────────────────────────────

/** Makes stores that work but for what is changed. */
function broken(changed: (store: BlockStore) => Partial<BlockStore>): () => BlockStore {
  return () => {
    const store: BlockStore = memoryBlocks();
    return {
      ...{ name: "wrapped", ttl: Number.POSITIVE_INFINITY },
      acquire: (...given) => store.acquire(...given),
      renew: (...given) => store.renew(...given),
      release: (...given) => store.release(...given),
      close: () => store.close(),
      ...changed(store),
    };
  };
}

const TAKEN = { blocks: [640], grant: "" };

const BROKEN: readonly (readonly [fault: string, found: string, make: () => BlockStore])[] = [
  [
    "grants more than was wanted",
    "a grant holds no more blocks",
    broken((store) => ({
      acquire: (scope, want, first, last) => store.acquire(scope, want + 2, first, last),
    })),
  ],
  [
    "knows nothing of other holders",
    "no block is granted to two holders",
    () => sliceBlocks({ index: 0, of: 1 }),
  ],
  [
    "keeps what is given back",
    "a block that was given back",
    broken(() => ({ release: async () => {} })),
  ],
  [
    "gives back whatever the grant",
    "giving back by another grant",
    broken((store) => ({
      release: async (scope, held) => {
        for (let grant = 0; grant < 30; grant++) {
          await store.release(scope, new Map([...held.keys()].map((block) => [block, `${grant}`])));
        }
      },
    })),
  ],
  [
    "renews what is not held",
    "a renewal keeps what it names",
    broken(() => ({ renew: async () => ({ lost: [] }) })),
  ],
  [
    "keeps what a renewal does not name",
    "what a renewal does not name",
    broken(() => ({
      renew: async (_, held) => ({
        lost: [...held].filter(([, grant]) => grant === "another").map(([block]) => block),
      }),
    })),
  ],
  [
    "has one scope for all",
    "scopes have blocks of their own",
    broken((store) => ({
      acquire: (scope, ...rest) => store.acquire({ ...scope, transport: 6 }, ...rest),
    })),
  ],
  [
    "holds on when it is closed",
    "what a closed store held",
    broken(() => ({ close: async () => {} })),
  ],
  [
    "gives at once what others have",
    "what need not wait",
    broken(() => ({
      tryAcquire: (...given) => sliceBlocks({ index: 0, of: 1 }).tryAcquire?.(...given),
      acquire: async () => TAKEN,
    })),
  ],
];

describe("a store that", () => {
  test.each(BROKEN)("%s is found", async (_fault, found, make) => {
    const checks = blockStoreChecks({ open: make, patience: 50 });
    expect(await failuresOf(checks)).toContainEqual(expect.stringContaining(found));
  });
});

async function failuresOf(checks: readonly BlockStoreCheck[]): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of checks) {
    await run().catch(() => failed.push(name));
  }
  return failed;
}
