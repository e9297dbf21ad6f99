// SourceTable: the sources of a connector that can be bound, as far as is known, and in which
// order they are asked.
//
//   present   those that can be bound; under "least-used" a binary heap, the fewest connections first
//   absent    those that could not be bound, in the order in which they are tried again
//
// To find that a source is absent costs the table O(log n), once; no connection meets it again
// until its time has come. All are absent for as long, so that the list of absences is in order
// by itself. A source that was found absent once more by an attempt under way is listed twice, and
// its later absence is the one that counts.

import { IPV4, IPV6 } from "../../index.ts";
import type { Destination } from "./destination.ts";
import type { PairRequest } from "./pair-table.ts";
import { PrefixSources } from "./prefix-sources.ts";
import type { Source } from "./source.ts";
import { type Block, numberOf } from "./sources.ts";
import { type Spread, sourceOfKey } from "./spread.ts";

export class SourceTable {
  /** In the order in which they were given. */
  readonly all: readonly Source[];
  readonly #families: ReadonlyMap<number, Family>;
  /** The blocks that IPv6 sources are taken from, instead of a list. */
  readonly #blocks: PrefixSources | undefined;

  /** @param blocks where there are any, all IPv6 sources are of them. */
  constructor(
    all: readonly Source[],
    spread: Spread,
    blocks: readonly Block[] = [],
    seed: number | undefined = undefined,
  ) {
    this.all = all;
    if (blocks.length > 0) this.#blocks = new PrefixSources(blocks, all.length, seed);
    const isHeap = spread === "least-used";
    this.#families = new Map(
      [IPV4, IPV6].map((family) => [
        family,
        new Family(
          all.filter((one) => one.family === family),
          isHeap,
        ),
      ]),
    );
  }

  /** The blocks whose sources are made on demand. */
  get prefixes(): PrefixSources["prefixes"] {
    return this.#blocks?.prefixes ?? [];
  }

  /** The family of the first source, 4 or 6. */
  get firstFamily(): number {
    return this.all[0]?.family ?? IPV6;
  }

  /** How many sources of a family there are, absent ones too. */
  count(family: number): number {
    const blocks = this.#blocksOf(family);
    if (blocks === undefined) return this.of(family).length;
    return blocks.prefixes.reduce((sum, { size }) => sum + size, 0);
  }

  /** How many sources and blocks are left out, as far as is known. */
  absentCount(now: number): number {
    const listed = [...this.#families.values()].reduce((sum, family) => {
      family.returnDue(now);
      return sum + family.all.length - family.present.length;
    }, 0);
    return listed + (this.#blocks?.absentCount(now) ?? 0);
  }

  /** The source that a key sticks to. */
  ofKey(key: string, family: number): Source | undefined {
    const blocks = this.#blocksOf(family);
    if (blocks !== undefined) return blocks.ofKey(key);
    const sources = this.of(family);
    return sources.length === 0 ? undefined : sourceOfKey(sources, key);
  }

  /** The source of that address, in canonical form. */
  at(text: string): Source | undefined {
    const listed = this.all.find(({ address }) => address === text);
    if (listed !== undefined || this.#blocks === undefined || !text.includes(":")) return listed;
    return text.includes("%") ? undefined : this.#blocks.at(numberOf(text));
  }

  /** All listed sources of a family, absent ones too, in the order in which they were given. */
  of(family: number): readonly Source[] {
    return this.#of(family).all;
  }

  /** How many sources of a family can be bound, as far as is known. */
  presentCount(family: number, now: number): number {
    const blocks = this.#blocksOf(family);
    if (blocks !== undefined) return blocks.presentCount(now);
    const sources = this.#of(family);
    sources.returnDue(now);
    return sources.present.length;
  }

  /**
   * The sources that can be bound, in the order in which they are to be asked; the wanted one
   * alone if there is one.
   */
  orderFor({ destination, source: wanted }: PairRequest, now: number): Iterable<Source> {
    const blocks = this.#blocksOf(destination.family);
    if (blocks !== undefined) {
      const prefix = wanted?.prefix;
      return prefix === undefined
        ? blocks.order(now)
        : blocks.revived(wanted as Source, prefix, now);
    }
    const sources = this.#of(destination.family);
    sources.returnDue(now);
    if (wanted !== undefined) return wanted.place < 0 ? [] : [wanted];
    if (sources.present.length < 2) return sources.present;
    return sources.isHeap ? sources.leastUsedFirst() : byTurns(sources.present, destination);
  }

  /** Leaves a source out until that time, because the system did not let the connector bind it. */
  leaveOut(source: Source, until: number): void {
    if (source.prefix !== undefined) {
      // The system routes a block as a whole.
      source.prefix.absentUntil = until;
      source.absentUntil = until;
      return;
    }
    this.#of(source.family).leaveOut(source, until);
  }

  /** All may be tried again. */
  returnAll(): void {
    for (const family of this.#families.values()) family.returnDue(Number.POSITIVE_INFINITY);
    this.#blocks?.returnAll();
  }

  /** Notes that the source's count of connections has changed. */
  onUse(source: Source): void {
    if (source.prefix === undefined) this.#of(source.family).onUse(source);
    else this.#blocks?.onUse(source);
  }

  #blocksOf(family: number): PrefixSources | undefined {
    return family === IPV6 ? this.#blocks : undefined;
  }

  #of(family: number): Family {
    return this.#families.get(family) as Family;
  }
}

