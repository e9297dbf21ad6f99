// The interface of a store of blocks: types alone, which pools and connectors share.

/**
 * The ports of one address and transport: ports of different scopes do not matter to each other.
 */
export interface BlockScope {
  /** Canonical text of one address (RFC 5952); a v4-mapped one is IPv4. */
  readonly source: string;
  /** 6 (TCP) or 17 (UDP). */
  readonly transport: number;
}

/** The answer of a store to {@link BlockStore.acquire}. */
export interface BlockGrant {
  /** May be fewer than wanted, or none. */
  readonly blocks: readonly number[];
  /** Names this grant alone, so that a call that comes late does nothing to a later one. */
  readonly grant: string;
  /**
   * Milliseconds after which to ask again: everything is leased, or the store has been restarted
   * and grants nothing yet.
   */
  readonly retryAfter?: number | undefined;
  /** Some holders of blocks of the scope, as far as the store knows them. */
  readonly holders?: readonly string[] | undefined;
}

/** The answer of a store to {@link BlockStore.renew}. */
export interface Renewal {
  /** Blocks that must not be used from now on. */
  readonly lost: readonly number[];
  /** Another holder found no free block: idle ones should be given back. */
  readonly wanted?: boolean | undefined;
}

/** Blocks, and the grant by which each is held. */
export type HeldBlocks = ReadonlyMap<number, string>;

/**
 * Leases blocks: `hostBlocks`, `redisBlocks`, `etcdBlocks`, `sliceBlocks`, `memoryBlocks`, or one
 * of your own. An object of it is one holder.
 */
export interface BlockStore {
  /** As messages name it. */
  readonly name: string;
  /**
   * How long a grant or a renewal holds, milliseconds from the moment of asking. `Infinity`: the
   * system gives back what a dead holder had.
   */
  readonly ttl: number;
  /**
   * Are all holders programs of one network namespace? Then the kernel refuses a tuple that another
   * has, and a connector may try ports of blocks that others hold (`spill`).
   */
  readonly isOneHost?: boolean | undefined;
  /**
   * Leases up to `want` blocks among `first..last`, both included.
   * @throws (rejects) if the store cannot be asked: an error is no refusal.
   */
  acquire(scope: BlockScope, want: number, first: number, last: number): Promise<BlockGrant>;
  /**
   * Renews all that is held of the scope. Any other block that the store has under this holder is
   * freed.
   */
  renew(scope: BlockScope, held: HeldBlocks): Promise<Renewal>;
  /** Gives blocks back. A block whose grant is another one by now stays as it is. */
  release(scope: BlockScope, held: HeldBlocks): Promise<void>;
  /**
   * One block at once, for stores that need not wait; `undefined`: none is free, or it takes
   * {@link acquire} to say why.
   */
  tryAcquire?(scope: BlockScope, first: number, last: number): BlockGrant | undefined;
  /** Set by the holder; the store calls it when another holder wants a block that is held here. */
  onWanted?: ((scope: BlockScope, block: number) => void) | undefined;
  /** Gives back everything. */
  close(): Promise<void>;
}
