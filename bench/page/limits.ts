// Limits: the groups and the reserved ports of a scenario, the same for either system.

import { type PortGroup, PortGroups, ReservedPorts } from "../../bindings/index.ts";
import type { Place, Span } from "./protocol.ts";
import { GROUP_NAMES, type Settings } from "./settings.ts";

export class Limits {
  readonly reserved: ReservedPorts;
  readonly groups: readonly PortGroup[];

  /** Groups get equal parts of the range, for connect() and for bind(). */
  constructor({ groups, reserved, first, last }: Settings) {
    this.reserved = new ReservedPorts(reserved);
    const tree = PortGroups.open();
    const count = last - first + 1;
    this.groups = GROUP_NAMES.slice(0, groups).map((name, index) => {
      const part = {
        first: first + Math.floor((count * index) / groups),
        last: first + Math.floor((count * (index + 1)) / groups) - 1,
      };
      return tree.create(name, { connectPortRange: part, bindPortRange: part });
    });
  }

  groupOf(destination: number): PortGroup | undefined {
    return this.groups.length === 0 ? undefined : this.groups[destination % this.groups.length];
  }

  /** The group that the visitor looks from. */
  groupAt(place: Place): PortGroup | undefined {
    return place === "system" ? undefined : this.groups[place];
  }

  setRange(group: number, range: Span): void {
    const changed = this.groups[group] as PortGroup;
    changed.connectPortRange = range;
    changed.bindPortRange = range;
  }

  /**
   * What automatic picks may use, seen from a place; nothing where the group's range misses the
   * system's.
   */
  rangeFrom(place: Place, system: Span): Span | undefined {
    const group = this.groupAt(place);
    if (group === undefined) return system;
    const allowed = group.effective.connect;
    if (allowed === undefined) return undefined;
    const first = Math.max(allowed.first, system.first);
    const last = Math.min(allowed.last, system.last);
    return first <= last ? { first, last } : undefined;
  }
}
