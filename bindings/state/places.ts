// What is held, as bytes of a snapshot, by place: network, transport, device and local address.
//
//   place   network, transport, device, address
//           destinations with their ports, and the counts that are not one
//           destinations with one port, as the core reads them (netstack/singles.ts)
//
// Restoring in this order makes the same records, and so uses the same memory. The first record
// below another is inline, and aggregates do not count it (assembly/netstack/records.ts): it comes
// first, and addresses are in order otherwise. If it has been freed, its place is still vacant:
// then a flow without ports comes first, which the restored manager keeps until the others have
// been made.

import {
  LINE_BYTES,
  PORT_MAX,
  SINGLE_ANY,
  SINGLE_HAS_PORT,
  SINGLE_IPV4,
  SINGLE_IPV6,
  SINGLE_KIND_SHIFT,
} from "../../assembly/abi.ts";
import { Writer } from "./bytes.ts";
import { FlowList, forEachRun, holdsAny } from "./flow-list.ts";
import type { HeldSource } from "./held.ts";

type Held = Pick<HeldSource, "core" | "manager">;

const LINE = LINE_BYTES >> 2;
const MAPPED = 0xffff0000;
/** Bytes of an accepted IPv4 connection, and of a place of few. */
const SINGLE_BYTES = 9;
const PLACE_ROOM = 64;
/** Bits of a line's last word. */
const UNCOUNTED = 2;
const INLINE_HOST = 4;
/** Names of records that are made for a while, in the place of freed ones. */
const NO_DEVICE = [0xffffffff];
const NO_ADDRESS = [0, 0, 0, 0xffffffff];

/** A bit of the byte that begins a flow, which is otherwise that of a single (assembly/abi.ts). */
export const HAS_EXTRA: number = 1 << 7;

/** What is held at one local address. */
class Place {
  readonly singles: Writer;
  singleCount = 0;
  /** Numbers of other flows in the list. */
  others: number[] = [];
  /** Which of its two lists have lost the flow that aggregates do not count. */
  gone: boolean[] = [];

  /** @param room bytes that singles may take before they are moved. */
  constructor(room: number) {
    this.singles = new Writer(room);
  }

  /** @param words a line of the place; `at`: where it begins. */
  write(writer: Writer, list: FlowList, words: Uint32Array, at: number): void {
    for (const word of words.subarray(at + 1, at + 4)) writer.count(word);
    writer.byte(kindAt(words, at + 4));
    writeAddress(writer, words, at + 4);
    writer.count(this.gone.length + this.others.length);
    for (const isTuple of this.gone) writeGone(writer, isTuple);
    for (const index of this.others) writeFlow(writer, list, index);
    writer.part(this.singles);
  }
}

/** Writes all that is held, after memory that is only kept for reuse has been freed. */
export function writeHeld(writer: Writer, held: Held): void {
  const { core, manager } = held;
  const places = new Map<number, Place>();
  /** A flow of each place. */
  const known: number[] = [];
  const others: number[] = [];
  let singles = 0;
  let last = 0;
  let place = new Place(0);
  // Most often one address has nearly all connections. A part of the buffer without writes costs
  // nothing.
  const room = core.exports.counterCount(manager) * SINGLE_BYTES;
  core.exports.expectSingles(manager, 0);
  forEachRun(core, manager, (flow, binding, count, from, bytes) => {
    if (binding !== last) {
      place = places.get(binding) ?? new Place(places.size === 0 ? room : PLACE_ROOM);
      if (!places.has(binding)) known.push(flow);
      places.set(binding, place);
      last = binding;
    }
    singles += count;
    place.singleCount += count;
    if (count > 0) place.singles.copy(core.bytes, from, bytes);
    else place.others.push(others.push(flow) - 1);
  });
  settleAggregates(held, places.keys());
  const list = FlowList.ofFlows(core, others);
  const { words } = FlowList.ofFlows(core, known);
  for (const one of places.values()) putInOrder(one, list.words);
  const ordered = inOrder(words, [...places.values()]);
  writer.count(singles);
  writer.count(ordered.length);
  for (const { line, one } of ordered) one.write(writer, list, line, 0);
}

/**
 * Frees memory that the aggregates of these bindings, and of those that count them, only keep for
 * reuse.
 */
function settleAggregates({ core, manager }: Held, bindings: Iterable<number>): void {
  const settled = new Set([0]);
  for (const one of bindings) {
    for (let binding = one; !settled.has(binding); ) {
      settled.add(binding);
      binding = core.exports.settleAggregates(manager, binding);
    }
  }
}

// ── The order ─────────────────────────────────────────────────────────────────────────────

/** Leaves out flows without ports, and puts those first that aggregates do not count. */
function putInOrder(place: Place, words: Uint32Array): void {
  const { singleCount } = place;
  const isUncounted = (index: number): boolean =>
    ((words[index * LINE + 15] as number) & UNCOUNTED) !== 0;
  const held = place.others.filter((index) => holdsAny(words, index * LINE));
  place.others = firstOnes(held, isUncounted);
  place.gone = [false, true].filter((isTuple) => {
    const ofList = held.filter((index) => isOfTuple(words, index * LINE) === isTuple);
    const isThere = ofList.some((index) => isUncounted(index) && hasPorts(words, index * LINE));
    return !isThere && ofList.length + singleCount > 0;
  });
}

