// BlockStore: which holder may use which ports of a source address. Threads, processes and machines
// that share an address lease its ports in blocks, and take ports only from blocks that they have
// leased.
//
//   port    0        64       128            65472      65535
//           ├─ block 0 ─┼─ block 1 ─┼─ … ────┼─ block 1023 ─┤
//
// A block is 64 ports, aligned to absolute port numbers, whatever range a holder uses. So all
// holders agree without talking, blocks need not be contiguous, and nothing is ever fragmented.

import { wrongType, wrongValue } from "../../errors.ts";
import { TCP, UDP } from "../../index.ts";
import { parseAddress } from "../../requests/address.ts";
import type { BlockScope } from "./store.ts";

export type { BlockGrant, BlockScope, BlockStore, HeldBlocks, Renewal } from "./store.ts";

/** Ports of a block: block b is the ports 64 b to 64 b + 63. The same for all holders. */
export const BLOCK_PORTS = 64;
/** Blocks are numbered from 0 to 1023. */
export const BLOCK_COUNT = 1024;
const BLOCK_SHIFT = 6;

/** The block of a port. */
export function blockOf(port: number): number {
  return port >> BLOCK_SHIFT;
}

/** The first port of a block. */
export function firstPortOf(block: number): number {
  return block << BLOCK_SHIFT;
}

/**
 * The scope of an address and a transport. All spellings of an address have the same scope.
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
