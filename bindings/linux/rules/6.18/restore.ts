// Restore: reads a snapshot (snapshot.ts) into a system that has just been opened for it. Where anything is
// wrong the caller closes that system, and nothing has changed.

import { typedArrayName } from "../../../core/brands.ts";
import { SeededRandom } from "../../../core/random.ts";
import { noMemory, wrongType } from "../../../errors.ts";
import { type PortGroup, PortGroups } from "../../../groups/group.ts";
import { groupAt } from "../../../requests/block.ts";
import { readOptions } from "../../../requests/checks.ts";
import { isRange } from "../../../requests/range.ts";
import { badSnapshot, LINUX, type Reader, unseal } from "../../../state/bytes.ts";
import { itemOf, readGroups } from "../../../state/group-tables.ts";
import { openOf } from "../../system.ts";
import {
  A_TIME_WAIT,
  DEVICE,
  ENDS,
  ENTERED,
  ESTABLISHED,
  FLAGS,
  GROUP,
  HALF_OPEN,
  HAS_RANGE,
  ID,
  IS_DUE,
  IS_PENDING,
  IS_UDP,
  KIND,
  LINE_WORDS,
  LISTENING,
  LOCAL,
  ONLY,
  ORDER,
  OUTSIDE,
  PART_OPEN,
  PORTS,
  RANGE,
  REMOTE,
  REMOTE_PORT,
  STATE,
  TUPLE_THERE,
  UID,
  WHAT,
} from "./core.ts";
import type { LinuxOptions } from "./options.ts";
import { COUNTERS, FIRST_NUMBER, NOBODY, NUMBERS } from "./snapshot.ts";
import { STATES, type System } from "./socket-options.ts";

/** How a snapshot is restored. */
export interface LinuxRestoreOptions {
  /** Bytes of memory that the records may take; the original's by default. */
  memoryLimit?: number | undefined;
  /** The tree that has the groups; by default new trees are made, with the ranges they had. */
  groups?: PortGroups | undefined;
  /** Where draws come from, for a system that was opened so or without a seed. */
  random?: (() => number) | undefined;
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module | undefined;
  /** `linux.wasm`, likewise. */
  linuxModule?: WebAssembly.Module | undefined;
}

const OPTION_NAMES = ["memoryLimit", "groups", "random", "module", "linuxModule"];
const STATE_MAX = STATES.length - 1;
const FLAGS_MAX = 0x1fff;

/** What a system is opened with, from a snapshot. */
interface BegunRestore {
  readonly reader: Reader;
  readonly options: LinuxOptions;
  readonly groups: PortGroups | undefined;
  readonly isSeeded: boolean;
  readonly numbers: readonly number[];
  readonly reached: readonly number[];
  readonly reserved: string;
}

/** A socket of a restored system. */
export interface RestoredSocket {
  readonly record: number;
  readonly flags: number;
  readonly uid: number;
  readonly group: PortGroup | undefined;
}

/**
 * Checks the arguments, and reads what the system is to be opened with.
 * @throws PortError `EINVAL` (`invalid-snapshot`), and those of bad arguments.
 */
export function beginRestore618(snapshot: unknown, given: LinuxRestoreOptions): BegunRestore {
  if (typedArrayName(snapshot) !== "Uint8Array") {
    throw wrongType("snapshot", "a Uint8Array, as snapshot() makes it", snapshot);
  }
  const { groups, memoryLimit, ...others } = readOptions("options", given, OPTION_NAMES);
  if (groups !== undefined && !(groups instanceof PortGroups)) {
    throw wrongType("groups", "a PortGroups", groups);
  }
  const reader = unseal(snapshot as Uint8Array, LINUX);
  const [first, last] = [reader.short(), reader.short()];
  if (!isRange(first, last)) throw badSnapshot(`${first}..${last} is no range`);
  const start = reader.count(first);
  const numbers = NUMBERS.map(() => reader.word());
  const time = reader.float();
  const limit = reader.word();
  const reached = [-reader.float(), reader.float(), reader.float()];
  const reserved = reader.text();
  const addresses = readList(reader, () => reader.text());
  const devices = readList(reader, () => reader.count());
  const source = reader.text();
  const isSeeded = reader.byte(1) === 1;
  const options: LinuxOptions = {
    ...others,
    seed: isSeeded && others.random === undefined ? 0 : undefined,
    portRange: { first, last },
    unprivilegedPortStart: start,
    time,
    memoryLimit: memoryLimit ?? limit,
    addresses,
    devices,
    localAddress: source === "" ? undefined : source,
    udpHashSlots: numbers.at(-1),
    timeWaitMs: numbers.at(-2),
  };
  return { reader, options, groups, isSeeded, numbers, reached, reserved };
}

function readList<T>(reader: Reader, one: () => T): T[] | undefined {
  const isThere = reader.byte(1) === 1;
  const list = Array.from({ length: reader.count(65535) }, one);
  return isThere ? list : undefined;
}

