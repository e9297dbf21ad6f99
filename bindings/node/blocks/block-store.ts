// BlockStore: who may use which ports of a source address. Threads, processes and machines that
// share an address lease its ports in blocks, and take ports from blocks that they have leased
// alone.
//
//   port    0        64       128            65472      65535
//           ├─ block 0 ─┼─ block 1 ─┼─ … ────┼─ block 1023 ─┤
//
// A block is 64 ports, aligned to absolute port numbers, whatever range anybody uses: so all agree
// without talking, blocks need not be contiguous, and nothing is ever fragmented.

import { wrongType, wrongValue } from "../../errors.ts";
import { TCP, UDP } from "../../index.ts";
import { parseAddress } from "../../requests/address.ts";

/** Ports of a block: block b is the ports 64 b to 64 b + 63. The same for everybody. */
export const BLOCK_PORTS = 64;
/** Blocks are numbered from 0 to 1023. */
export const BLOCK_COUNT = 1024;
const BLOCK_SHIFT = 6;

/**
 * The ports of one address and transport: ports of different scopes do not matter to each other.
 */
export interface BlockScope {
  /** Canonical text of one address (RFC 5952); a v4-mapped one is IPv4. */
  readonly source: string;
  /** 6 (TCP) or 17 (UDP). */
  readonly transport: number;
}

/** What a store answers to {@link BlockStore.acquire}. */
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
  /** Some of those who hold blocks of the scope, as far as the store knows them. */
  readonly holders?: readonly string[] | undefined;
}

/** What a store answers to {@link BlockStore.renew}. */
export interface Renewal {
  /** These must not be used any more, from now on. */
  readonly lost: readonly number[];
  /** Another holder found nothing free: what is idle is to be given back. */
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
   * Says all that is held of the scope. Whatever else the store has under this holder goes back.
   */
  renew(scope: BlockScope, held: HeldBlocks): Promise<Renewal>;
  /** Gives blocks back. A block whose grant is another one by now stays as it is. */
  release(scope: BlockScope, held: HeldBlocks): Promise<void>;
  /**
   * One block at once, for stores that need not wait; `undefined`: none is free, or it takes
   * {@link acquire} to say why.
   */
  tryAcquire?(scope: BlockScope, first: number, last: number): BlockGrant | undefined;
  /** Set by the holder; the store calls it when somebody wants a block that is held here. */
  onWanted?: ((scope: BlockScope, block: number) => void) | undefined;
  /** Gives back everything. */
  close(): Promise<void>;
}

/** The block of a port. */
export function blockOf(port: number): number {
  return port >> BLOCK_SHIFT;
}

/** The first port of a block. */
export function firstPortOf(block: number): number {
  return block << BLOCK_SHIFT;
}

/**
 * The scope of an address and a transport: all who spell the same address get the same.
 * @param transport 6 (TCP), the default, or 17 (UDP).
 * @throws PortError `ERR_INVALID_IP_ADDRESS` (no address, or one with a zone), `ERR_INVALID_ARG_VALUE`
 * (the wildcard, which is every address at once; another transport), `ERR_INVALID_ARG_TYPE`.
 */
export function blockScope(source: string, transport: number = TCP): BlockScope {
  if (typeof source !== "string") throw wrongType("source", "an IP address", source);
  const { text } = parseAddress("source", source);
  if (text === "") throw wrongValue("source", "one address, not the wildcard", source);
  if (transport !== TCP && transport !== UDP) {
    throw wrongValue("transport", "6 (TCP) or 17 (UDP)", transport);
  }
  return { source: text, transport };
}

/** A scope as stores name it: `tcp/10.0.0.1`. */
export function scopeName({ source, transport }: BlockScope): string {
  return `${transport === UDP ? "udp" : "tcp"}/${source}`;
}

/** The numbers first..last in random order, drawn one by one. */
export function* shuffled(first: number, last: number): Generator<number> {
  const rest = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  for (let left = rest.length; left > 0; left--) {
    const at = Math.floor(Math.random() * left);
    yield rest[at] as number;
    rest[at] = rest[left - 1] as number;
  }
}
