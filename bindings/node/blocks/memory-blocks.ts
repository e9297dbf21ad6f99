// memoryBlocks: blocks leased among the connectors of one thread, for tests and for several
// connectors on the same addresses.

import { OPEN_LEASED, type PoolStore } from "../../leasing.ts";
import {
  type BlockGrant,
  type BlockScope,
  type BlockStore,
  type HeldBlocks,
  scopeName,
  shuffled,
} from "./block-store.ts";
import { openLeased } from "./leased-pool.ts";

/** The holder of each block, by scope and block. */
const HOLDERS: Map<string, Map<number, MemoryBlocks>> = new Map();
/** All blocks are leased: holders of idle ones have been told, and need a moment. */
const RETRY_MS = 20;

/**
 * Leases blocks among all such stores of this thread. Nothing outside knows of them: another
 * thread, or another copy of the package, leases the same.
 */
export function memoryBlocks(): BlockStore {
  return new MemoryBlocks();
}

class MemoryBlocks implements PoolStore {
  readonly [OPEN_LEASED] = openLeased;
  readonly name = "memory";
  readonly isOneHost = true;
  readonly ttl = Number.POSITIVE_INFINITY;
  onWanted: ((scope: BlockScope, block: number) => void) | undefined;
  #grants = 0;
  #isClosed = false;
  readonly #held: Map<string, Map<number, string>> = new Map();

  tryAcquire(scope: BlockScope, first: number, last: number): BlockGrant | undefined {
    const grant = this.#take(scope, 1, first, last);
    return grant.blocks.length > 0 ? grant : undefined;
  }

  async acquire(scope: BlockScope, want: number, first: number, last: number): Promise<BlockGrant> {
    const grant = this.#take(scope, want, first, last);
    if (grant.blocks.length > 0) return grant;
    this.#ask(scope, first, last);
    const again = this.#take(scope, want, first, last);
    return again.blocks.length > 0 ? again : { ...again, retryAfter: RETRY_MS };
  }

  async renew(scope: BlockScope, held: HeldBlocks): Promise<{ lost: readonly number[] }> {
    const mine = this.#heldOf(scope);
    const others = [...mine].filter(([block, grant]) => held.get(block) !== grant);
    this.#giveBack(scope, new Map(others));
    return {
      lost: [...held].filter(([block, grant]) => mine.get(block) !== grant).map(([b]) => b),
    };
  }

  async release(scope: BlockScope, held: HeldBlocks): Promise<void> {
    this.#giveBack(scope, held);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const [name, held] of this.#held) {
      for (const block of held.keys()) HOLDERS.get(name)?.delete(block);
    }
    this.#held.clear();
  }

  #take(scope: BlockScope, want: number, first: number, last: number): BlockGrant {
    const holders = holdersOf(scope);
    const grant = `${++this.#grants}`;
    const blocks: number[] = [];
    for (const block of shuffled(first, last)) {
      if (blocks.length === want || this.#isClosed) break;
      if (holders.has(block)) continue;
      holders.set(block, this);
      this.#heldOf(scope).set(block, grant);
      blocks.push(block);
    }
    return { blocks, grant };
  }

  /** Holders of idle blocks give them back at once. */
  #ask(scope: BlockScope, first: number, last: number): void {
    for (const [block, holder] of [...holdersOf(scope)]) {
      if (holder !== this && block >= first && block <= last) holder.onWanted?.(scope, block);
    }
  }

  #giveBack(scope: BlockScope, held: HeldBlocks): void {
    const mine = this.#heldOf(scope);
    for (const [block, grant] of held) {
      if (mine.get(block) !== grant) continue;
      mine.delete(block);
      holdersOf(scope).delete(block);
    }
  }

  #heldOf(scope: BlockScope): Map<number, string> {
    const name = scopeName(scope);
    const held = this.#held.get(name) ?? new Map<number, string>();
    this.#held.set(name, held);
    return held;
  }
}

function holdersOf(scope: BlockScope): Map<number, MemoryBlocks> {
  const name = scopeName(scope);
  const holders = HOLDERS.get(name) ?? new Map<number, MemoryBlocks>();
  HOLDERS.set(name, holders);
  return holders;
}
