// Groups and reserved lists, which all managers of a session share: as models, and as the real ones.
// Both sides know a group by its number, in the order in which they were made; 0 is the root.

import {
  PortError,
  type PortGroup,
  PortGroups,
  type PortRange,
  ReservedPorts,
} from "../../../bindings/index.ts";
import { GroupModel } from "../../models/reference-groups.ts";
import type { GroupedAsk, Mode } from "./system.ts";

export interface Groups {
  /** The numbers of those that are there. */
  readonly live: readonly number[];
  create(parent: number): void;
  /** "removed", or the code of the refusal. */
  remove(group: number): string;
  setRange(group: number, kind: Mode, range: PortRange | undefined): void;
  setReserved(list: number, ranges: readonly PortRange[]): void;
  /** How many reservations and open pools there are in each. */
  uses(): number[];
}

export const LISTS = 2;

class Numbered<Group> {
  readonly #groups: (Group | undefined)[];

  constructor(root: Group) {
    this.#groups = [root];
  }

  get live(): number[] {
    return [...this.#groups.keys()].filter((number) => this.#groups[number] !== undefined);
  }

  at(number: number): Group {
    return this.#groups[number] as Group;
  }

  find(number: number | undefined): Group | undefined {
    return number === undefined ? undefined : this.#groups[number];
  }

  numberOf(group: Group | undefined): number | undefined {
    return group === undefined ? undefined : this.#groups.indexOf(group);
  }

  protected add(group: Group): void {
    this.#groups.push(group);
  }

  protected drop(number: number): void {
    this.#groups[number] = undefined;
  }
}

export class GroupModels extends Numbered<GroupModel> implements Groups {
  readonly #lists = Array.from({ length: LISTS }, () => new Set<number>());

  constructor() {
    super(new GroupModel(undefined));
  }

  create(parent: number): void {
    this.add(new GroupModel(this.at(parent)));
  }

  remove(number: number): string {
    const group = this.at(number);
    const hasChildren = this.live.some((other) => this.at(other).parent === group);
    if (hasChildren || group.uses > 0) return "EBUSY";
    this.drop(number);
    return "removed";
  }

  setRange(group: number, kind: Mode, range: PortRange | undefined): void {
    this.at(group).limit(kind, range);
  }

  setReserved(list: number, ranges: readonly PortRange[]): void {
    const ports = this.reserved(list);
    ports.clear();
    for (const { first, last } of ranges) for (let at = first; at <= last; at++) ports.add(at);
  }

  uses(): number[] {
    return this.live.map((number) => this.at(number).uses);
  }

  reserved(list: number): Set<number> {
    return this.#lists[list] as Set<number>;
  }
}

export class RealGroups extends Numbered<PortGroup> implements Groups {
  readonly #tree: PortGroups;
  readonly #lists: readonly ReservedPorts[];
  #made = 0;

  constructor({ module }: { readonly module?: WebAssembly.Module | undefined }) {
    const tree = PortGroups.open({ module });
    super(tree.root);
    this.#tree = tree;
    this.#lists = Array.from({ length: LISTS }, () => new ReservedPorts("", { module }));
  }

  create(parent: number): void {
    const { path } = this.at(parent);
    this.add(this.#tree.create(`${path === "/" ? "" : path}/${++this.#made}`));
  }

  remove(group: number): string {
    try {
      this.at(group).remove();
    } catch (error) {
      if (error instanceof PortError) return error.code;
      throw error;
    }
    this.drop(group);
    return "removed";
  }

  setRange(group: number, kind: Mode, range: PortRange | undefined): void {
    if (kind === "bind") this.at(group).bindPortRange = range;
    else this.at(group).connectPortRange = range;
  }

  setReserved(list: number, ranges: readonly PortRange[]): void {
    const text = ranges.map(({ first, last }) => `${first}-${last}`).join();
    (this.#lists[list] as ReservedPorts).text = text;
  }

  uses(): number[] {
    return this.live.map((number) => this.at(number).uses);
  }

  /** What an ask names of them, in the manager's words. */
  named({ group, reserved }: GroupedAsk): { group?: PortGroup; reserved?: ReservedPorts } {
    return {
      ...(group !== undefined && { group: this.at(group) }),
      ...(reserved !== undefined && { reserved: this.#lists[reserved] as ReservedPorts }),
    };
  }

  close(): void {
    this.#tree.close();
  }
}
