// Bad calls on trees of groups, their files, reserved ports and sysctls: a typed error that says
// what would be valid, and nothing has changed.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { coreOf } from "../../bindings/core/core.ts";
import { groupAddress, PortGroup, PortGroups } from "../../bindings/groups/group.ts";
import { ReservedPorts, reservedAddress } from "../../bindings/groups/reserved.ts";
import { Tree } from "../../bindings/groups/tree.ts";
import { Sysctl } from "../../bindings/linux/sysctl.ts";
import { BIND, CONNECT, coreFor, openGroups, picture } from "../api/groups/fixture.ts";
import { BUILDS, freshModule, moduleFor } from "../support/builds.ts";
import {
  all,
  EMPTY_MODULE,
  expectError,
  type Refused,
  type Row,
  says,
  setting,
  throwing,
  wrong,
} from "./fixture.ts";

const TYPE: Refused = { code: "ERR_INVALID_ARG_TYPE", reason: "invalid-argument" };
const VALUE: Refused = { code: "ERR_INVALID_ARG_VALUE", reason: "invalid-argument" };
const BAD_RANGE: Refused = { code: "EINVAL", reason: "invalid-port-range" };
const BAD_PORT: Refused = { code: "ERR_SOCKET_BAD_PORT", reason: "invalid-argument" };
const MISSING: Refused = { code: "ENOENT", reason: "not-found" };
const EXISTS: Refused = { code: "EEXIST", reason: "exists" };
const LONG: Refused = { code: "ENAMETOOLONG", reason: "name-too-long" };
const IS_GROUP: Refused = { code: "EISDIR", reason: "is-group" };
const IS_FILE: Refused = { code: "ENOTDIR", reason: "is-file" };
const READ_ONLY: Refused = { code: "EACCES", reason: "read-only" };
const CLOSED: Refused = { code: "EBADF", reason: "closed" };

const NO_TEXTS: readonly unknown[] = [undefined, null, 5, 5n, true, {}, [], Symbol("a"), ["/a"]];

const MODULES: readonly Row<Refused>[] = [
  ["null", null, says(TYPE, "options must be an object")],
  ["a text", "copy", TYPE],
  ["a wrong name", { inherits: "copy" }, VALUE],
  ["bytes as module", { module: Uint8Array.of(0, 97, 115, 109) }, says(TYPE, "module must be")],
  ["null as module", { module: null }, TYPE],
  ["another module", { module: EMPTY_MODULE }, says(VALUE, "portwarden's core.wasm")],
];

const OPTIONS: readonly Row<Refused>[] = [
  ...MODULES,
  [
    "a wrong way to inherit",
    { inherit: "clone" },
    says(VALUE, '"intersect" or "copy", got "clone"'),
  ],
  ["null as a way to inherit", { inherit: null }, VALUE],
  ["a flag as a way to inherit", { inherit: true }, VALUE],
];

const PATHS: readonly Row<Refused>[] = [
  ["no path", undefined, says(TYPE, 'a path such as "/web/api"')],
  ["nothing", "", says(VALUE, "must be absolute")],
  ["a relative path", "web", says(VALUE, 'must be absolute, such as /web/api, got "web"')],
  ["two slashes", "//", says(VALUE, "a name after every slash")],
  ["a dot", "/.", says(VALUE, '"." or ".."')],
  ["a newline", "/a\nb", says(VALUE, "control characters")],
  ["a name of 256 letters", `/${"a".repeat(256)}`, says(LONG, "up to 255 bytes, got 256")],
  ...all(TYPE, null, 5, ["web"]),
  ...all(VALUE, "/a/", "/a//b", "/a/./b", "/a/..", "/a\tb", "/a\0", "/\u007f", "/\u0085"),
  ...all(LONG, `/a/${"é".repeat(128)}/b`),
];

const RANGES: readonly Row<Refused>[] = [
  ["null", null, says(TYPE, "bindPortRange must be an object, { first, last }, got null")],
  ["half a range", { first: 1 }, says(TYPE, "last must be")],
  ["a wrong name", { frist: 1, last: 2 }, says(VALUE, "known are ")],
  ["a range upside down", { first: 9, last: 8 }, says(BAD_RANGE, "9..8; undefined is no limit")],
  ...all(TYPE, [1, 2], "1 2", { first: "1", last: 2 }, { first: 1n, last: 2n }),
  ...all(BAD_RANGE, { first: 0, last: 8 }, { first: 1, last: 65536 }, { first: 1.5, last: 2.5 }),
  ...all(BAD_RANGE, { first: 1, last: Number.NaN }),
];

