// Trees of groups: what a group may use, as stories, and for any tree against an intersection that
// is worked out step by step.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GROUP_BIND, GROUP_CONNECT } from "../../../assembly/abi.ts";
import {
  explainEmpty,
  groupAddress,
  type PortGroup,
  PortGroups,
} from "../../../bindings/groups/group.ts";
import type { PortRange } from "../../../bindings/requests/range.ts";
import { expectError } from "../../invalid-input/fixture.ts";
import { BUILDS } from "../../support/builds.ts";
import { carry, coreFor, openGroups, picture, TREES } from "./fixture.ts";

const ALL = { first: 1, last: 65535 };

const range = (first: number, last: number): PortRange => ({ first, last });

// ── Stories ───────────────────────────────────────────────────────────────────────────────

describe.each(BUILDS)("%s build, ranges that intersect", (build) => {
  test("a new tree has a root that limits nothing", () => {
    using groups = openGroups(build);
    const { root } = groups;
    expect(root.path).toBe("/");
    expect([root.bindPortRange, root.connectPortRange]).toEqual([undefined, undefined]);
    expect(root.effective).toEqual({ bind: ALL, connect: ALL });
    expect(root.uses).toBe(0);
    expect(groups.root).toBe(root);
    expect(groups.get("/")).toBe(root);
  });

  test("a group is limited by itself and by all groups above it", () => {
    using groups = openGroups(build);
    groups.create("/web", { bindPortRange: range(20000, 29999) });
    const api = groups.create("/web/api", { bindPortRange: range(25000, 40000) });
    const deep = groups.create("/web/api/v1", { bindPortRange: range(1000, 26000) });
    expect(api.effective.bind).toEqual(range(25000, 29999));
    expect(deep.effective.bind).toEqual(range(25000, 26000));
    expect(deep.bindPortRange).toEqual(range(1000, 26000));
    expect(deep.effective.connect).toEqual(ALL);
  });

  test("the bind range and the connect range do not limit each other", () => {
    using groups = openGroups(build);
    const group = groups.create("/a", {
      bindPortRange: range(1000, 1999),
      connectPortRange: range(5000, 5999),
    });
    expect(group.effective).toEqual({ bind: range(1000, 1999), connect: range(5000, 5999) });
    group.connectPortRange = range(7, 7);
    expect(group.effective).toEqual({ bind: range(1000, 1999), connect: range(7, 7) });
  });

  test("a change takes effect at once in all groups below, and nowhere else", () => {
    using groups = openGroups(build);
    const top = groups.create("/a", { bindPortRange: range(1000, 2000) });
    const left = groups.create("/a/left");
    const leaf = groups.create("/a/left/leaf", { bindPortRange: range(1500, 3000) });
    const right = groups.create("/a/right", { bindPortRange: range(1000, 1200) });
    const other = groups.create("/ab", { bindPortRange: range(1, 100) });
    top.bindPortRange = range(1100, 2500);
    expect(left.effective.bind).toEqual(range(1100, 2500));
    expect(leaf.effective.bind).toEqual(range(1500, 2500));
    expect(right.effective.bind).toEqual(range(1100, 1200));
    expect(other.effective.bind).toEqual(range(1, 100));
    top.bindPortRange = undefined;
    expect(leaf.effective.bind).toEqual(range(1500, 3000));
    groups.root.bindPortRange = range(1600, 1600);
    expect(leaf.effective.bind).toEqual(range(1600, 1600));
    expect(right.effective.bind).toBe(undefined);
  });

  test("an intersection may be empty, and be filled again", () => {
    using groups = openGroups(build);
    const top = groups.create("/a", { bindPortRange: range(1, 100) });
    const group = groups.create("/a/b", { bindPortRange: range(101, 200) });
    const below = groups.create("/a/b/c", { bindPortRange: range(50, 150) });
    expect([group.effective.bind, below.effective.bind]).toEqual([undefined, undefined]);
    top.bindPortRange = range(1, 101);
    expect([group.effective.bind, below.effective.bind]).toEqual([
      range(101, 101),
      range(101, 101),
    ]);
  });

  test("1..65535 is the same as no range", () => {
    using groups = openGroups(build);
    const group = groups.create("/a", { bindPortRange: ALL });
    expect(group.bindPortRange).toBe(undefined);
    group.bindPortRange = range(1, 65534);
    expect(group.bindPortRange).toEqual(range(1, 65534));
    group.bindPortRange = ALL;
    expect(group.bindPortRange).toBe(undefined);
  });

  test("a range that is given is copied, and one that is answered belongs to the caller", () => {
    using groups = openGroups(build);
    const mine = { first: 5, last: 9 };
    const group = groups.create("/a", { bindPortRange: mine });
    mine.last = 70000;
    const answered = group.bindPortRange as { first: number };
    answered.first = 0;
    (group.effective as { bind?: unknown }).bind = undefined;
    expect(group.bindPortRange).toEqual(range(5, 9));
    expect(group.effective.bind).toEqual(range(5, 9));
  });
});