/** Whence a restored system has its chance: the seed's state, or keys made anew. */
function readChance({ reader, isSeeded }: BegunRestore, system: System): void {
  const at = openOf(system);
  if (!isSeeded) return;
  const state = reader.word();
  if (system.random instanceof SeededRandom) system.random.state = state;
  for (let index = 0; index < 4; index++) system.linux.secret(at, index, reader.word());
  for (let left = reader.count(COUNTERS); left > 0; left--) {
    if (system.linux.setCounter(at, reader.short(), reader.word()) === 0) throw full(system);
  }
}

function full({ limit }: System): Error {
  return noMemory(`a snapshot, limit ${limit} bytes`);
}

/**
 * Reads all that comes behind the chance into the system: its sockets, but for those that wait for
 * accept(). The trees that are made are added to the list.
 */
export function restore618(
  begun: BegunRestore,
  system: System,
  made: PortGroups[],
): RestoredSocket[] {
  const { reader, numbers, reached } = begun;
  const { linux } = system;
  const at = openOf(system);
  for (const [index, place] of NUMBERS.entries()) linux.set(at, place, numbers[index] as number);
  readChance(begun, system);
  const groups = readGroups(reader, { module: begun.options.module }, begun.groups, made);
  if (reader.count() !== 0) throw badSnapshot("a list of reserved ports is too many");
  const records = new Records(reader, system, groups);
  records.readAll();
  const waiting = records.readListeners();
  records.readBuckets();
  if (reader.left > 0) throw badSnapshot("it goes on behind its end");
  for (const [what, value] of reached.entries()) linux.setReached(at, what, value);
  return records.sockets.filter(({ record }) => !waiting.has(record));
}

/** The records of a snapshot, as they become records of a system. */
class Records {
  readonly sockets: RestoredSocket[] = [];
  readonly #reader: Reader;
  readonly #system: System;
  readonly #groups: readonly (PortGroup | undefined)[];
  readonly #records: number[] = [];
  readonly #peers: number[] = [];
  readonly #listeners = new Set<number>();
  readonly #ports = new Set<number>();
  readonly #ids = new Set<number>();
  /** Which of the records are TIME_WAITs. */
  readonly #waits = new Set<number>();
  #latest = [0, 0];

  constructor(reader: Reader, system: System, groups: readonly (PortGroup | undefined)[]) {
    this.#reader = reader;
    this.#system = system;
    this.#groups = groups;
  }

