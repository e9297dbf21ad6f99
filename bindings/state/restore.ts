// Restore: reads a snapshot (snapshot.ts) into a manager that has just been opened for it. Where
// anything is wrong the caller closes that manager, and nothing has changed.

import {
  BATCH_AT,
  MODE_BIND,
  NETWORKS_MAX,
  SINGLE_HAS_PORT,
  SINGLE_KIND_SHIFT,
  SINGLES_MAX,
} from "../../assembly/abi.ts";
import { typedArrayName } from "../core/brands.ts";
import type { Core } from "../core/core.ts";
import { cryptoRandom, SeededRandom } from "../core/random.ts";
import { wrongType } from "../errors.ts";
import { type PortGroup, PortGroups } from "../groups/group.ts";
import { ReservedPorts } from "../groups/reserved.ts";
import { checkOpen } from "../open.ts";
import { openPool, type PoolKind, type PoolOwner } from "../opening-pools.ts";
import type { PortPool } from "../pool.ts";
import { Address, ANY } from "../requests/address.ts";
import { groupAt, writeKey } from "../requests/block.ts";
import { readOptions } from "../requests/checks.ts";
import type { Key } from "../requests/parsing.ts";
import { cool, type Reservation } from "../reservation.ts";
import type { Reserving } from "../reserving.ts";
import { badSnapshot, blameSnapshot, type Reader, unseal } from "./bytes.ts";
import { itemOf, moduleOf, readGroups, readRange } from "./group-tables.ts";
import { HAS_EXTRA } from "./places.ts";
import { readSelection, restoreCounters } from "./selections.ts";

type Settings = ReturnType<typeof checkOpen>;

/** The objects made with a restored manager. */
export interface Restored {
  /** Its pools, in the order in which the original opened them. */
  readonly pools: readonly PortPool[];
  /** The trees of groups that were made for it. A tree that was given is not among them. */
  readonly groups: readonly PortGroups[];
  /** The lists of reserved ports that its pools use. */
  readonly reserved: readonly ReservedPorts[];
}

/** How a snapshot is restored. */
export interface RestoreOptions {
  /** Bytes of memory that the records may take, 1024..4294967295; the original's by default. */
  memoryLimit?: number | undefined;
  /**
   * The tree that has the groups: those of the snapshot's paths, made where they are missing. By
   * default new trees are made, with the ranges that the groups had.
   */
  groups?: PortGroups | undefined;
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module | undefined;
  /** `cooldown.wasm`, likewise. */
  cooldownModule?: WebAssembly.Module | undefined;
}

/** The manager that is restored. */
interface RestoreTarget extends PoolOwner {
  /** An object for a reservation that is held. */
  attach(key: Key, port: number): Reservation;
  /** Gives back everything. */
  close(): void;
  /** Starts the cooldown of a reservation, which ends at that time. */
  addCooling(reservation: Reservation, due: number): void;
}

const MAPPED = 0xffff0000;
const EXTRA_MAX = 2 ** 30;

const OPTION_NAMES = ["memoryLimit", "groups", "module", "cooldownModule"];

// ── Settings ──────────────────────────────────────────────────────────────────────────────

/** A snapshot whose settings have been read. */
interface BegunRestore {
  readonly reader: Reader;
  readonly groups: PortGroups | undefined;
  /** The options that the manager is opened with; the rest is set once it is open. */
  readonly settings: Settings;
  readonly hint: number;
  readonly clock: number;
  readonly seedState: number | undefined;
  readonly counters: readonly number[];
}

/**
 * Checks the arguments, and reads what the manager is to be opened with.
 * @throws PortError `EINVAL` (`invalid-snapshot`), and those of bad arguments.
 */
export function beginRestore(snapshot: unknown, given: RestoreOptions): BegunRestore {
  if (typedArrayName(snapshot) !== "Uint8Array") {
    throw wrongType("snapshot", "a Uint8Array, as snapshot() makes it", snapshot);
  }
  const { groups, memoryLimit, ...modules } = readOptions("options", given, OPTION_NAMES);
  if (groups !== undefined && !(groups instanceof PortGroups)) {
    throw wrongType("groups", "a PortGroups", groups);
  }
  const options = checkOpen({ ...modules, memoryLimit });
  const reader = unseal(snapshot as Uint8Array);
  const range = readRange(reader);
  const hint = reader.word();
  const snapshotLimit = reader.word();
  const period = reader.count(86_400_000);
  const whenCooling = reader.byte(1) === 1 ? "oldest" : "refuse";
  const clock = reader.float();
  const seedState = reader.byte(1) === 1 ? reader.word() : undefined;
  const { selection, counters } = readSelection(reader);
  const random = seedState === undefined ? cryptoRandom : new SeededRandom(0);
  const settings: Settings = {
    ...options,
    ...{
      random,
      range,
      selection,
      limit: memoryLimit === undefined ? snapshotLimit : options.limit,
    },
    cooldown: { period, whenCooling },
  };
  return { reader, groups, settings, hint, clock, seedState, counters };
}