describe.each(BUILDS)("%s build", (build) => {
  let groups: PortGroups;
  let group: PortGroup;
  beforeEach(() => {
    groups = openGroups(build);
    group = groups.create("/a", { bindPortRange: { first: 20000, last: 20999 } });
    groups.create("/a/b", { connectPortRange: { first: 30000, last: 30999 } });
  });
  afterEach(() => groups.close());

  /** The act is refused in that way, and the tree has not changed. */
  function expectNothing(act: () => unknown, refused: Refused): void {
    const before = picture(groups);
    expectError(act, refused);
    expect(picture(groups)).toEqual(before);
  }

  test.each(OPTIONS)("open refuses %s", (_name, options, refused) => {
    expectNothing(() => PortGroups.open(wrong(options)), refused);
  });

  describe.each(PATHS)("%s is no path", (_name, path, refused) => {
    test("for any method", () => {
      expectNothing(() => groups.create(wrong(path)), refused);
      expectNothing(() => groups.get(wrong(path)), refused);
      expectNothing(() => groups.list(wrong(path)), refused);
      expectNothing(() => groups.read(wrong(path)), refused);
      expectNothing(() => groups.write(wrong(path), "1 2"), refused);
    });
  });

  test.each([
    ["/c", MISSING],
    ["/a/c", says(MISSING, "no /a/c: group /a has no c")],
    ["/c/d/e", says(MISSING, "no /c/d/e: group / has no c")],
    ["/A", MISSING],
    ["/ a", MISSING],
    ["/__proto__", MISSING],
    ["/net_cls.classid", MISSING],
    [`/a/${BIND}/c`, says(IS_FILE, "is a control file")],
    [`/a/${BIND}/${BIND}`, IS_FILE],
    [`/a/c/${BIND}`, MISSING],
  ])("there is nothing at %s", (path, refused) => {
    expectNothing(() => groups.get(path), refused);
    expectNothing(() => groups.list(path), refused);
    expectNothing(() => groups.read(path), refused);
    expectNothing(() => groups.write(path, "1 2"), refused);
  });

  test.each(["/", "/a", "/a/b"])("%s is a group, not a file", (path) => {
    expectNothing(() => groups.read(path), says(IS_GROUP, `list("${path}")`));
    expectNothing(() => groups.write(path, "1 2"), IS_GROUP);
    expectNothing(() => groups.write(path, ""), IS_GROUP);
  });

  test.each([BIND, CONNECT, `${BIND}.effective`, `${CONNECT}.effective`])(
    "%s is no group",
    (name) => {
      expectNothing(() => groups.get(`/a/${name}`), IS_FILE);
      expectNothing(() => groups.list(`/a/${name}`), IS_FILE);
      expectNothing(() => groups.create(`/a/${name}`), says(EXISTS, "a control file's name"));
      expectNothing(() => groups.create(`/c/${name}/d`), EXISTS);
    },
  );

  test.each([BIND, CONNECT])("%s.effective is not written, whatever the text", (name) => {
    const path = `/a/${name}.effective`;
    const refused = says(READ_ONLY, `${path} can only be read: write /a/${name}`);
    for (const text of ["1 2", "", "\n", "x", groups.read(path)]) {
      expectNothing(() => groups.write(path, text), refused);
    }
  });

  test.each(NO_TEXTS)("%s is no text", (text) => {
    expectNothing(
      () => groups.write(`/a/${BIND}`, wrong(text)),
      says(TYPE, "text must be a string"),
    );
  });

  test("a group that is there is not made again", () => {
    expectNothing(() => groups.create("/"), says(EXISTS, "there is a group / already"));
    expectNothing(() => groups.create("/a"), EXISTS);
    expectNothing(() => groups.create("/a/b", { bindPortRange: { first: 1, last: 2 } }), EXISTS);
  });

  describe.each(RANGES)("%s", (_name, range, refused) => {
    test("is no range of a group", () => {
      expectNothing(setting(group, { bindPortRange: wrong(range) }), refused);
      const { says: _, ...unsaid } = refused;
      expectNothing(setting(group, { connectPortRange: wrong(range) }), unsaid);
    });

    test("makes no group, and none above it", () => {
      expectNothing(() => groups.create("/x/y", { bindPortRange: wrong(range) }), refused);
      const good = { first: 1, last: 2 };
      const { says: _, ...unsaid } = refused;
      expectNothing(
        () => groups.create("/x/y", { bindPortRange: good, connectPortRange: wrong(range) }),
        unsaid,
      );
    });
  });

  test.each([
    ["null", null, says(TYPE, "ranges must be an object")],
    ["a range", { first: 1, last: 2 }, says(VALUE, "ranges has no option")],
    ["a wrong name", { bindPortRang: {} }, says(VALUE, "known are ")],
    ["a pair", [1, 2], TYPE],
  ])("create refuses %s as ranges", (_name, ranges, refused) => {
    expectNothing(() => groups.create("/x/y", wrong(ranges)), refused);
  });

  test("what is undefined is as good as absent", () => {
    const ranges = { bindPortRange: undefined, connectPortRange: undefined };
    expect(groups.create("/x", wrong(ranges)).bindPortRange).toBe(undefined);
    using other = PortGroups.open({
      ...moduleFor(build),
      ...wrong<object>({ inherit: undefined }),
    });
    expect(other.root.path).toBe("/");
  });

  test("nothing of a group can be changed that is not to be", () => {
    const before = picture(groups);
    for (const name of ["path", "uses", "effective"]) {
      expect(Reflect.set(group, name, undefined)).toBe(false);
    }
    expect(Reflect.set(groups, "root", group)).toBe(false);
    expect(picture(groups)).toEqual(before);
  });

  test("a group that has been removed refuses every use", () => {
    const removed = groups.create("/gone");
    removed.remove();
    const refused = says(MISSING, "the group /gone has been removed");
    for (const act of callsOf(removed)) expectNothing(act, refused);
    expectNothing(() => groupAddress(removed, coreFor(build)), refused);
    // Another one under its name is another one.
    groups.create("/gone");
    for (const act of callsOf(removed)) expectNothing(act, refused);
  });

  test("a tree that has been closed refuses every use, but to be closed again", () => {
    const other = openGroups(build);
    const inside = other.create("/x");
    other.close();
    const refused = says(CLOSED, "the tree of groups has been closed");
    const operations = [
      ...callsOf(inside),
      ...callsOf(other.root),
      () => other.create("/y"),
      () => other.get("/x"),
      () => other.get("/nothing"),
      () => other.list("/"),
      () => other.read(`/${BIND}`),
      () => other.write(`/${BIND}`, "1 2"),
      () => groupAddress(inside, coreFor(build)),
    ];
    for (const act of operations) expectNothing(act, refused);
    expect(inside.path).toBe("/x");
    other.close();
    other[Symbol.dispose]();
  });

  test.each([undefined, null, 0, 5, "/a", {}, [], Object.create(PortGroup.prototype)])(
    "%s is no group",
    (value) => {
      expectNothing(
        () => groupAddress(value, coreFor(build)),
        says(TYPE, "group must be a PortGroup"),
      );
    },
  );

  test("a tree is no group, nor is a group of another module", () => {
    expectNothing(() => groupAddress(groups, coreFor(build)), TYPE);
    using others = PortGroups.open({ module: freshModule(build) });
    const foreign = says(VALUE, "group / lives in another module");
    expectNothing(() => groupAddress(others.root, coreFor(build)), foreign);
  });

  test("when memory runs out on the way, no group has been made", () => {
    const module = freshModule(build);
    const core = coreOf(module);
    const whole = core.exports;
    using others = PortGroups.open({ module });
    others.create("/a");
    const before = picture(others);
    for (let made = 0; made < 4; made++) {
      const removed: number[] = [];
      let left = made;
      const createGroup = (parent: number): number => (left-- > 0 ? whole.createGroup(parent) : 0);
      const removeGroup = (address: number): number => {
        removed.push(address);
        return whole.removeGroup(address);
      };
      Object.assign(core, { exports: { ...whole, createGroup, removeGroup } });
      const refused = { code: "ENOBUFS", reason: "no-memory", says: "in /a" };
      expectError(() => others.create("/a/b/c/d/e"), refused);
      expect(removed).toHaveLength(made);
      expect(picture(others)).toEqual(before);
    }
    Object.assign(core, { exports: whole });
    // Nothing that the names do not show is left below /a either.
    others.get("/a").remove();
    expect(others.create("/a/b/c/d/e").path).toBe("/a/b/c/d/e");
  });

  test("a tree or a list for which there is no memory is not opened", () => {
    const module = freshModule(build);
    const core = coreOf(module);
    Object.assign(core, { exports: { ...core.exports, openTree: () => 0, openReserved: () => 0 } });
    const refused = { code: "ENOBUFS", reason: "no-memory" };
    expectError(() => PortGroups.open({ module }), refused);
    expectError(() => new Tree(core, false), refused);
    const list = new ReservedPorts("1", { module });
    expectError(() => reservedAddress(list, core), refused);
    expect([list.text, list.has(1)]).toEqual(["1", true]);
  });

  // ── Reserved ports ──────────────────────────────────────────────────────────────────────

  test.each(MODULES)("no list of reserved ports is made with %s", (_name, options, refused) => {
    expectError(() => new ReservedPorts("", wrong(options)), refused);
  });

  test.each(NO_TEXTS.slice(1))("%s is no list of reserved ports", (text) => {
    const reserved = new ReservedPorts("7", moduleFor(build));
    expectError(() => new ReservedPorts(wrong(text)), says(TYPE, "text must be a string"));
    expectError(setting(reserved, { text: wrong(text) }), TYPE);
    expectError(setting(reserved, { text: wrong(undefined) }), TYPE);
    expect(reserved.text).toBe("7");
  });

  test.each([
    [-1, BAD_PORT],
    [65536, says(BAD_PORT, "an integer in 0..65535, got 65536")],
    [1.5, BAD_PORT],
    [Number.NaN, BAD_PORT],
    ["80", TYPE],
    [80n, TYPE],
    [undefined, TYPE],
    [null, TYPE],
  ])("%s is no port that could be reserved", (port, refused) => {
    const reserved = new ReservedPorts("", moduleFor(build));
    expectError(() => reserved.has(wrong(port)), refused);
  });

  test.each([undefined, null, "80", {}, [], Object.create(ReservedPorts.prototype)])(
    "%s is no ReservedPorts",
    (value) => {
      expectError(() => reservedAddress(value, coreFor(build)), says(TYPE, "a ReservedPorts"));
    },
  );

  test("a list serves the managers of its module alone", () => {
    const reserved = new ReservedPorts("", { module: freshModule(build) });
    const foreign = says(VALUE, "reserved lives in another module");
    expectError(() => reservedAddress(reserved, coreFor(build)), foreign);
    const own = new ReservedPorts("", moduleFor(build));
    expect(reservedAddress(own, coreFor(build))).toBeGreaterThan(0);
  });
});

test.each(NO_TEXTS)("%s is neither a sysctl's name nor its text", (value) => {
  const host = {
    portRange: () => ({ first: 1, last: 2 }),
    setPortRange: throwing(new Error("nothing was to be set")),
    reserved: { text: "" },
    unprivilegedPortStart: 0,
    tcpTwReuse: 0,
  };
  const sysctl = new Sysctl(host);
  expectError(() => sysctl.read(wrong(value)), says(TYPE, "name must be a string"));
  expectError(() => sysctl.write(wrong(value), "1"), TYPE);
  for (const name of sysctl.list()) {
    expectError(() => sysctl.write(name, wrong(value)), says(TYPE, "text must be a string"));
  }
});

/** All that can be asked of a group, but its path. */
function callsOf(group: PortGroup): (() => unknown)[] {
  const range = { first: 1, last: 2 };
  return [
    () => group.bindPortRange,
    () => group.connectPortRange,
    setting(group, { bindPortRange: range }),
    setting(group, { connectPortRange: undefined }),
    () => group.effective,
    () => group.uses,
    () => group.remove(),
  ];
}