  readAll(): void {
    for (let left = this.#reader.count(); left > 0; left--) this.#readOne();
    for (const [index, peer] of this.#peers.entries()) this.#link(index, peer);
  }

  /** @returns the records that wait for accept(). */
  readListeners(): ReadonlySet<number> {
    const reader = this.#reader;
    const { linux } = this.#system;
    const waiting = new Set<number>();
    const connections = new Set(this.sockets.map(({ record }) => record));
    const listeners = new Set(this.#listeners);
    for (let left = reader.count(); left > 0; left--) {
      const listener = this.#numbered(reader.count());
      if (!listeners.delete(listener)) throw badSnapshot("a listener does not listen");
      if (linux.linkListener(listener) === 0) throw full(this.#system);
      for (let more = reader.count(); more > 0; more--) {
        const child = this.#numbered(reader.count());
        const isFree = connections.has(child) && !this.#listeners.has(child) && !waiting.has(child);
        if (!isFree) throw badSnapshot("what waits is no connection");
        linux.linkWaiting(listener, child);
        waiting.add(child);
      }
    }
    if (listeners.size > 0) throw badSnapshot("a listener is missing");
    return waiting;
  }

  readBuckets(): void {
    const reader = this.#reader;
    const { linux } = this.#system;
    const ports = new Set(this.#ports);
    for (let left = reader.count(65535); left > 0; left--) {
      const port = reader.short();
      if (!ports.delete(port)) throw badSnapshot(`nobody has port ${port}`);
      const bits = reader.byte(3);
      const line = this.#line();
      if (bits & 2) {
        this.#readAddress(line, LOCAL);
        line[UID] = reader.count();
        line[KIND] = reader.byte(3);
      }
      if (linux.restoreBucket(openOf(this.#system), port, bits & 1, bits & 2) === 0) {
        throw full(this.#system);
      }
    }
    if (ports.size > 0) throw badSnapshot("a bucket is missing");
  }

  #readOne(): void {
    const reader = this.#reader;
    const line = this.#line();
    const isWait = reader.byte(1) === 1;
    const state = reader.byte(TUPLE_THERE | IS_DUE | PART_OPEN);
    const flags = reader.count(isWait ? 15 : FLAGS_MAX);
    line[WHAT] = isWait ? A_TIME_WAIT : 1;
    line[STATE] = state;
    line[FLAGS] = flags;
    line[DEVICE] = reader.count();
    line[UID] = reader.count();
    this.#peers.push(reader.count());
    const port = reader.short();
    line[PORTS] = port;
    this.#readAddress(line, LOCAL);
    if (state & TUPLE_THERE) {
      this.#readAddress(line, REMOTE);
      line[REMOTE_PORT] = reader.short();
    }
    const group = isWait ? this.#readWait(line, port) : this.#readSocket(line, port);
    const record = this.#system.linux.restoreRecord(openOf(this.#system)) >>> 0;
    if (record === 0) throw full(this.#system);
    if (record === 1) throw badSnapshot("a connection comes twice");
    this.#records.push(record);
    const isTcp = isWait || (flags & IS_UDP) === 0;
    if (port !== 0 && isTcp) this.#ports.add(port);
    if (isWait) {
      this.#waits.add(this.#records.length - 1);
      return;
    }
    if ((line[FLAGS] as number) >>> 24 === LISTENING) this.#listeners.add(record);
    this.sockets.push({ record, flags, uid: line[UID] as number, group });
  }

  #readWait(line: Uint32Array, port: number): undefined {
    const reader = this.#reader;
    const state = line[STATE] as number;
    const flags = line[FLAGS] as number;
    line[KIND] = reader.byte(ONLY | 3) & (ONLY | 3);
    for (let index = 0; index < 4; index++) line[ENTERED + index] = reader.word();
    const ends = (line[ENDS] as number) + (line[ENDS + 1] as number) * 2 ** 32;
    const queue = flags & HALF_OPEN;
    const peer = this.#peers.at(-1) as number;
    if (ends < (this.#latest[queue] as number)) throw badSnapshot("TIME_WAITs are out of order");
    this.#latest[queue] = ends;
    const isPending = (flags & IS_PENDING) !== 0;
    const isEarly = isPending && (queue !== 0 || (state & IS_DUE) !== 0);
    const isLinked = peer === OUTSIDE || (peer !== NOBODY && queue === 0);
    if (port === 0 || (state & TUPLE_THERE) === 0 || isEarly || isLinked) {
      throw badSnapshot("a TIME_WAIT contradicts itself");
    }
    return undefined;
  }

  #readSocket(line: Uint32Array, port: number): PortGroup | undefined {
    const reader = this.#reader;
    const flags = line[FLAGS] as number;
    const state = reader.byte(STATE_MAX);
    line[FLAGS] = (flags | (state << 24)) >>> 0;
    const [low, high] = [reader.count(), reader.count(0x1fffff)];
    line[ID] = low;
    line[ID + 1] = high;
    const group = itemOf(this.#groups, reader.count());
    line[PORTS] = (port | (reader.short() << 16)) >>> 0;
    line[RANGE] = flags & HAS_RANGE ? reader.word() : 0;
    const isUdp = (flags & IS_UDP) !== 0;
    if (isUdp) {
      line[ORDER] = reader.word();
      line[ORDER + 1] = reader.word();
    }
    const id = low + high * 2 ** 32;
    const hasTuple = ((line[STATE] as number) & TUPLE_THERE) !== 0;
    const isConnected = !isUdp && state >= ESTABLISHED;
    const isWrong =
      hasTuple !== isConnected ||
      (!hasTuple && this.#peers.at(-1) !== NOBODY) ||
      (port === 0 && (hasTuple || state === LISTENING)) ||
      (isUdp && state !== 0 && state !== ESTABLISHED);
    if (isWrong || this.#ids.has(id)) throw badSnapshot("a socket contradicts itself");
    this.#ids.add(id);
    if (group !== undefined) {
      line[GROUP] = groupAt(this.#system.core, group);
      this.#system.groups.set(line[GROUP], group);
    }
    return group;
  }

  #readAddress(line: Uint32Array, at: number): void {
    const kind = this.#reader.byte(4);
    if (kind === 2 || kind === 3) throw badSnapshot("an address is of no kind");
    line.fill(0, at, at + 4);
    if (kind === 1) line[at + 2] = 0xffff0000;
    for (let index = 4 - kind; index < 4; index++) line[at + index] = this.#reader.word();
  }

  /** Two records are each other's peers, or a socket its own. */
  #link(index: number, peer: number): void {
    const record = this.#records[index] as number;
    if (peer === NOBODY) return;
    const isMutual = this.#peers[peer - FIRST_NUMBER] === index + FIRST_NUMBER;
    const areWaits = this.#waits.has(index) && this.#waits.has(peer - FIRST_NUMBER);
    if (peer !== OUTSIDE && (!isMutual || areWaits)) throw badSnapshot("a connection has one end");
    const other = peer === OUTSIDE ? OUTSIDE : this.#numbered(peer);
    this.#system.linux.linkPeer(record, other);
  }

  #numbered(number: number): number {
    return itemOf(this.#records, number - FIRST_NUMBER);
  }

  #line(): Uint32Array {
    this.#system.core.written = undefined;
    return this.#system.core.offsets.subarray(0, LINE_WORDS).fill(0);
  }
}
