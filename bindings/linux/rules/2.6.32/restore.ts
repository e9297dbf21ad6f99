// Restore: reads a snapshot (snapshot.ts) into a system that has just been opened for it.

import { INSIDE } from "../../../core/inside.ts";
import type { PortGroup, PortGroups } from "../../../groups/group.ts";
import { badSnapshot, blamed, LINUX_2632, type Reader } from "../../../state/bytes.ts";
import { itemOf } from "../../../state/group-tables.ts";
import { type ReadSelection, readSelection, restoreCounters } from "../../../state/selections.ts";
import { emptyLine } from "../../lines.ts";
import {
  beginRestore,
  groupsIn,
  type Linux2632RestoreOptions,
  readAddress,
  restoreSeed,
  tooLarge,
} from "../../snapshot.ts";
import { openOf } from "../../system.ts";
import { Linux2632Ports } from "./ports.ts";
import {
  BITS,
  DEVICE,
  DUE,
  ENTERED,
  FASTREUSE,
  GROUP,
  HAS_REMOTE,
  ID,
  IS_DUE,
  LOCAL,
  PORT,
  REMOTE,
  REMOTE_PORT,
  STATE,
  UDP,
} from "./records.ts";
import { groupIn, Linux2632Socket } from "./socket.ts";
import { STATES, type System } from "./socket-options.ts";

const CLOSED = 0;
const LISTENING = 1;
const CONNECTED = 2;
const BITS_MAX = 127;
const DEVICE_MAX = 0x7fffffff;
const SECOND = 1000;
/** How many seconds ahead a TIME_WAIT may become due. */
const AHEAD = 2;

/** A policy, and where `sequential` goes on. */
interface ReadPolicy extends ReadSelection {
  readonly index: number;
}

/** @throws PortError `EINVAL` (`invalid-snapshot`), `ENOBUFS`, and those of bad arguments. */
export function restore2632(snapshot: unknown, given: Linux2632RestoreOptions): Linux2632Ports {
  const begun = beginRestore(snapshot, given, LINUX_2632);
  const { reader, options } = begun;
  const timeWaitMs = reader.word();
  const tcpTwReuse = reader.byte(1) as 0 | 1;
  const hint = reader.word();
  const lastId = reader.word();
  const localAddress = reader.text();
  const settings = { ...options, timeWaitMs, tcpTwReuse, hint, localAddress };
  const [bind, connect] = [readPolicy(reader), readPolicy(reader)];
  const by = { bind: bind.selection, connect: connect.selection };
  const fill = (system: System, made: PortGroups[]): Linux2632Socket[] => {
    restoreSeed(begun, system.random);
    restorePolicy(system, "bindSelection", bind);
    restorePolicy(system, "connectSelection", connect);
    const sockets = new Records(reader, system, groupsIn(begun, made), lastId).readAll();
    reader.end();
    system.linux.restoreLastId(openOf(system), lastId);
    return sockets;
  };
  return blamed(() => Linux2632Ports.open(settings, INSIDE, { by, fill }));
}

function readPolicy(reader: Reader): ReadPolicy {
  return { ...readSelection(reader), index: reader.word() };
}

function restorePolicy(
  system: System,
  name: "bindSelection" | "connectSelection",
  { counters, index }: ReadPolicy,
): void {
  restoreCounters(system.core, system[name], counters);
  system[name].place.index = index;
}

/** The records of a snapshot, as they become records of a system. */
class Records {
  readonly #reader: Reader;
  readonly #system: System;
  readonly #groups: readonly (PortGroup | undefined)[];
  readonly #lastId: number;
  /** The ports that have a bucket, and their fastreuse. */
  readonly #fastreuse = new Map<number, number>();
  #id = 0;
  /** When the last TIME_WAIT became one; and when the last ones become due, by parity. */
  #entered = 0;
  readonly #due = [0, 0];

  constructor(
    reader: Reader,
    system: System,
    groups: readonly (PortGroup | undefined)[],
    lastId: number,
  ) {
    this.#reader = reader;
    this.#system = system;
    this.#groups = groups;
    this.#lastId = lastId;
  }

