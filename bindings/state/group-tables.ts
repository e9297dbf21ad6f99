// Groups and lists of reserved ports in snapshots: written once each, and named by number from 1 on.

import { chainOf, type PortGroup, PortGroups } from "../groups/group.ts";
import type { ReservedPorts } from "../groups/reserved.ts";
import { isRange, type PortRange } from "../requests/range.ts";
import { badSnapshot, type Reader, type Writer } from "./bytes.ts";

/** A description, which may name a group and a list. */
interface Naming {
  readonly group: PortGroup | undefined;
  readonly reserved: ReservedPorts | undefined;
}

interface Modules {
  readonly module: WebAssembly.Module | undefined;
}

/** The groups and lists that descriptions name, each once. 0 is none. */
export class Tables {
  readonly #groups = new Map<PortGroup, number>();
  readonly #lists = new Map<ReservedPorts, number>();

  constructor(keys: Iterable<Naming>) {
    for (const { group, reserved } of keys) {
      if (group !== undefined && !this.#groups.has(group)) {
        this.#groups.set(group, this.#groups.size + 1);
      }
      if (reserved !== undefined && !this.#lists.has(reserved)) {
        this.#lists.set(reserved, this.#lists.size + 1);
      }
    }
  }

  groupOf({ group }: Pick<Naming, "group">): number {
    return group === undefined ? 0 : (this.#groups.get(group) as number);
  }

  listOf({ reserved }: Pick<Naming, "reserved">): number {
    return reserved === undefined ? 0 : (this.#lists.get(reserved) as number);
  }

  write(writer: Writer): void {
    const trees = new Map<object, number>();
    writer.count(this.#groups.size);
    for (const group of this.#groups.keys()) {
      const { tree, copies, chain } = chainOf(group);
      if (!trees.has(tree)) trees.set(tree, trees.size);
      writer.count(trees.get(tree) as number);
      writer.byte(copies ? 1 : 0);
      writer.count(chain.length);
      for (const { path, bind, connect } of chain) {
        writer.text(path);
        writeRange(writer, bind);
        writeRange(writer, connect);
      }
    }
    writer.count(this.#lists.size);
    for (const list of this.#lists.keys()) writer.text(list.text);
  }
}

function writeRange(writer: Writer, { first, last }: PortRange): void {
  writer.short(first);
  writer.short(last);
}

// ── Reading ───────────────────────────────────────────────────────────────────────────────

/** The groups by their number in the snapshot, from 1 on. */
export function readGroups(
  reader: Reader,
  settings: Modules,
  given: PortGroups | undefined,
  made: PortGroups[],
): (PortGroup | undefined)[] {
  const groups: (PortGroup | undefined)[] = [undefined];
  for (let left = reader.count(); left > 0; left--) {
    const tree = reader.count(65535);
    const inherit = reader.byte(1) === 1 ? "copy" : "intersect";
    let group: PortGroup | undefined;
    for (let length = reader.count(65535); length > 0; length--) {
      const path = reader.text();
      const ranges = [readRange(reader), readRange(reader)] as const;
      if (given === undefined && tree > made.length) throw badSnapshot("a tree is missing");
      if (given === undefined) made[tree] ??= PortGroups.open({ inherit, ...moduleOf(settings) });
      group = openGroup(given ?? (made[tree] as PortGroups), path, ranges, given !== undefined);
    }
    if (group === undefined) throw badSnapshot("a group has no path");
    groups.push(group);
  }
  return groups;
}

/** The group at a path, made if need be. A group of a tree that was given keeps its ranges. */
function openGroup(
  tree: PortGroups,
  path: string,
  [bindPortRange, connectPortRange]: readonly [PortRange, PortRange],
  isGiven: boolean,
): PortGroup {
  let group: PortGroup;
  try {
    group = tree.get(path);
    if (isGiven) return group;
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
    group = tree.create(path);
  }
  group.bindPortRange = bindPortRange;
  group.connectPortRange = connectPortRange;
  return group;
}

export function readRange(reader: Reader): PortRange {
  const [first, last] = [reader.short(), reader.short()];
  if (isRange(first, last)) return { first, last };
  throw badSnapshot(`${first}..${last} is no range`);
}

export function moduleOf({ module }: Modules): { module?: WebAssembly.Module | undefined } {
  return module === undefined ? {} : { module };
}

export function itemOf<T>(items: readonly T[], index: number): T {
  if (index < items.length) return items[index] as T;
  throw badSnapshot(`there is no number ${index}`);
}