interface Absence {
  readonly source: Source;
  readonly until: number;
}

/** The sources of one family. Present sources know their place in the list. */
class Family {
  readonly all: readonly Source[];
  readonly present: Source[];
  readonly isHeap: boolean;
  #absences: Absence[] = [];
  /** How many absences at the front are over. */
  #over = 0;

  constructor(all: readonly Source[], isHeap: boolean) {
    this.all = all;
    // In order of their indices, and without connections: a heap.
    this.present = [...all];
    for (const [place, source] of all.entries()) source.place = place;
    this.isHeap = isHeap;
  }

  leaveOut(source: Source, until: number): void {
    source.absentUntil = until;
    this.#absences.push({ source, until });
    if (source.place < 0) return;
    const last = this.present.pop() as Source;
    if (last !== source) this.#put(last, source.place);
    source.place = -1;
    if (last !== source) this.onUse(last);
  }

  returnDue(now: number): void {
    for (let first = this.#absences[this.#over]; first !== undefined && first.until <= now; ) {
      this.#return(first.source, now);
      first = this.#absences[++this.#over];
    }
    if (this.#over < this.#absences.length / 2 || this.#over === 0) return;
    this.#absences = this.#absences.slice(this.#over);
    this.#over = 0;
  }

  /** Adds a source, unless it is present already, or a later absence is not over. */
  #return(source: Source, now: number): void {
    if (source.place >= 0 || source.absentUntil > now) return;
    // Waiting connections need the time when the absence ended.
    if (now === Number.POSITIVE_INFINITY) source.absentUntil = 0;
    this.#put(source, this.present.length);
    this.onUse(source);
  }

  *leastUsedFirst(): Generator<Source> {
    const least = this.present[0] as Source;
    yield least;
    // Only a request that this source refuses goes on to the others.
    yield* [...this.present].sort(byUse).filter((one) => one !== least);
  }

  /** Moves a source to its place in the heap. */
  onUse(source: Source): void {
    if (!this.isHeap || source.place < 0) return;
    this.#sift(source);
  }

  #sift(source: Source): void {
    let { place } = source;
    for (;;) {
      const above = this.present[(place - 1) >> 1];
      if (place === 0 || above === undefined || byUse(above, source) <= 0) break;
      const next = above.place;
      this.#put(above, place);
      place = next;
    }
    for (;;) {
      const below = this.#lesserBelow(place);
      if (below === undefined || below === source || byUse(source, below) <= 0) break;
      const next = below.place;
      this.#put(below, place);
      place = next;
    }
    this.#put(source, place);
  }

  #lesserBelow(place: number): Source | undefined {
    const [left, right] = [this.present[2 * place + 1], this.present[2 * place + 2]];
    if (left === undefined || right === undefined) return left;
    return byUse(left, right) <= 0 ? left : right;
  }

  #put(source: Source, place: number): void {
    this.present[place] = source;
    source.place = place;
  }
}

function* byTurns(sources: readonly Source[], destination: Destination): Generator<Source> {
  const count = sources.length;
  const from = destination.turn % count;
  destination.turn = (from + 1) % count;
  for (let step = 0; step < count; step++) {
    const source = sources[(from + step) % sources.length];
    if (source !== undefined) yield source;
  }
}

/** Fewer connections first; where there are as many, in the order in which they were given. */
function byUse(a: Source, b: Source): number {
  return a.heldCount - b.heldCount || a.index - b.index;
}
