// sliceBlocks: blocks divided by arithmetic. No store is asked and no block can be lost, but a
// holder whose slice is full gets no block of another whose slice is empty.

import { outOfRange } from "../../errors.ts";
import { OPEN_LEASED, type PoolStore } from "../../leasing.ts";
import { checkInteger, readOptions } from "../../requests/checks.ts";
import {
  BLOCK_COUNT,
  type BlockGrant,
  type BlockScope,
  type BlockStore,
  type HeldBlocks,
  scopeName,
} from "./block-store.ts";
import { openLeased } from "./leased-pool.ts";

/** Which slice it is, of how many. */
export interface SliceOptions {
  /** 0 to `of` - 1; the ordinal of a pod of a StatefulSet, for instance. */
  index: number;
  /** How many slices there are, 1..1024. */
  of: number;
}

/**
 * Every `of`-th block: those with `block % of === index`. For programs that know how many share an
 * address, and which of them they are. Two with the same index hold the same blocks, which is not
 * detected.
 * @throws PortError `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
 */
export function sliceBlocks(options: SliceOptions): BlockStore {
  const { index, of } = readOptions("options", options, ["index", "of"]);
  checkInteger("of", of, 1, BLOCK_COUNT);
  checkInteger("index", index, 0, BLOCK_COUNT);
  if (index >= of) throw outOfRange("index", `an integer in 0..${of - 1}, below of`, index);
  return new SliceBlocks(index, of);
}

class SliceBlocks implements PoolStore {
  readonly [OPEN_LEASED] = openLeased;
  readonly name: string;
  readonly ttl = Number.POSITIVE_INFINITY;
  readonly #index: number;
  readonly #of: number;
  readonly #held: Map<string, Map<number, string>> = new Map();
  #grants = 0;

  constructor(index: number, of: number) {
    this.name = `slice ${index} of ${of}`;
    this.#index = index;
    this.#of = of;
  }

  tryAcquire(scope: BlockScope, first: number, last: number): BlockGrant | undefined {
    const grant = this.#take(scope, 1, first, last);
    return grant.blocks.length > 0 ? grant : undefined;
  }

  async acquire(scope: BlockScope, want: number, first: number, last: number): Promise<BlockGrant> {
    return this.#take(scope, want, first, last);
  }

  async renew(scope: BlockScope, held: HeldBlocks): Promise<{ lost: readonly number[] }> {
    const mine = this.#heldOf(scope);
    for (const [block, grant] of mine) if (held.get(block) !== grant) mine.delete(block);
    return {
      lost: [...held].filter(([block, grant]) => mine.get(block) !== grant).map(([b]) => b),
    };
  }

  async release(scope: BlockScope, held: HeldBlocks): Promise<void> {
    const mine = this.#heldOf(scope);
    for (const [block, grant] of held) if (mine.get(block) === grant) mine.delete(block);
  }

  async close(): Promise<void> {
    this.#held.clear();
  }

  #take(scope: BlockScope, want: number, first: number, last: number): BlockGrant {
    const held = this.#heldOf(scope);
    const grant = `${++this.#grants}`;
    const blocks: number[] = [];
    const start = first + ((this.#index - (first % this.#of) + this.#of) % this.#of);
    for (let block = start; block <= last && blocks.length < want; block += this.#of) {
      if (!held.has(block)) blocks.push(block);
    }
    for (const block of blocks) held.set(block, grant);
    return { blocks, grant };
  }

  #heldOf(scope: BlockScope): Map<number, string> {
    const name = scopeName(scope);
    const held = this.#held.get(name) ?? new Map<number, string>();
    this.#held.set(name, held);
    return held;
  }
}