  readAll(): Linux2632Socket[] {
    const sockets: Linux2632Socket[] = [];
    for (let left = this.#reader.count(); left > 0; left--) {
      const socket = this.#readOne();
      if (socket !== undefined) sockets.push(socket);
    }
    return sockets;
  }

  #readOne(): Linux2632Socket | undefined {
    const reader = this.#reader;
    const { linux } = this.#system;
    const line = emptyLine(this.#system.core);
    const id = reader.count();
    const bits = reader.byte(BITS_MAX);
    line[ID] = id;
    line[BITS] = bits;
    line[STATE] = reader.byte(STATES.length - 1);
    const device = reader.count(DEVICE_MAX);
    line[DEVICE] = device;
    const group = itemOf(this.#groups, reader.count());
    line[GROUP] = groupIn(this.#system, group);
    line[PORT] = reader.short();
    line[FASTREUSE] = reader.byte(2) - 1;
    readAddress(reader, line, LOCAL);
    if (bits & HAS_REMOTE) {
      readAddress(reader, line, REMOTE);
      line[REMOTE_PORT] = reader.short();
    }
    if (id === 0) this.#readWait(line);
    if (!this.#isSound(line)) throw badSnapshot("a socket contradicts itself");
    const record = linux.restoreRecord(openOf(this.#system)) >>> 0;
    if (record === 0) throw tooLarge(this.#system);
    if (record === 1) throw badSnapshot("a connection comes twice");
    if (id === 0) return undefined;
    return new Linux2632Socket(this.#system, record, bits & UDP ? "udp" : "tcp", group, device);
  }

  #readWait(line: Uint32Array): void {
    const reader = this.#reader;
    const entered = reader.float();
    const due = reader.word();
    new DataView(line.buffer, line.byteOffset).setFloat64(4 * ENTERED, entered, true);
    line[DUE] = due;
    const now = this.#system.linux.currentTime(openOf(this.#system));
    const isPending = due !== 0 && ((line[BITS] as number) & IS_DUE) === 0;
    const isLate = due > Math.floor(now / SECOND) + AHEAD;
    const isEarly = isPending && due < (this.#due[due & 1] as number);
    const isDueNever = due === 0 && ((line[BITS] as number) & IS_DUE) !== 0;
    if (entered < this.#entered || entered > now || isLate || isEarly || isDueNever) {
      throw badSnapshot("a TIME_WAIT contradicts itself");
    }
    this.#entered = entered;
    if (isPending) this.#due[due & 1] = due;
  }

  /** Can a socket, or a TIME_WAIT, have these values? */
  #isSound(line: Uint32Array): boolean {
    const at = (index: number): number => line[index] as number;
    const [id, bits, port, state] = [at(ID), at(BITS), at(PORT), at(STATE)];
    const [isUdp, hasRemote] = [(bits & UDP) !== 0, (bits & HAS_REMOTE) !== 0];
    const isInOrder = id === 0 || (id > this.#id && id <= this.#lastId);
    this.#id = id === 0 ? this.#lastId : id;
    if (!isInOrder || (port !== 0 && !isUdp && !this.#agrees(port, at(FASTREUSE)))) return false;
    const isTowards = at(REMOTE_PORT) !== 0 && line.subarray(REMOTE, REMOTE + 4).some(Boolean);
    if (hasRemote && (!isTowards || port === 0)) return false;
    if (id === 0) return hasRemote && !isUdp && state === CLOSED && at(GROUP) === 0;
    if (isUdp) return !hasRemote && state !== LISTENING && (port !== 0 || state === CLOSED);
    return hasRemote === (state === CONNECTED) && (port !== 0 || state === CLOSED);
  }

  /** All owners of a port have one bucket. */
  #agrees(port: number, fastreuse: number): boolean {
    const known = this.#fastreuse.get(port) ?? fastreuse;
    this.#fastreuse.set(port, fastreuse);
    return known === fastreuse;
  }
}