describe.each(BUILDS)("%s build, ranges that are copied", (build) => {
  test("a new group starts with its parent's ranges, and then goes its own way", () => {
    using groups = openGroups(build, { inherit: "copy" });
    const top = groups.create("/a", { bindPortRange: range(1000, 2000) });
    const child = groups.create("/a/b");
    expect(child.bindPortRange).toEqual(range(1000, 2000));
    top.bindPortRange = range(5, 6);
    expect(child.effective.bind).toEqual(range(1000, 2000));
    child.bindPortRange = undefined;
    expect(child.effective.bind).toEqual(ALL);
    expect(groups.create("/a/c").bindPortRange).toEqual(range(5, 6));
  });

  test("parents that are made on the way pass on what they copied", () => {
    using groups = openGroups(build, { inherit: "copy" });
    groups.root.connectPortRange = range(7, 8);
    const group = groups.create("/a/b/c", { bindPortRange: range(3, 4) });
    expect(group.effective).toEqual({ bind: range(3, 4), connect: range(7, 8) });
    expect(groups.get("/a/b").effective).toEqual({ bind: ALL, connect: range(7, 8) });
  });
});

// ── Names ─────────────────────────────────────────────────────────────────────────────────

describe.each(TREES)("%s build, %s", (build, inherit) => {
  test("parents that are missing are made, and those that are there are kept", () => {
    using groups = openGroups(build, { inherit });
    const first = groups.create("/a/b/c");
    const second = groups.create("/a/b/d");
    expect([first.path, second.path]).toEqual(["/a/b/c", "/a/b/d"]);
    expect(groups.get("/a/b/c")).toBe(first);
    expect(Object.keys(picture(groups)).sort()).toEqual(["/", "/a", "/a/b", "/a/b/c", "/a/b/d"]);
  });

  test("a name is any text that is no path of its own", () => {
    using groups = openGroups(build, { inherit });
    const names = ["a b", "...", ".x", "é", "漢字", "__proto__", "constructor", "0", "a.effective"];
    const long = "é".repeat(127); // 254 bytes
    for (const name of [...names, `${long}a`]) {
      expect(groups.create(`/${name}/${name}`).path).toBe(`/${name}/${name}`);
      expect(groups.get(`/${name}`).path).toBe(`/${name}`);
    }
  });

  test("a tree may be deep and wide, and its ranges reach to the bottom", () => {
    using groups = openGroups(build, { inherit });
    const deep = groups.create("/d".repeat(1000));
    for (let index = 0; index < 1000; index++) groups.create(`/wide/${index}`);
    groups.root.bindPortRange = range(9, 99);
    const reached = inherit === "intersect" ? range(9, 99) : ALL;
    expect(deep.effective.bind).toEqual(reached);
    expect(groups.get("/wide/999").effective.bind).toEqual(reached);
  });

  test("a group that has been removed is gone, and its name is free", () => {
    using groups = openGroups(build, { inherit });
    const old = groups.create("/a/b", { bindPortRange: range(5, 6) });
    old.remove();
    expectError(() => groups.get("/a/b"), { code: "ENOENT", reason: "not-found" });
    const young = groups.create("/a/b");
    expect(young).not.toBe(old);
    expect(young.bindPortRange).toBe(undefined);
    expect(old.path).toBe("/a/b");
    young.remove();
    groups.get("/a").remove();
    expect(Object.keys(picture(groups))).toEqual(["/"]);
  });

  test("a tree that is closed gives its memory back", () => {
    const core = coreFor(build);
    const fill = (): void => {
      using groups = openGroups(build, { inherit });
      for (let index = 0; index < 200; index++) groups.create(`/${index % 7}/${index}`);
    };
    fill();
    const before = core.exports.memory.buffer.byteLength;
    for (let round = 0; round < 100; round++) fill();
    expect(core.exports.memory.buffer.byteLength).toBe(before);
  });
});

// ── In use ────────────────────────────────────────────────────────────────────────────────