// ── Everything else ───────────────────────────────────────────────────────────────────────

/** Reads what comes after the settings into the manager. */
export function restoreInto(
  { reader, groups: given, settings, hint, seedState, counters }: BegunRestore,
  target: RestoreTarget,
): Restored {
  const { reserving } = target;
  const { core, selection } = reserving;
  const made: PortGroups[] = [];
  try {
    const groups = readGroups(reader, settings, given, made);
    const reserved = reader.list(() => {
      return new ReservedPorts(reader.text(), moduleOf(settings));
    });
    readHeld(reader, target);
    const pools = reader.list(() => readPool(reader, target, groups, reserved));
    for (let left = reader.count(); left > 0; left--) {
      const reservation = readKnown(reader, target, groups);
      const due = reader.float();
      cool(reservation);
      target.addCooling(reservation, due);
    }
    for (let left = reader.count(); left > 0; left--) readKnown(reader, target, groups);
    readPlaces(reader, target, groups);
    reader.end();
    restoreCounters(core, selection, counters);
    core.exports.setHint(reserving.open(), hint);
    const { random } = settings;
    if (random instanceof SeededRandom) random.state = seedState as number;
    return { pools, groups: made, reserved };
  } catch (error) {
    target.close();
    for (const tree of made) tree.close();
    throw blameSnapshot(error);
  }
}

// ── What is held ──────────────────────────────────────────────────────────────────────────

function readHeld(reader: Reader, { reserving }: RestoreTarget): void {
  const holding = new Holding(reserving);
  const singles = reader.count();
  // A single has three bytes at least.
  if (singles * 3 <= reader.left) reserving.core.exports.expectSingles(reserving.open(), singles);
  for (let places = reader.count(); places > 0; places--) {
    const [network, transport, device] = [reader.count(), reader.count(), reader.count()];
    const address = readAddress(reader, reader.byte(2));
    const ends = { destination: ANY, destinationPort: 0, flags: 0 };
    const none = { group: undefined, reserved: undefined };
    const key: Key = { networks: [network], transport, device, address, ...ends, ...none };
    for (let flows = reader.count(); flows > 0; flows--) readFlow(reader, key, holding);
    holding.addSingles(key, reader.raw(reader.count()));
    holding.endPlace();
  }
  holding.end();
}

function readFlow(reader: Reader, place: Key, holding: Holding): void {
  const start = reader.at;
  const head = reader.byte();
  const destination = readAddress(reader, (head >> SINGLE_KIND_SHIFT) & 3);
  const destinationPort = (head & SINGLE_HAS_PORT) === 0 ? 0 : reader.short();
  const key: Key = { ...place, destination, destinationPort, flags: head & 7 };
  const description = reader.since(start);
  const ports = reader.ports();
  holding.addSingles(key, singlesOf(description, ports));
  if ((head & HAS_EXTRA) === 0) {
    if (ports.length === 0) holding.addGone(key);
    return;
  }
  for (let left = reader.count(65535); left > 0; left--) {
    const port = reader.short();
    holding.addExtra(key, port, reader.word() | 0);
  }
}

/** A single for each port of a flow, whose description begins as a single does. */
function singlesOf(description: Uint8Array, ports: Uint16Array): Uint8Array {
  const bytes = description.length + 2;
  const singles = new Uint8Array(ports.length * bytes);
  for (let index = 0, at = 0; index < ports.length; index++, at += bytes) {
    const port = ports[index] as number;
    singles.set(description, at);
    singles[at] = (singles[at] as number) & ~HAS_EXTRA;
    singles[at + bytes - 2] = port;
    singles[at + bytes - 1] = port >>> 8;
  }
  return singles;
}

/** Holds ports in a manager that held them before. */
class Holding {
  readonly #core: Core;
  readonly #manager: number;
  readonly #fail: () => never;
  readonly #extras: [key: Key, port: number, extra: number][] = [];
  /** Pools that are only open during the restore: of this place, and of places without ports. */
  #ofPlace: number[] = [];
  #ofOthers: number[] = [];
  #holds = false;

