// Snapshot of a system by the rules of Linux 6.18. restore.ts reads in the same order:
//
//   settings    those of all rules (linux/snapshot.ts); switches, times, the last numbers given out
//   machine     addresses, devices, the address that routing chooses
//   chance      of a seeded system: the key of connect()'s hash, its counters
//   groups      the trees and groups that sockets are in (state/snapshot.ts)
//   records     sockets, the oldest first, then TIME_WAITs in the order in which they end
//   listeners   the oldest of each port first, each with the connections that wait for accept()
//   buckets     of TCP ports: whether connect() may use them, what they remember of SO_REUSEPORT
//
// Records name each other by their number, from 2 on; 0 is no record, 1 an end outside of the
// system.

import { SeededRandom } from "../../../core/random.ts";
import { LINUX, seal, Writer } from "../../../state/bytes.ts";
import { Tables } from "../../../state/group-tables.ts";
import { lineOf, recordsOf } from "../../lines.ts";
import { writeAddress, writeSettings } from "../../snapshot.ts";
import { openOf } from "../../system.ts";
import {
  A_TIME_WAIT,
  BUCKET_OPEN,
  DELAY,
  DEVICE,
  DURATION,
  ENTERED,
  FIN_TIMEOUT,
  FLAGS,
  GROUP,
  HAS_RANGE,
  ID,
  IS_UDP,
  KIND,
  LISTENING,
  LOCAL,
  NEXT_LISTENER,
  ORDER,
  PEER,
  PORTS,
  RANGE,
  REMEMBERS,
  REMOTE,
  REMOTE_PORT,
  STATE,
  SWITCHES,
  TUPLE_THERE,
  TW_MAX,
  UDP_SLOTS,
  UID,
  WAITING,
  WHAT,
} from "./core.ts";
import type { System } from "./socket-options.ts";

export const COUNTERS = 65536;
/** Settings of the core, by their places. */
export const NUMBERS: readonly number[] = [
  SWITCHES,
  DELAY,
  TW_MAX,
  FIN_TIMEOUT,
  DURATION,
  UDP_SLOTS,
];
export const NO_SOCKET = 0;
export const FIRST_NUMBER = 2;

// ── Writing ───────────────────────────────────────────────────────────────────────────────

export function snapshot618(system: System): Uint8Array {
  const writer = new Writer();
  const at = openOf(system);
  const { linux } = system;
  const records = recordsOf(system);
  const numbers = new Map(records.map((record, index) => [record, index + FIRST_NUMBER]));
  const tables = new Tables(groupsOf(system, records));
  writeSettings(writer, system);
  writeOwnSettings(writer, system);
  writeChance(writer, system);
  tables.write(writer);
  writer.count(records.length);
  const listeners: number[] = [];
  const buckets = new Map<number, number>();
  for (const record of records) {
    const line = lineOf(system, record);
    const group = system.groups.get(line[GROUP] as number);
    writeRecord(writer, line, tables.groupOf({ group }), (other) => numbers.get(other) ?? other);
    if (isListener(line)) listeners.push(record);
    const state = line[STATE] as number;
    const port = (line[PORTS] as number) & 0xffff;
    const isTcp = line[WHAT] === A_TIME_WAIT || ((line[FLAGS] as number) & IS_UDP) === 0;
    if (port !== 0 && isTcp) buckets.set(port, state);
  }
  const ordered = inOrder(system, listeners);
  writer.count(ordered.length);
  for (const listener of ordered) writeListener(writer, system, listener, numbers);
  writer.count(buckets.size);
  for (const [port, state] of buckets) {
    writer.short(port);
    writer.byte((state & BUCKET_OPEN ? 1 : 0) | (state & REMEMBERS ? 2 : 0));
    if ((state & REMEMBERS) === 0) continue;
    linux.readLike(at, port);
    const { offsets } = system.core;
    writeAddress(writer, offsets, LOCAL);
    writer.count(offsets[UID] as number);
    writer.byte(offsets[KIND] as number);
  }
  return seal(writer.parts(), LINUX);
}

function isListener(line: Uint32Array): boolean {
  return line[WHAT] !== A_TIME_WAIT && (line[FLAGS] as number) >>> 24 === LISTENING;
}

