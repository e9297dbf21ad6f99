// Tree: groups by name, over the core's tree of numbers. Users see it through group.ts.
//
// A tree frees its memory when it has become garbage, which it cannot be as long as one of its
// groups is referenced. So a part of the facade that passes a group's address to the core also
// keeps the group.

import { BUSY, type GROUP_BIND, type GROUP_CONNECT } from "../../assembly/abi.ts";
import { registerCleanup } from "../core/cleanup.ts";
import type { Core } from "../core/core.ts";
import { closed, noMemory, PortError, show } from "../errors.ts";
import { ALL_PORTS, type PortRange, unpackRange } from "../requests/range.ts";
import { below } from "./path.ts";

/** Which of a group's two ranges: where its sockets may bind, or where they connect from. */
export type Kind = typeof GROUP_BIND | typeof GROUP_CONNECT;

/** Where the core keeps a tree. */
interface Place {
  readonly core: Core;
  readonly root: number;
}

// Trees that became garbage while a manager that is garbage, too, still used one of their groups.
// Freeing them is tried again whenever a tree is opened or becomes garbage.
const carried = new Set<Place>();
const cleanup = registerCleanup<Place>((place) => {
  carried.add(place);
  closeForgotten();
});

function closeForgotten(): void {
  for (const place of carried) {
    if (place.core.exports.closeTree(place.root) !== BUSY) carried.delete(place);
  }
}

export class Tree {
  readonly core: Core;
  /** Does a new group copy its parent's ranges, instead of being limited by them? */
  readonly copies: boolean;
  readonly root: Group;
  #isClosed = false;

  /** @throws PortError `ENOBUFS`. */
  constructor(core: Core, copies: boolean) {
    closeForgotten();
    const root = core.exports.openTree(copies ? 1 : 0) >>> 0;
    if (root === 0) throw noMemory("a tree of groups");
    this.core = core;
    this.copies = copies;
    this.root = new Group(this, undefined, "", root);
    cleanup.register(this, { core, root }, this);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @throws PortError `EBUSY` as long as one of the groups is in use. */
  close(): void {
    if (this.#isClosed) return;
    if (this.core.exports.closeTree(this.root.open()) === BUSY) {
      throw busy(`the tree is in use, by ${this.#users().join(", ")}`);
    }
    this.#isClosed = true;
    cleanup.unregister(this);
  }

  /** Some of the groups that are in use, for a message. */
  #users(): string[] {
    const users: string[] = [];
    const left = [this.root];
    for (let group = left.pop(); group !== undefined && users.length < 3; group = left.pop()) {
      if (group.uses > 0) users.push(`${group.path} (${group.uses})`);
      for (const child of group.children.values()) left.push(child);
    }
    return users;
  }
}

/** A group: its name, its place in the tree, and the address at which the core keeps it. */
export class Group {
  readonly tree: Tree;
  readonly parent: Group | undefined;
  readonly name: string;
  readonly path: string;
  readonly children: Map<string, Group> = new Map();
  /** 0 when it has been removed. */
  #address: number;

  constructor(tree: Tree, parent: Group | undefined, name: string, address: number) {
    this.tree = tree;
    this.parent = parent;
    this.name = name;
    this.path = parent === undefined ? "/" : below(parent.path, name);
    this.#address = address;
    parent?.children.set(name, this);
  }

  /**
   * Where the core keeps the group.
   * @throws PortError `EBADF` (the tree has been closed), `ENOENT` (the group has been removed).
   */
  open(): number {
    if (this.tree.isClosed) throw closed("tree of groups");
    if (this.#address !== 0) return this.#address;
    throw new PortError("ENOENT", "not-found", `the group ${this.path} has been removed`);
  }

  /** Has it been removed, or its tree been closed? */
  get isGone(): boolean {
    return this.tree.isClosed || this.#address === 0;
  }

  own(kind: Kind): PortRange {
    // It is never empty: no such range can be set.
    return unpackRange(this.tree.core.exports.groupRange(this.open(), kind)) ?? ALL_PORTS;
  }

  setOwn(kind: Kind, { first, last }: PortRange): void {
    this.tree.core.exports.setGroupRange(this.open(), kind, first, last);
  }

  effective(kind: Kind): PortRange | undefined {
    return unpackRange(this.tree.core.exports.effectiveRange(this.open(), kind));
  }

  get uses(): number {
    return this.tree.core.exports.groupUses(this.open()) >>> 0;
  }

  /** The groups whose ranges limit this one, from the top down: all groups above it, and itself. */
  limits(): Group[] {
    if (this.tree.copies) return [this];
    const groups: Group[] = [];
    for (let at: Group | undefined = this; at !== undefined; at = at.parent) groups.push(at);
    return groups.reverse();
  }

  /**
   * Makes groups below this one, each below the one before, and gives ranges to the last of them.
   * All of that is done, or nothing.
   * @param names at least one; the first is not the name of a child.
   * @throws PortError `ENOBUFS`.
   */
  grow(names: readonly string[], ranges: ReadonlyMap<Kind, PortRange>): Group {
    const addresses = this.#secure(names);
    let last: Group = this;
    for (const [index, name] of names.entries()) {
      last = new Group(this.tree, last, name, addresses[index] as number);
    }
    for (const [kind, range] of ranges) last.setOwn(kind, range);
    return last;
  }

  /** @throws PortError `EBUSY`: it is in use, has children, or is the root. */
  remove(): void {
    const address = this.open();
    if (this.parent === undefined) throw busy("the root stays as long as its tree");
    if (this.tree.core.exports.removeGroup(address) === BUSY) {
      const [child] = this.children.keys();
      const why = child === undefined ? `is in use (${this.uses})` : `has children, ${show(child)}`;
      throw busy(`the group ${this.path} ${why}`);
    }
    this.parent.children.delete(this.name);
    this.#address = 0;
  }

  #secure(names: readonly string[]): number[] {
    const { exports } = this.tree.core;
    const addresses: number[] = [];
    let parent = this.open();
    for (const name of names) {
      parent = exports.createGroup(parent) >>> 0;
      if (parent === 0) {
        for (const address of addresses.reverse()) exports.removeGroup(address);
        throw noMemory(`the group ${show(name)} of ${show(names.join("/"))} in ${this.path}`);
      }
      addresses.push(parent);
    }
    return addresses;
  }
}

function busy(what: string): PortError {
  return new PortError("EBUSY", "busy", what);
}
