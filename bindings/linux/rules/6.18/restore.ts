// Restore: reads a snapshot (snapshot.ts) into a system that has just been opened for it. Where anything is
// wrong the caller closes that system, and nothing has changed.

import type { PortGroup, PortGroups } from "../../../groups/group.ts";
import { groupAt } from "../../../requests/block.ts";
import { badSnapshot, LINUX, type Reader } from "../../../state/bytes.ts";
import { itemOf } from "../../../state/group-tables.ts";
import { emptyLine } from "../../lines.ts";
import {
  type BegunRestore,
  beginRestore,
  groupsIn,
  type LinuxRestoreOptions,
  readAddress,
  restoreSeed,
  tooLarge,
} from "../../snapshot.ts";
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
  IS_LAST,
  IS_PENDING,
  IS_UDP,
  KIND,
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
  UNANSWERED,
  WHAT,
} from "./core.ts";
import type { LinuxOptions } from "./options.ts";
import { COUNTERS, FIRST_NUMBER, NO_SOCKET, NUMBERS } from "./snapshot.ts";
import { STATES, type System } from "./socket-options.ts";

const STATE_MAX = STATES.length - 1;
const FLAGS_MAX = 0x3fff;

/** A snapshot whose settings have been read, with which the system is opened. */
interface BegunRestore618 {
  readonly begun: BegunRestore;
  readonly options: LinuxOptions;
  readonly numbers: readonly number[];
  readonly reached: readonly number[];
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
export function beginRestore618(snapshot: unknown, given: LinuxRestoreOptions): BegunRestore618 {
  const begun = beginRestore(snapshot, given, LINUX);
  const { reader } = begun;
  const numbers = NUMBERS.map(() => reader.word());
  const reached = [-reader.float(), reader.float(), reader.float()];
  const addresses = readList(reader, () => reader.text());
  const devices = readList(reader, () => reader.count());
  const source = reader.text();
  const options: LinuxOptions = {
    ...begun.options,
    addresses,
    devices,
    localAddress: source === "" ? undefined : source,
    udpHashSlots: numbers.at(-1),
    timeWaitMs: numbers.at(-2),
  };
  return { begun, options, numbers, reached };
}

function readList<T>(reader: Reader, one: () => T): T[] | undefined {
  const isThere = reader.byte(1) === 1;
  const list = Array.from({ length: reader.count(65535) }, one);
  return isThere ? list : undefined;
}

/** Reads a restored system's source of random numbers: the seed's state, or new keys. */
function readChance(begun: BegunRestore, system: System): void {
  const at = openOf(system);
  const { reader, seedState } = begun;
  restoreSeed(begun, system.random);
  if (seedState === undefined) return;
  for (let index = 0; index < 4; index++) system.linux.secret(at, index, reader.word());
  for (let left = reader.count(COUNTERS); left > 0; left--) {
    if (system.linux.setCounter(at, reader.short(), reader.word()) === 0) throw tooLarge(system);
  }
}

/**
 * Reads the rest of the snapshot into the system, and returns its sockets, but for those that wait
 * for accept(). The trees that are made are added to the list.
 */
export function restore618(
  { begun, numbers, reached }: BegunRestore618,
  system: System,
  made: PortGroups[],
): RestoredSocket[] {
  const { reader } = begun;
  const { linux } = system;
  const at = openOf(system);
  for (const [index, place] of NUMBERS.entries()) linux.set(at, place, numbers[index] as number);
  readChance(begun, system);
  const groups = groupsIn(begun, made);
  const records = new Records(reader, system, groups);
  records.readAll();
  const waiting = records.readListeners();
  records.readBuckets();
  reader.end();
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
      if (linux.linkListener(listener) === 0) throw tooLarge(this.#system);
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
      if (!ports.delete(port)) throw badSnapshot(`no socket has port ${port}`);
      const bits = reader.byte(3);
      const line = emptyLine(this.#system.core);
      if (bits & 2) {
        readAddress(reader, line, LOCAL);
        line[UID] = reader.count();
        line[KIND] = reader.byte(3);
      }
      if (linux.restoreBucket(openOf(this.#system), port, bits & 1, bits & 2) === 0) {
        throw tooLarge(this.#system);
      }
    }
    if (ports.size > 0) throw badSnapshot("a bucket is missing");
  }

  #readOne(): void {
    const reader = this.#reader;
    const line = emptyLine(this.#system.core);
    const isWait = reader.byte(1) === 1;
    const state = reader.byte(TUPLE_THERE | IS_DUE | PART_OPEN);
    const flags = reader.count(isWait ? 63 : FLAGS_MAX);
    line[WHAT] = isWait ? A_TIME_WAIT : 1;
    line[STATE] = state;
    line[FLAGS] = flags;
    line[DEVICE] = reader.count();
    line[UID] = reader.count();
    this.#peers.push(reader.count());
    const port = reader.short();
    line[PORTS] = port;
    readAddress(reader, line, LOCAL);
    if (state & TUPLE_THERE) {
      readAddress(reader, line, REMOTE);
      line[REMOTE_PORT] = reader.short();
    }
    const group = isWait ? this.#readWait(line, port) : this.#readSocket(line, port);
    const record = this.#system.linux.restoreRecord(openOf(this.#system)) >>> 0;
    if (record === 0) throw tooLarge(this.#system);
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
    const isUnanswered = (flags & UNANSWERED) !== 0;
    const isLinked = peer === OUTSIDE || (peer !== NO_SOCKET && (queue === 0 || isUnanswered));
    const isAnswered = (isUnanswered && queue === 0) || (!isUnanswered && flags >= IS_LAST);
    if (port === 0 || (state & TUPLE_THERE) === 0 || isEarly || isLinked || isAnswered) {
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
      (!hasTuple && this.#peers.at(-1) !== NO_SOCKET) ||
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

  /** Two records are each other's peers, or a socket its own. */
  #link(index: number, peer: number): void {
    const record = this.#records[index] as number;
    if (peer === NO_SOCKET) return;
    const isMutual = this.#peers[peer - FIRST_NUMBER] === index + FIRST_NUMBER;
    const areWaits = this.#waits.has(index) && this.#waits.has(peer - FIRST_NUMBER);
    if (peer !== OUTSIDE && (!isMutual || areWaits)) throw badSnapshot("a connection has one end");
    const other = peer === OUTSIDE ? OUTSIDE : this.#numbered(peer);
    this.#system.linux.linkPeer(record, other);
  }

  #numbered(number: number): number {
    return itemOf(this.#records, number - FIRST_NUMBER);
  }
}
