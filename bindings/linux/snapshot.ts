// Snapshots of systems, as far as they are alike under all rules: settings, addresses, restoring.
//
//   settings    range, first unprivileged port, clock, memory limit, reserved ports
//   chance      of a seeded system: the seed's state
//   …           what the rules add: rules/6.18/snapshot.ts, rules/2.6.32/snapshot.ts

import { typedArrayName } from "../core/brands.ts";
import { coreOf } from "../core/core.ts";
import { type Random, SeededRandom } from "../core/random.ts";
import { noMemory, wrongType, wrongValue } from "../errors.ts";
import { type PortGroup, PortGroups } from "../groups/group.ts";
import { ReservedPorts } from "../groups/reserved.ts";
import { readOptions } from "../requests/checks.ts";
import { type PortRange, unpackRange } from "../requests/range.ts";
import {
  badSnapshot,
  blamed,
  blameSnapshot,
  type Reader,
  unseal,
  type Writer,
} from "../state/bytes.ts";
import { moduleOf, readGroups, readRange } from "../state/group-tables.ts";
import { checkedDraw, checkLimit } from "./checks.ts";
import { linuxOver } from "./core.ts";
import type { Linux2632Socket } from "./rules/2.6.32/socket.ts";
import { isV4Words } from "./rules/6.18/address.ts";
import type { LinuxSocket } from "./rules/6.18/socket.ts";
import { type LinuxSystem, type OpenSystem, openOf } from "./system.ts";

/** How a snapshot is restored. */
export interface LinuxRestoreOptions {
  /** Whose rules the snapshot is of: `"6.18"`, the default. */
  rules?: "6.18" | undefined;
  /** Bytes of memory that the records may take; the original's by default. */
  memoryLimit?: number | undefined;
  /** The tree that has the groups; by default new trees are made, with the ranges they had. */
  groups?: PortGroups | undefined;
  /** The source of random numbers, for a system that was opened with one or without a seed. */
  random?: (() => number) | undefined;
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module | undefined;
  /** `linux.wasm`, likewise. */
  linuxModule?: WebAssembly.Module | undefined;
}

/** The same for a snapshot of a system by the rules of Linux 2.6.32. */
export interface Linux2632RestoreOptions extends Omit<LinuxRestoreOptions, "rules"> {
  /** Whose rules the snapshot is of. */
  rules: "2.6.32";
}

/** The objects made with a restored system. */
export interface RestoredLinux<Socket = LinuxSocket> {
  /** Its sockets by their `id`; those that wait for accept() are got by calling it. */
  readonly sockets: ReadonlyMap<number, Socket>;
  /** The trees of groups that were made for it. A tree that was given is not among them. */
  readonly groups: readonly PortGroups[];
}

/** A system that snapshots are made of. */
interface SavedSystem extends OpenSystem {
  readonly random: Random | undefined;
}

/** A snapshot whose settings have been read. */
export interface BegunRestore {
  readonly reader: Reader;
  /** The options of the system that all rules have. */
  readonly options: SharedOptions;
  readonly groups: PortGroups | undefined;
  readonly seedState: number | undefined;
}

interface SharedOptions {
  readonly portRange: PortRange;
  readonly unprivilegedPortStart: number;
  readonly time: number;
  readonly memoryLimit: number;
  readonly reserved: ReservedPorts;
  readonly seed: number | undefined;
  readonly random: (() => number) | undefined;
  readonly module: WebAssembly.Module | undefined;
  readonly linuxModule: WebAssembly.Module | undefined;
}

const OPTION_NAMES = ["rules", "memoryLimit", "groups", "random", "module", "linuxModule"];

// ── Writing ───────────────────────────────────────────────────────────────────────────────

export function writeSettings(writer: Writer, system: SavedSystem): void {
  const at = openOf(system);
  const { linux, limit, reserved, random } = system;
  const { first, last } = unpackRange(linux.portRange(at)) as PortRange;
  writer.short(first);
  writer.short(last);
  writer.count(linux.start(at));
  writer.float(linux.currentTime(at));
  writer.word(limit);
  writer.text(reserved.text);
  const isSeeded = random instanceof SeededRandom;
  writer.byte(isSeeded ? 1 : 0);
  if (isSeeded) writer.word(random.state);
}