  constructor(reserving: Reserving) {
    this.#core = reserving.core;
    this.#manager = reserving.open();
    this.#fail = () => {
      throw reserving.noMemory("a snapshot");
    };
  }

  addSingles(key: Key, singles: Uint8Array): void {
    if (singles.length > 0) this.#holds = true;
    for (let from = 0; from < singles.length; ) {
      const some = singles.subarray(from, from + SINGLES_MAX);
      writeKey(this.#core, key);
      this.#core.written = undefined; // singles go through the request block
      new Uint8Array(this.#core.ports.buffer, BATCH_AT).set(some);
      const read = this.#core.exports.restoreSingles(this.#manager, some.length);
      if (read === 0) throw badSnapshot("a port or an address is wrong");
      if (read < 0) this.#fail();
      from += read;
    }
  }

  /**
   * Makes the records of a freed flow, by a pool, so that the next records get the same form as in
   * the original. Without memory they get another form, which changes no answer.
   */
  addGone(key: Key): void {
    writeKey(this.#core, key);
    const pool = this.#core.exports.openPool(this.#manager, MODE_BIND, 0) >>> 0;
    if (pool !== 0) this.#ofPlace.push(pool);
  }

  /**
   * Closes the pools of freed flows once the others of the place have been made; those of a freed
   * place at the end.
   */
  endPlace(): void {
    if (!this.#holds) this.#ofOthers.push(...this.#ofPlace);
    else this.#closeAll(this.#ofPlace);
    this.#ofPlace = [];
    this.#holds = false;
  }

  #closeAll(pools: readonly number[]): void {
    for (const pool of pools) this.#core.exports.closePool(pool);
  }

  /**
   * Restores extra counts last, because a count below zero needs other flows that hold the port.
   */
  addExtra(key: Key, port: number, extra: number): void {
    if (port === 0 || extra === 0 || extra >= EXTRA_MAX) throw badSnapshot("a count is wrong");
    this.#extras.push([key, port, extra]);
  }

  end(): void {
    // Counts above zero come first, because those below may need them.
    const owing = this.#extras.sort(([, , one], [, , other]) => other - one);
    for (const [key, port, extra] of owing) {
      writeKey(this.#core, key);
      const answer = this.#core.exports.restoreExtra(this.#manager, port, extra);
      if (answer < 0) this.#fail();
      if (answer === 0) throw badSnapshot("a count does not fit what is held");
    }
    this.#closeAll(this.#ofOthers);
    this.#core.exports.expectSingles(this.#manager, 0);
  }
}

function readAddress(reader: Reader, kind: number): Address {
  if (kind === 0) return ANY;
  if (kind === 1) return new Address([0, 0, MAPPED, reader.word()]);
  if (kind > 2) throw badSnapshot("an address is of no kind");
  return new Address([reader.word(), reader.word(), reader.word(), reader.word()]);
}

// ── Pools and reservations ────────────────────────────────────────────────────────────────

function readKey(reader: Reader): Key {
  const networks = reader.list(() => reader.count());
  if (networks.length === 0 || networks.length > NETWORKS_MAX) {
    throw badSnapshot(`a description has ${networks.length} networks`);
  }
  if (new Set(networks).size < networks.length) throw badSnapshot("a network comes twice");
  return {
    networks,
    transport: reader.count(),
    device: reader.count(),
    address: readAddress(reader, reader.byte(2)),
    destination: readAddress(reader, reader.byte(2)),
    destinationPort: reader.short(),
    flags: reader.byte(7),
    group: undefined,
    reserved: undefined,
  };
}

function readKnown(
  reader: Reader,
  target: RestoreTarget,
  groups: readonly (PortGroup | undefined)[],
): Reservation {
  const { core } = target.reserving;
  const key = readKey(reader);
  const port = reader.short();
  const group = itemOf(groups, reader.count());
  const manager = target.reserving.open();
  writeKey(core, key);
  if (port === 0 || core.exports.isHeld(manager, port) === 0) {
    throw badSnapshot("a reservation is not held");
  }
  if (core.exports.moveGroupUse(manager, 0, groupAt(core, group)) < 0) {
    throw target.reserving.noMemory("a snapshot");
  }
  return target.attach({ ...key, group }, port);
}

function readPool(
  reader: Reader,
  target: RestoreTarget,
  groups: readonly (PortGroup | undefined)[],
  lists: readonly ReservedPorts[],
): PortPool {
  const plain = readKey(reader);
  const group = itemOf(groups, reader.count());
  const reserved = itemOf([undefined, ...lists], reader.count());
  const mode = reader.byte(1);
  const bits = reader.byte(3);
  const period = reader.count(86_400_000);
  const whenCooling = reader.byte(1) === 1 ? "oldest" : "refuse";
  const kind: PoolKind = {
    mode,
    isUnique: (bits & 1) !== 0,
    isOrdered: (bits & 2) !== 0,
    cooldown: { period, whenCooling },
    avoid: reader.short() || undefined,
  };
  const pool = openPool(target, { ...plain, group, reserved }, kind);
  const record = [...target.pools].at(-1);
  const index = reader.word();
  if (record !== undefined) record.core.exports.setPlace(record.handle, index);
  const cooling = record?.cooling;
  if (cooling === undefined) return pool;
  const clock = reader.float();
  const ports = reader.list(() => {
    return { port: reader.short(), age: reader.byte(65) };
  });
  cooling.restore(clock, ports, period);
  const offered = reader.ports();
  const queued = reader.list(() => reader.short());
  cooling.restoreOrder(offered, queued);
  return pool;
}

function readPlaces(
  reader: Reader,
  { reserving }: RestoreTarget,
  groups: readonly (PortGroup | undefined)[],
): void {
  for (let left = reader.count(); left > 0; left--) {
    const name = reader.text();
    const group = itemOf(groups, reader.count());
    const at = groupAt(reserving.core, group);
    reserving.places.set(`${name} ${at}`, { group, index: reader.word() });
  }
}
