// Snapshot: all that decides how a manager answers, as bytes. restore.ts reads them in the same
// order:
//
//   settings      range, hint, memory limit, cooldown, clock, seed's state
//   selection     policy, its parameters and counters; its secret, if that is wanted
//   groups        trees, and the groups that are used, with the ranges that limit them
//   reserved      lists of reserved ports
//   held          by network, transport, device and address: destinations with their ports, and the
//                 counts that are not one; then those with one port, as the core reads them
//                 (netstack/singles.ts). The flows that aggregates do not count come first, and
//                 addresses are in order otherwise, so that the same aggregates are made again
//   pools         in the order in which they were opened, with what cools down and what is queued
//   reservations  those that cool down, and those that are in groups
//   places        where `sequential` goes on

import {
  LINE_BYTES,
  PORT_MAX,
  SINGLE_ANY,
  SINGLE_HAS_PORT,
  SINGLE_IPV4,
  SINGLE_IPV6,
  SINGLE_KIND_SHIFT,
} from "../../assembly/abi.ts";
import { SeededRandom } from "../core/random.ts";
import { isGone } from "../groups/group.ts";
import type { checkOpen } from "../open.ts";
import type { PoolRecord } from "../pool-record.ts";
import type { Address } from "../requests/address.ts";
import { writeKey as writeRequestKey } from "../requests/block.ts";
import type { Key } from "../requests/parsing.ts";
import type { PlaceInGroup, Reserving } from "../reserving.ts";
import { seal, Writer } from "./bytes.ts";
import { FlowList, forEachRun, holdsAny } from "./flow-list.ts";
import { Tables } from "./group-tables.ts";
import type { HeldSource, Known } from "./held.ts";
import { writeSelection } from "./selections.ts";

/** What a snapshot is made of. */
interface StateSource extends HeldSource {
  readonly reserving: Reserving;
  readonly settings: ReturnType<typeof checkOpen>;
  readonly pools: Iterable<PoolRecord>;
  /** The latest time that cooldowns of reservations were given. */
  readonly clock: number;
}

const LINE = LINE_BYTES >> 2;
const MAPPED = 0xffff0000;
/** Bytes of an accepted IPv4 connection, and of a place of few. */
const SINGLE_BYTES = 9;
const PLACE_ROOM = 64;
/** Bits of a line's last word. */
const UNCOUNTED = 2;
const UNAGGREGATED = 4;

/** A bit of the byte that begins a flow, which is otherwise that of a single (assembly/abi.ts). */
export const HAS_EXTRA: number = 1 << 7;

/** All that decides how a manager answers. */
export function snapshotOf(source: StateSource, withSecrets: boolean): Uint8Array {
  const writer = new Writer();
  const pools = [...source.pools];
  const places = [...source.reserving.places].filter(([, { group }]) => !group || !isGone(group));
  const inPlaces = places.map(([, { group }]) => ({ group, reserved: undefined }));
  const keys = [...pools.map(({ key }) => key), ...keysOf(source.grouped)];
  const tables = new Tables([...keys, ...inPlaces]);
  writeSettings(writer, source);
  writeSelection(writer, source.core, source.reserving.selection, withSecrets);
  tables.write(writer);
  writeHeld(writer, source);
  writer.count(pools.length);
  for (const pool of pools) writePool(writer, pool, tables);
  const isHeld = ({ key, port }: Known): boolean => {
    writeRequestKey(source.core, { ...key, group: undefined, reserved: undefined });
    return source.core.exports.isHeld(source.manager, port) !== 0;
  };
  const cooling = [...source.cooling].filter(isHeld);
  writer.count(cooling.length);
  for (const one of cooling) {
    writeKnown(writer, one, tables);
    writer.float(one.due);
  }
  const seen = new Set(cooling.map(({ id }) => id));
  const grouped = [...source.grouped].filter((one) => !seen.has(one.id) && isHeld(one));
  writer.count(grouped.length);
  for (const one of grouped) writeKnown(writer, one, tables);
  writePlaces(writer, places, tables);
  return seal(writer.parts());
}

function* keysOf(known: Iterable<Known>): Generator<Key> {
  for (const { key } of known) yield key;
}

function writeSettings(
  writer: Writer,
  { core, manager, settings, reserving, clock }: StateSource,
): void {
  const { first, last } = reserving.range();
  const { random, limit, cooldown } = settings;
  writer.short(first);
  writer.short(last);
  writer.word(core.exports.hint(manager) >>> 0);
  writer.word(limit);
  writer.count(cooldown.period);
  writer.byte(cooldown.whenCooling === "oldest" ? 1 : 0);
  writer.float(clock);
  writer.byte(random instanceof SeededRandom ? 1 : 0);
  if (random instanceof SeededRandom) writer.word(random.state);
}

// ── What is held ──────────────────────────────────────────────────────────────────────────

/** What is held at one local address: singles as the core reads them, and other flows. */
class Place {
  readonly singles: Writer;
  singleCount = 0;
  /** Numbers of others in the list. */
  others: number[] = [];

  /** @param room bytes that singles may take before they are moved. */
  constructor(room: number) {
    this.singles = new Writer(room);
  }

  /** @param words a line of the place; `at`: where it begins. */
  write(writer: Writer, list: FlowList, words: Uint32Array, at: number): void {
    for (const word of words.subarray(at + 1, at + 4)) writer.count(word);
    writer.byte(kindAt(words, at + 4));
    writeAddress(writer, words, at + 4);
    writer.count(this.others.length);
    for (const index of this.others) writeFlow(writer, list, index);
    writer.part(this.singles);
  }
}