/** Of IPv4 one word, else all; `::` none. */
export function writeAddress(writer: Writer, words: Uint32Array, at: number): void {
  const address = words.subarray(at, at + 4);
  const kind = isV4Words(address) ? 1 : address.every((word) => word === 0) ? 0 : 4;
  writer.byte(kind);
  for (const word of address.subarray(4 - kind)) writer.word(word);
}

// ── Reading ───────────────────────────────────────────────────────────────────────────────

/**
 * Checks the arguments, and reads what the system is to be opened with by all rules.
 * @throws PortError `EINVAL` (`invalid-snapshot`), and those of bad arguments.
 */
export function beginRestore(
  snapshot: unknown,
  given: LinuxRestoreOptions | Linux2632RestoreOptions,
  magic: number,
): BegunRestore {
  if (typedArrayName(snapshot) !== "Uint8Array") {
    throw wrongType("snapshot", "a Uint8Array, as snapshot() makes it", snapshot);
  }
  const options = readOptions("options", given, OPTION_NAMES);
  const { groups, rules = "6.18", random, module, linuxModule, memoryLimit } = options;
  if (rules !== "6.18" && rules !== "2.6.32") {
    throw wrongValue("rules", '"6.18" or "2.6.32"', rules);
  }
  if (groups !== undefined && !(groups instanceof PortGroups)) {
    throw wrongType("groups", "a PortGroups", groups);
  }
  // Wrong arguments are the caller's errors; every error after that is the snapshot's.
  const core = coreOf(module);
  linuxOver(core, linuxModule, rules === "6.18" ? "618" : "2632");
  if (memoryLimit !== undefined) checkLimit(memoryLimit);
  if (random !== undefined) checkedDraw(random);
  const reader = unseal(snapshot as Uint8Array, magic);
  const portRange = blamed(() => readRange(reader));
  const unprivilegedPortStart = reader.count(portRange.first);
  const time = reader.float();
  const limit = reader.word();
  const reserved = blamed(() => new ReservedPorts(reader.text(), moduleOf({ module })));
  const seedState = reader.byte(1) === 1 ? reader.word() : undefined;
  const shared: SharedOptions = {
    ...{ portRange, unprivilegedPortStart, time, reserved, random, module, linuxModule },
    memoryLimit: memoryLimit ?? limit,
    seed: seedState === undefined || random !== undefined ? undefined : 0,
  };
  return { reader, groups, options: shared, seedState };
}

/** A seeded system goes on with the original's random numbers. */
export function restoreSeed({ seedState }: BegunRestore, random: Random | undefined): void {
  if (seedState !== undefined && random instanceof SeededRandom) random.state = seedState;
}

/** The groups of a snapshot, by their number in it. The trees that are made are added to the list. */
export function groupsIn(
  { reader, groups, options }: BegunRestore,
  made: PortGroups[],
): readonly (PortGroup | undefined)[] {
  const found = readGroups(reader, options, groups, made);
  if (reader.count() !== 0) throw badSnapshot("a list of reserved ports is too many");
  return found;
}

export function readAddress(reader: Reader, line: Uint32Array, at: number): void {
  const kind = reader.byte(4);
  if (kind === 2 || kind === 3) throw badSnapshot("an address is of no kind");
  line.fill(0, at, at + 4);
  if (kind === 1) line[at + 2] = 0xffff0000;
  for (let index = 4 - kind; index < 4; index++) line[at + index] = reader.word();
}

/** The error of a snapshot whose records do not fit into memory. */
export function tooLarge({ limit }: Pick<OpenSystem, "limit">): Error {
  return noMemory(`a snapshot, limit ${limit} bytes`);
}

/** Fills a system that was opened for a snapshot; if that fails, closes all that was opened. */
export function restored<Socket extends LinuxSocket | Linux2632Socket>(
  linux: LinuxSystem,
  fill: (made: PortGroups[]) => readonly Socket[],
): RestoredLinux<Socket> {
  const groups: PortGroups[] = [];
  try {
    const sockets = fill(groups);
    return { sockets: new Map(sockets.map((one) => [one.id, one])), groups };
  } catch (error) {
    linux.close();
    for (const tree of groups) tree.close();
    throw blameSnapshot(error);
  }
}