function* groupsOf(system: System, records: readonly number[]) {
  for (const record of records) {
    const group = system.groups.get(lineOf(system, record)[GROUP] as number);
    yield { group, reserved: undefined };
  }
}

function writeOwnSettings(writer: Writer, system: System): void {
  const at = openOf(system);
  const { linux, addresses, devices, source } = system;
  for (const place of NUMBERS) writer.word(linux.setting(at, place) >>> 0);
  writer.float(-linux.reached(at, 0));
  writer.float(linux.reached(at, 1));
  writer.float(linux.reached(at, 2));
  writeList(writer, addresses, (address) => writer.text(address));
  writeList(writer, devices, (device) => writer.count(device));
  writer.text(source?.plain ?? "");
}

function writeList<T>(writer: Writer, list: ReadonlySet<T> | undefined, one: (t: T) => void): void {
  writer.byte(list === undefined ? 0 : 1);
  writer.count(list?.size ?? 0);
  for (const item of list ?? []) one(item);
}

/** The keys and counters of a system without a seed are not written. */
function writeChance(writer: Writer, system: System): void {
  const { random, linux } = system;
  if (!(random instanceof SeededRandom)) return;
  const at = openOf(system);
  for (let index = 0; index < 4; index++) writer.word(linux.secretOf(at, index) >>> 0);
  const counters: [index: number, value: number][] = [];
  for (let index = 0; index < COUNTERS; index++) {
    const value = linux.counter(at, index) >>> 0;
    if (value !== 0) counters.push([index, value]);
  }
  writer.count(counters.length);
  for (const [index, value] of counters) {
    writer.short(index);
    writer.word(value);
  }
}

function writeRecord(
  writer: Writer,
  line: Uint32Array,
  group: number,
  numberOf: (record: number) => number,
): void {
  const at = (index: number): number => line[index] as number;
  const isWait = at(WHAT) === A_TIME_WAIT;
  const flags = at(FLAGS);
  writer.byte(isWait ? 1 : 0);
  writer.byte(at(STATE) & ~(BUCKET_OPEN | REMEMBERS));
  writer.count(flags & 0xffffff);
  writer.count(at(DEVICE));
  writer.count(at(UID));
  writer.count(numberOf(at(PEER)));
  writer.short(at(PORTS) & 0xffff);
  writeAddress(writer, line, LOCAL);
  if (at(STATE) & TUPLE_THERE) {
    writeAddress(writer, line, REMOTE);
    writer.short(at(REMOTE_PORT));
  }
  if (isWait) {
    writer.byte(at(KIND));
    for (let index = 0; index < 4; index++) writer.word(at(ENTERED + index));
    return;
  }
  writer.byte(flags >>> 24);
  writer.count(at(ID));
  writer.count(at(ID + 1));
  writer.count(group);
  writer.short(at(PORTS) >>> 16);
  if (flags & HAS_RANGE) writer.word(at(RANGE));
  if (!(flags & IS_UDP)) return;
  writer.word(at(ORDER));
  writer.word(at(ORDER + 1));
}

/** Listeners, so that the oldest of a port comes first: the core knows the next older one. */
function inOrder(system: System, listeners: readonly number[]): number[] {
  const older = new Map(
    listeners.map((one) => [one, lineOf(system, one)[NEXT_LISTENER] as number]),
  );
  const notNewest = new Set(older.values());
  const ordered: number[] = [];
  for (const newest of listeners) {
    if (notNewest.has(newest)) continue;
    for (let one = newest; one !== NO_SOCKET; one = older.get(one) ?? NO_SOCKET) ordered.push(one);
  }
  return ordered.reverse();
}

function writeListener(
  writer: Writer,
  system: System,
  listener: number,
  numbers: ReadonlyMap<number, number>,
): void {
  writer.count(numbers.get(listener) as number);
  const waiting: number[] = [];
  let child = lineOf(system, listener)[WAITING] as number;
  for (; child !== NO_SOCKET; child = lineOf(system, child)[WAITING] as number) waiting.push(child);
  writer.count(waiting.length);
  for (const one of waiting) writer.count(numbers.get(one) as number);
}
