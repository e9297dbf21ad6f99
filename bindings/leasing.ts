// Leasing: a pool whose ports come from leased blocks. Blocks belong to `portwarden/node`: a store
// that can serve a pool comes with the function that opens the pool on its blocks.

import { wrongValue } from "./errors.ts";
import type { PortManager } from "./manager.ts";
import type { BlockStore } from "./node/blocks/store.ts";
import type { PortPool } from "./pool.ts";
import type { PoolOptions } from "./requests/request.ts";

/** The key under which a store has the function that opens a pool on its blocks. */
export const OPEN_LEASED: unique symbol = Symbol.for("portwarden.openLeased");

/** A store without expiry: its pools need no clock. */
export interface PoolStore extends BlockStore {
  [OPEN_LEASED](manager: PortManager, options: PoolOptions): PortPool;
}

/** @throws PortError `ERR_INVALID_ARG_VALUE`, and what opening a pool throws. */
export function leasedPool(manager: PortManager, options: PoolOptions): PortPool {
  const { blocks, ...rest } = options;
  const store = blocks as Partial<PoolStore> | null;
  if (typeof store?.[OPEN_LEASED] === "function") return store[OPEN_LEASED](manager, rest);
  const valid =
    "a store whose blocks do not expire, as a pool looks at no clock: hostBlocks(), sliceBlocks() or " +
    "memoryBlocks()";
  throw wrongValue("blocks", valid, blocks);
}
