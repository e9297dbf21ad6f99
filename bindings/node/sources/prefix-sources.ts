// PrefixSources: IPv6 blocks with more addresses than a list could hold, of which each connection
// takes one, at random or by its key. A source is made when a connection needs it, and freed when
// it has been idle for longer than others.
//
//   2001:db8::/64  ──▶  in use    up to 65,536; then those in use take turns
//                  ◀──  idle      up to 1,024, the one that was used longest ago first
//
// Must stay true: a source that has been forgotten has no checkout and no index.

import { cryptoRandom, type Random, SeededRandom } from "../../core/random.ts";
import { builtin } from "../builtin.ts";
import { type Counts, newCounts } from "../metrics/counts.ts";
import { Source } from "./source.ts";
import { addressOf, type Block } from "./sources.ts";

/** Sources that are kept although no connection uses them. */
const IDLE_MAX = 1024;
/** Sources that there are at the same time. */
const LIVE_MAX = 65_536;
/** So many addresses are asked for a port before a connection is refused. */
const ADDRESSES_PER_PICK = 4;
const WORD = 2 ** 32;

/** One block, under its name in settings, metrics and errors. */
export class Prefix {
  readonly text: string;
  readonly block: Block;
  readonly counts: Counts = newCounts();
  /**
   * Until when none of its addresses is tried, because the system did not let the connector bind
   * one.
   */
  absentUntil = 0;

  constructor(block: Block) {
    this.text = block.text;
    this.block = block;
  }

  get size(): number {
    return Number(this.block.size);
  }

  contains(value: bigint): boolean {
    return value >= this.block.first && value < this.block.first + this.block.size;
  }

  /**
   * An address of the block for any number. Never the first one, which every router has (RFC 4291 §
   * 2.6.1).
   */
  addressAt(number: bigint): string {
    const { first, size } = this.block;
    return addressOf(first + 1n + (number % (size - 1n)), 6);
  }
}

export class PrefixSources {
  readonly prefixes: readonly Prefix[];
  readonly #random: Random;
  readonly #firstIndex: number;
  readonly #live: Map<string, Source> = new Map();
  readonly #idle: Set<Source> = new Set();
  readonly #freeIndices: number[] = [];

  /**
   * @param firstIndex sources of blocks have indices from here on.
   * @param seed for a run that can be repeated.
   */
  constructor(blocks: readonly Block[], firstIndex: number, seed: number | undefined) {
    this.prefixes = blocks.map((block) => new Prefix(block));
    this.#firstIndex = firstIndex;
    this.#random = seed === undefined ? cryptoRandom : new SeededRandom(seed);
  }

  /** Addresses of the blocks that can be bound, as far as is known. */
  presentCount(now: number): number {
    return this.#present(now).reduce((sum, { size }) => sum + size, 0);
  }

  /** Blocks that are left out. */
  absentCount(now: number): number {
    return this.prefixes.length - this.#present(now).length;
  }

  /** Sources that are to be asked for a port, one after the other. */
  *order(now: number): Generator<Source> {
    const present = this.#present(now);
    for (let tries = 0; tries < ADDRESSES_PER_PICK && present.length > 0; tries++) {
      const prefix = present[this.#random.next() % present.length] as Prefix;
      const words = [this.#random.next(), this.#random.next()].map(BigInt);
      const number = (words[0] as bigint) * BigInt(WORD) + (words[1] as bigint);
      yield this.#live.size < LIVE_MAX ? this.#sourceIn(prefix, number) : this.#nextLive();
    }
  }

  /** The source of a key: the same one for the same blocks, in another process, too. */
  ofKey(key: string): Source {
    const digest = builtin("crypto").createHash("sha256").update(key).digest();
    const prefix = this.prefixes[digest.readUInt32BE(8) % this.prefixes.length] as Prefix;
    return this.#sourceIn(prefix, digest.readBigUInt64BE(0));
  }

  /** The source of an address, if that is of one of the blocks. */
  at(value: bigint): Source | undefined {
    const prefix = this.prefixes.find((one) => one.contains(value));
    return prefix === undefined ? undefined : this.#sourceAt(prefix, addressOf(value, 6));
  }

  /**
   * May the source be asked for a port? It may have been forgotten since a connection wanted it.
   */
  revived(source: Source, prefix: Prefix, now: number): Source[] {
    if (prefix.absentUntil > now) return [];
    return [source.index < 0 ? this.#sourceAt(prefix, source.address) : source];
  }

  /** All may be tried again. */
  returnAll(): void {
    for (const prefix of this.prefixes) prefix.absentUntil = 0;
  }

  /** Notes that the source's count of connections has changed. */
  onUse(source: Source): void {
    this.#idle.delete(source);
    if (source.heldCount > 0 || source.index < 0) return;
    this.#idle.add(source);
    this.#trim();
  }

  #present(now: number): readonly Prefix[] {
    return this.prefixes.filter(({ absentUntil }) => absentUntil <= now);
  }

  #sourceIn(prefix: Prefix, number: bigint): Source {
    return this.#sourceAt(prefix, prefix.addressAt(number));
  }

  #sourceAt(prefix: Prefix, address: string): Source {
    const known = this.#live.get(address);
    if (known !== undefined) return known;
    const index = this.#freeIndices.pop() ?? this.#firstIndex + this.#live.size;
    const source = new Source(address, index, prefix);
    this.#live.set(address, source);
    this.onUse(source);
    return source;
  }

  /** By turns. */
  #nextLive(): Source {
    const [[address, source]] = this.#live as unknown as [[string, Source]];
    this.#live.delete(address);
    this.#live.set(address, source);
    return source;
  }

  /** Idle sources are kept while connections wait, which may wait for a port of theirs. */
  #trim(): void {
    for (const source of this.#idle) {
      if (this.#idle.size <= IDLE_MAX) return;
      if (source.pairs.some(({ destination }) => destination.waiting > 0)) return;
      this.#forget(source);
    }
  }

  #forget(source: Source): void {
    this.#idle.delete(source);
    this.#live.delete(source.address);
    for (const pair of source.pairs) {
      if (pair.destination.pairs[source.index] !== pair) continue;
      pair.destination.pairs[source.index] = undefined;
      pair.close();
    }
    source.pairs.length = 0;
    this.#freeIndices.push(source.index);
    source.index = -1;
  }
}