function writeHeld(writer: Writer, { core, manager }: StateSource): void {
  const places = new Map<number, Place>();
  /** A flow of each place. */
  const known: number[] = [];
  const others: number[] = [];
  let singles = 0;
  let last = 0;
  let place = new Place(0);
  // Most often one address has nearly all connections. What is not written to costs nothing.
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
  settleAggregates({ core, manager }, places.keys());
  const list = FlowList.ofFlows(core, others);
  const lines = FlowList.ofFlows(core, known);
  const has = (bit: number) => (index: number) =>
    ((list.words[index * LINE + 15] as number) & bit) !== 0;
  for (const one of places.values()) {
    one.others = one.others.filter((index) => holdsAny(list.words, index * LINE));
  }
  const sorted = [...[...places.values()].entries()]
    .filter(([, { others, singleCount }]) => others.length + singleCount > 0)
    .sort(([one], [other]) => inOrder(lines.words, one, other));
  const ordered = firstOnes(sorted, ([, { others }]) => others.some(has(UNAGGREGATED)));
  writer.count(singles);
  writer.count(ordered.length);
  for (const [index, one] of ordered) {
    one.others = firstOnes(one.others, has(UNCOUNTED));
    one.write(writer, list, lines.words, index * LINE);
  }
}

/** Frees what the aggregates of these bindings keep and do not need, and of those that count them. */
function settleAggregates(
  { core, manager }: Pick<HeldSource, "core" | "manager">,
  bindings: Iterable<number>,
): void {
  const settled = new Set([0]);
  for (const one of bindings) {
    for (let binding = one; !settled.has(binding); ) {
      settled.add(binding);
      binding = core.exports.settleAggregates(manager, binding);
    }
  }
}

/** Compares the places of two lines: network, transport, device and address. */
function inOrder(words: Uint32Array, one: number, other: number): number {
  for (let word = 1; word < 8; word++) {
    const by = (words[one * LINE + word] as number) - (words[other * LINE + word] as number);
    if (by !== 0) return by;
  }
  return 0;
}

/** Those that come first, and then the others. */
function firstOnes<T>(items: Iterable<T>, isFirst: (item: T) => boolean): T[] {
  const all = [...items];
  return [...all.filter(isFirst), ...all.filter((item) => !isFirst(item))];
}

/** The flags and the destination of a line. */
function writeEnds(writer: Writer, words: Uint32Array, at: number, bits: number): void {
  const end = (words[at + 12] as number) & PORT_MAX;
  const kind = kindAt(words, at + 8) << SINGLE_KIND_SHIFT;
  writer.byte((words[at + 13] as number) | kind | (end === 0 ? 0 : SINGLE_HAS_PORT) | bits);
  writeAddress(writer, words, at + 8);
  if (end !== 0) writer.short(end);
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

function kindAt(words: Uint32Array, at: number): number {
  if (words[at] !== 0 || words[at + 1] !== 0) return SINGLE_IPV6;
  if (words[at + 2] === MAPPED) return SINGLE_IPV4;
  return words[at + 2] === 0 && words[at + 3] === 0 ? SINGLE_ANY : SINGLE_IPV6;
}

function writeAddress(writer: Writer, words: Uint32Array, at: number): void {
  const kind = kindAt(words, at);
  for (let word = kind === SINGLE_IPV4 ? 3 : 0; kind !== SINGLE_ANY && word < 4; word++) {
    writer.word(words[at + word] as number);
  }
}

// ── Pools and reservations ────────────────────────────────────────────────────────────────

function writeKey(writer: Writer, key: Key): void {
  writer.count(key.networks.length);
  for (const network of key.networks) writer.count(network);
  writer.count(key.transport);
  writer.count(key.device);
  writeEnd(writer, key.address);
  writeEnd(writer, key.destination);
  writer.short(key.destinationPort);
  writer.byte(key.flags);
}

function writeEnd(writer: Writer, { words }: Address): void {
  const all = Uint32Array.from(words);
  writer.byte(kindAt(all, 0));
  writeAddress(writer, all, 0);
}

function writeKnown(writer: Writer, { key, port }: Known, tables: Tables): void {
  writeKey(writer, key);
  writer.short(port);
  writer.count(tables.groupOf(key));
}

function writePool(
  writer: Writer,
  { core, handle, key, kind, cooling }: PoolRecord,
  tables: Tables,
): void {
  const { cooldown } = kind;
  writeKey(writer, key);
  writer.count(tables.groupOf(key));
  writer.count(tables.listOf(key));
  writer.byte(kind.mode);
  writer.byte((kind.isUnique ? 1 : 0) | (kind.isOrdered ? 2 : 0));
  writer.count(cooldown.period);
  writer.byte(cooldown.whenCooling === "oldest" ? 1 : 0);
  writer.short(kind.avoid ?? 0);
  writer.word(core.exports.placeOf(handle) >>> 0);
  if (cooling === undefined) return;
  const { clock, ports } = cooling.picture();
  writer.float(clock);
  writer.count(ports.length);
  for (const { port, age } of ports) {
    writer.short(port);
    writer.byte(age);
  }
  const { offered, queued } = cooling.order();
  writer.ports(offered);
  writer.count(queued.length);
  for (const port of queued) writer.short(port);
}

function writePlaces(
  writer: Writer,
  places: readonly [name: string, place: PlaceInGroup][],
  tables: Tables,
): void {
  writer.count(places.length);
  for (const [name, place] of places) {
    writer.text(name.slice(0, name.lastIndexOf(" ")));
    writer.count(tables.groupOf(place));
    writer.word(place.index >>> 0);
  }
}
