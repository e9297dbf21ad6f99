// Snapshot: all that decides how a manager answers, as bytes. restore.ts reads them in the same
// order:
//
//   settings      range, hint, memory limit, cooldown, clock, seed's state
//   selection     policy, its parameters and counters; its secret, if that is wanted
//   groups        trees, and the groups that are used, with the ranges that limit them
//   reserved      lists of reserved ports
//   held          by network, transport, device and address (places.ts)
//   pools         in the order in which they were opened, with what cools down and what is queued
//   reservations  those that cool down, and those that are in groups
//   places        where `sequential` goes on

import { SeededRandom } from "../core/random.ts";
import { isGone } from "../groups/group.ts";
import type { checkOpen } from "../open.ts";
import type { PoolRecord } from "../pool-record.ts";
import type { Address } from "../requests/address.ts";
import { writeKey as writeRequestKey } from "../requests/block.ts";
import type { Key } from "../requests/parsing.ts";
import type { PlaceInGroup, Reserving } from "../reserving.ts";
import { seal, Writer } from "./bytes.ts";
import { Tables } from "./group-tables.ts";
import type { HeldSource, Known } from "./held.ts";
import { kindAt, writeAddress, writeHeld } from "./places.ts";
import { writeSelection } from "./selections.ts";

/** What a snapshot is made of. */
interface StateSource extends HeldSource {
  readonly reserving: Reserving;
  readonly settings: ReturnType<typeof checkOpen>;
  readonly pools: Iterable<PoolRecord>;
  /** The latest time that cooldowns of reservations were given. */
  readonly clock: number;
}

/** All that decides how a manager answers. */
export function snapshotOf(source: StateSource, withSecrets: boolean): Uint8Array {
  const writer = new Writer();
  const pools = [...source.pools];
  const places = [...source.reserving.places].filter(([, { group }]) => !group || !isGone(group));
  const inPlaces = places.map(([, { group }]) => ({ group, reserved: undefined }));
  const keys = [...pools.map(({ key }) => key), ...keysOf(source.grouped)];
  const tables = new Tables([...keys, ...inPlaces]);
  for (const { cooling } of pools) cooling?.settle();
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