describe.each(BUILDS)("%s build, groups in use", (build) => {
  test("a group that a manager carries is not removed, nor its tree closed", () => {
    using groups = openGroups(build);
    const group = groups.create("/a/b");
    const endOne = carry(coreFor(build), group);
    const endOther = carry(coreFor(build), group);
    expect([group.uses, groups.get("/a").uses]).toEqual([2, 0]);
    const before = picture(groups);
    const busy = { code: "EBUSY", reason: "busy" };
    expectError(() => group.remove(), { ...busy, says: "the group /a/b is in use (2)" });
    expectError(() => groups.close(), { ...busy, says: "the tree is in use, by /a/b (2)" });
    expect(picture(groups)).toEqual(before);
    endOne();
    expectError(() => group.remove(), { ...busy, says: "(1)" });
    endOther();
    group.remove();
  });

  test("a change of range concerns the holders that carry the group, and is not refused", () => {
    using groups = openGroups(build);
    const group = groups.create("/a");
    const end = carry(coreFor(build), group);
    group.bindPortRange = range(5, 6);
    expect(group.effective.bind).toEqual(range(5, 6));
    end();
  });

  test("neither the root nor a group with children is removed", () => {
    using groups = openGroups(build);
    const group = groups.create("/a");
    groups.create("/a/b");
    const busy = { code: "EBUSY", reason: "busy" };
    expectError(() => group.remove(), { ...busy, says: 'the group /a has children, "b"' });
    expectError(() => groups.root.remove(), { ...busy, says: "the root stays" });
    expect(Object.keys(picture(groups))).toEqual(["/", "/a", "/a/b"]);
  });
});

test("the address of a group is the core's, and differs from group to group", () => {
  using groups = PortGroups.open();
  const core = coreFor("release");
  const addresses = ["/a", "/a/b", "/c"].map((path) => groupAddress(groups.create(path), core));
  expect(addresses.every((address) => address > 0)).toBe(true);
  expect(new Set([groupAddress(groups.root, core), ...addresses]).size).toBe(4);
});

// ── Explanations ──────────────────────────────────────────────────────────────────────────

describe("an explanation names the groups that leave no port", () => {
  const groupsOf = (inherit: "intersect" | "copy" = "intersect"): PortGroups => {
    const groups = PortGroups.open({ inherit });
    groups.create("/a", { bindPortRange: range(20000, 20999) });
    groups.create("/a/b", { bindPortRange: range(10000, 39999) });
    groups.create("/a/b/c", { bindPortRange: range(30000, 30999) });
    groups.create("/a/b/c/d", { bindPortRange: range(20500, 30500) });
    return groups;
  };

  test("when they exclude each other: the highest first and the lowest last", () => {
    using groups = groupsOf();
    const why = "/a/b/c has 30000..30999 and /a has 20000..20999";
    for (const path of ["/a/b/c", "/a/b/c/d"]) {
      const text = `the bind port range of group ${path} is empty: ${why}`;
      expect(explainEmpty(groups.get(path), GROUP_BIND)).toBe(text);
      expect(explainEmpty(groups.get(path), GROUP_BIND, range(1, 65535))).toBe(text);
    }
  });

  test("when the requested ports lie above or below: the group that limits that end", () => {
    using groups = groupsOf();
    const group = groups.get("/a/b");
    const is = "the bind port range of group /a/b is 20000..20999, set by /a";
    const explain = (asked: PortRange): string => explainEmpty(group, GROUP_BIND, asked);
    expect(explain(range(32768, 60999))).toBe(`${is}: 32768..60999 is above it`);
    expect(explain(range(80, 80))).toBe(`${is}: 80 is below it`);
    groups.get("/a/b").bindPortRange = range(20500, 39999);
    const both = "the bind port range of group /a/b is 20500..20999, set by";
    expect(explain(range(20000, 20499))).toBe(`${both} /a/b: 20000..20499 is below it`);
    expect(explain(range(21000, 21000))).toBe(`${both} /a: 21000 is above it`);
  });

  test("of equals the topmost, which has to be changed first", () => {
    using groups = PortGroups.open();
    groups.root.connectPortRange = range(5, 9);
    const group = groups.create("/a/b", { connectPortRange: range(5, 9) });
    const text = "the connect port range of group /a/b is 5..9, set by /: 80 is above it";
    expect(explainEmpty(group, GROUP_CONNECT, range(80, 80))).toBe(text);
  });

  test("in a tree that copies only the group itself", () => {
    using groups = groupsOf("copy");
    const text =
      "the bind port range of group /a/b/c is 30000..30999, set by /a/b/c: 80 is below it";
    expect(explainEmpty(groups.get("/a/b/c"), GROUP_BIND, range(80, 80))).toBe(text);
  });

  test("and says what there is when that was not the reason", () => {
    using groups = groupsOf();
    const text = "the bind port range of group /a/b is 20000..20999";
    expect(explainEmpty(groups.get("/a/b"), GROUP_BIND)).toBe(text);
    expect(explainEmpty(groups.get("/a/b"), GROUP_BIND, range(20999, 40000))).toBe(text);
  });
});

