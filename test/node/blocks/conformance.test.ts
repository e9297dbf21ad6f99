// Stores do what connectors rely on; and a store that does not is found.

import { describe, expect, test } from "vitest";
import type { BlockGrant, BlockScope, HeldBlocks } from "../../../bindings/node/index.ts";
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

/** A store that works, to be broken in one place. */
class Wrapped implements BlockStore {
  readonly name = "wrapped";
  readonly ttl = Number.POSITIVE_INFINITY;
  protected readonly inner: BlockStore = memoryBlocks();

  acquire(scope: BlockScope, want: number, first: number, last: number): Promise<BlockGrant> {
    return this.inner.acquire(scope, want, first, last);
  }
  renew(scope: BlockScope, held: HeldBlocks): Promise<{ lost: readonly number[] }> {
    return this.inner.renew(scope, held);
  }
  release(scope: BlockScope, held: HeldBlocks): Promise<void> {
    return this.inner.release(scope, held);
  }
  close(): Promise<void> {
    return this.inner.close();
  }
}

const BROKEN: readonly (readonly [fault: string, found: string, make: () => BlockStore])[] = [
  [
    "grants more than was wanted",
    "a grant holds no more blocks",
    () =>
      new (class extends Wrapped {
        override acquire(scope: BlockScope, want: number, first: number, last: number) {
          return super.acquire(scope, want + 2, first, last);
        }
      })(),
  ],
  [
    "knows nothing of other holders",
    "no block is granted to two holders",
    () => sliceBlocks({ index: 0, of: 1 }),
  ],
  [
    "keeps what is given back",
    "a block that was given back",
    () =>
      new (class extends Wrapped {
        override async release() {}
      })(),
  ],
  [
    "gives back whatever the grant",
    "giving back by another grant",
    () =>
      new (class extends Wrapped {
        override async release(scope: BlockScope, held: HeldBlocks) {
          const keys = [...held.keys()];
          for (let grant = 0; grant < 30; grant++) {
            await super.release(scope, new Map(keys.map((block) => [block, `${grant}`])));
          }
        }
      })(),
  ],
  [
    "renews what is not held",
    "a renewal keeps what it names",
    () =>
      new (class extends Wrapped {
        override async renew() {
          return { lost: [] };
        }
      })(),
  ],
  [
    "keeps what a renewal does not name",
    "what a renewal does not name",
    () =>
      new (class extends Wrapped {
        override async renew(_: BlockScope, held: HeldBlocks) {
          return { lost: [...held].filter(([, grant]) => grant === "another").map(([b]) => b) };
        }
      })(),
  ],
  [
    "has one scope for all",
    "scopes have blocks of their own",
    () =>
      new (class extends Wrapped {
        override acquire(scope: BlockScope, want: number, first: number, last: number) {
          return super.acquire({ ...scope, transport: 6 }, want, first, last);
        }
      })(),
  ],
  [
    "holds on when it is closed",
    "what a closed store held",
    () =>
      new (class extends Wrapped {
        override async close() {}
      })(),
  ],
  [
    "gives at once what others have",
    "what need not wait",
    () => {
      const other = sliceBlocks({ index: 0, of: 1 });
      const store: BlockStore = memoryBlocks();
      return Object.assign(Object.create(store), {
        tryAcquire: other.tryAcquire?.bind(other),
        acquire: async () => ({ blocks: [640], grant: "" }),
        renew: store.renew.bind(store),
        release: store.release.bind(store),
        close: store.close.bind(store),
      });
    },
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