function isOfTuple(words: Uint32Array, at: number): boolean {
  return kindAt(words, at + 8) !== SINGLE_ANY;
}

function hasPorts(words: Uint32Array, at: number): boolean {
  return (words[at + 12] as number) >>> 16 !== 0;
}

/** A place, and a line of it. */
interface Placed {
  readonly line: Uint32Array;
  readonly one: Place;
}

/** The places that hold ports, in order, and before them those that have been freed. */
function inOrder(words: Uint32Array, places: readonly Place[]): Placed[] {
  const held = places
    .map((one, index) => ({ line: words.subarray(index * LINE, (index + 1) * LINE), one }))
    .filter(({ one }) => one.others.length + one.singleCount > 0)
    .sort((one, other) => compare(one.line, other.line));
  return [...withGone(firstOnes(firstOnes(held, hasInlineBinding), hasInlineHost))];
}

/** The first place of a space has the inline host, and the first of a host the inline binding. */
function* withGone(places: readonly Placed[]): Generator<Placed> {
  const known = new Set<string>();
  const isGone = (name: string, isInline: boolean): boolean => {
    const isFirst = !known.has(name);
    known.add(name);
    return isFirst && !isInline;
  };
  for (const placed of places) {
    const { line } = placed;
    const space = line.subarray(1, 3).join();
    const host = `${space} ${line.subarray(4, 8).join()}`;
    if (isGone(space, hasInlineHost(placed))) yield gonePlace(line, NO_ADDRESS, 4);
    if (isGone(host, hasInlineBinding(placed))) yield gonePlace(line, NO_DEVICE, 3);
    yield placed;
  }
}

/** A place like that of a line, but for some words. */
function gonePlace(line: Uint32Array, words: readonly number[], at: number): Placed {
  const other = line.slice();
  other.set(words, at);
  const one = new Place(0);
  one.gone = [false];
  return { line: other, one };
}

function hasInlineHost({ line }: Placed): boolean {
  return ((line[15] as number) & INLINE_HOST) !== 0;
}

function hasInlineBinding({ line }: Placed): boolean {
  return (line[14] as number) >>> 16 !== 0;
}

/** Compares the places of two lines: network, transport, device and address. */
function compare(one: Uint32Array, other: Uint32Array): number {
  for (let word = 1; word < 8; word++) {
    const by = (one[word] as number) - (other[word] as number);
    if (by !== 0) return by;
  }
  return 0;
}

/** The lines that come first, and then the others. */
function firstOnes<T>(items: Iterable<T>, isFirst: (item: T) => boolean): T[] {
  const all = [...items];
  return [...all.filter(isFirst), ...all.filter((item) => !isFirst(item))];
}

// ── Flows ─────────────────────────────────────────────────────────────────────────────────

/** A flow without ports: with a destination that no other has, or most likely none. */
function writeGone(writer: Writer, isTuple: boolean): void {
  const kind = isTuple ? SINGLE_IPV4 : SINGLE_ANY;
  writer.byte((kind << SINGLE_KIND_SHIFT) | SINGLE_HAS_PORT);
  if (isTuple) writer.word(0);
  writer.short(PORT_MAX);
  writer.ports([]);
}

function writeFlow(writer: Writer, list: FlowList, index: number): void {
  const extra = list.extraOf(index);
  writeEnds(writer, list.words, index * LINE, extra === undefined ? 0 : HAS_EXTRA);
  writer.ports(list.portsOf(index));
  if (extra === undefined) return;
  writer.count(extra.size);
  for (const [port, by] of extra) {
    writer.short(port);
    writer.word(by >>> 0);
  }
}

/** The flags and the destination of a line. */
function writeEnds(writer: Writer, words: Uint32Array, at: number, bits: number): void {
  const end = (words[at + 12] as number) & PORT_MAX;
  const kind = kindAt(words, at + 8) << SINGLE_KIND_SHIFT;
  writer.byte((words[at + 13] as number) | kind | (end === 0 ? 0 : SINGLE_HAS_PORT) | bits);
  writeAddress(writer, words, at + 8);
  if (end !== 0) writer.short(end);
}

export function kindAt(words: Uint32Array, at: number): number {
  if (words[at] !== 0 || words[at + 1] !== 0) return SINGLE_IPV6;
  if (words[at + 2] === MAPPED) return SINGLE_IPV4;
  return words[at + 2] === 0 && words[at + 3] === 0 ? SINGLE_ANY : SINGLE_IPV6;
}

export function writeAddress(writer: Writer, words: Uint32Array, at: number): void {
  const kind = kindAt(words, at);
  for (let word = kind === SINGLE_IPV4 ? 3 : 0; kind !== SINGLE_ANY && word < 4; word++) {
    writer.word(words[at + word] as number);
  }
}