// ── Any tree ──────────────────────────────────────────────────────────────────────────────

/** A group of the reference tree: its own two ranges, and where it hangs. */
interface Reference {
  readonly parent: Reference | undefined;
  readonly group: PortGroup;
  readonly own: [PortRange, PortRange];
}

type Operation =
  | {
      readonly does: "create";
      readonly at: number;
      readonly ranges: readonly (PortRange | undefined)[];
    }
  | {
      readonly does: "set";
      readonly at: number;
      readonly kind: 0 | 1;
      readonly to: PortRange | undefined;
    }
  | { readonly does: "remove"; readonly at: number };

const PORT = fc.oneof(
  fc.integer({ min: 1, max: 12 }),
  fc.integer({ min: 65524, max: 65535 }),
  fc.integer({ min: 1, max: 65535 }),
);
const LIMIT = fc.option(
  fc.tuple(PORT, PORT).map(([a, b]) => range(Math.min(a, b), Math.max(a, b))),
  { nil: undefined },
);
const AT = fc.nat(11);
const OPERATIONS: fc.Arbitrary<Operation[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        does: fc.constant("create" as const),
        at: AT,
        ranges: fc.tuple(LIMIT, LIMIT),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        does: fc.constant("set" as const),
        at: AT,
        kind: fc.constantFrom(0, 1),
        to: LIMIT,
      }),
    },
    { weight: 1, arbitrary: fc.record({ does: fc.constant("remove" as const), at: AT }) },
  ),
  { maxLength: 25 },
);

test.each(TREES)("any tree is limited as its paths say, %s build, %s", (build, inherit) => {
  fc.assert(
    fc.property(OPERATIONS, (operations) => {
      using groups = openGroups(build, { inherit });
      const all: Reference[] = [{ parent: undefined, group: groups.root, own: [ALL, ALL] }];
      for (const [index, operation] of operations.entries()) {
        perform(operation, all, groups, `g${index}`, inherit === "copy");
        for (const reference of all) {
          const [bind, connect] = [0, 1].map((kind) =>
            effective(reference, kind, inherit === "copy"),
          );
          expect(reference.group.effective).toEqual({ bind, connect });
          expect(reference.group.bindPortRange ?? ALL).toEqual(reference.own[0]);
          expect(reference.group.connectPortRange ?? ALL).toEqual(reference.own[1]);
        }
      }
    }),
    { numRuns: 150 },
  );
});

function perform(
  operation: Operation,
  all: Reference[],
  groups: PortGroups,
  name: string,
  copies: boolean,
): void {
  const reference = all[operation.at % all.length] as Reference;
  const { group } = reference;
  if (operation.does === "create") {
    const [bind, connect] = operation.ranges;
    const options = {
      ...(bind === undefined ? {} : { bindPortRange: bind }),
      ...(connect === undefined ? {} : { connectPortRange: connect }),
    };
    const path = `${group.path === "/" ? "" : group.path}/${name}`;
    const start = copies ? reference.own : [ALL, ALL];
    const own: [PortRange, PortRange] = [
      bind ?? (start[0] as PortRange),
      connect ?? (start[1] as PortRange),
    ];
    all.push({ parent: reference, group: groups.create(path, options), own });
  } else if (operation.does === "set") {
    reference.own[operation.kind] = operation.to ?? ALL;
    if (operation.kind === GROUP_BIND) group.bindPortRange = operation.to;
    else group.connectPortRange = operation.to;
  } else if (reference.parent === undefined || all.some(({ parent }) => parent === reference)) {
    expectError(() => group.remove(), { code: "EBUSY", reason: "busy" });
  } else {
    group.remove();
    all.splice(all.indexOf(reference), 1);
  }
}

/** What is in every own range from the root down; in a tree that copies, in its own. */
function effective(reference: Reference, kind: number, copies: boolean): PortRange | undefined {
  let { first, last } = reference.own[kind] as PortRange;
  for (let at = reference.parent; at !== undefined && !copies; at = at.parent) {
    first = Math.max(first, (at.own[kind] as PortRange).first);
    last = Math.min(last, (at.own[kind] as PortRange).last);
  }
  return first <= last ? { first, last } : undefined;
}
