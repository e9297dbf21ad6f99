// Bad groups, lists and policies: each is answered by a typed error that says what would be right,
// and neither managers, nor groups, nor memory have changed.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OUTSIDE_GROUP } from "../../assembly/abi.ts";
import { PortGroup } from "../../bindings/groups/group.ts";
import {
  PortGroups,
  type PortManager,
  type PortPool,
  type Reservation,
  ReservedPorts,
} from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { openGroups, picture } from "../api/groups/fixture.ts";
import { DNS, instanceBytes, reservedOn, SERVER, WEB } from "../api/netstack/fixture.ts";
import { BUILDS, freshModule, openOn } from "../support/builds.ts";
import {
  all,
  caught,
  expectError,
  getting,
  type Refused,
  type Row,
  says,
  throwing,
  wrong,
} from "./fixture.ts";

const TYPE: Refused = { code: "ERR_INVALID_ARG_TYPE", reason: "invalid-argument" };
const VALUE: Refused = { code: "ERR_INVALID_ARG_VALUE", reason: "invalid-argument" };
const GONE: Refused = { code: "ENOENT", reason: "not-found" };
const CLOSED: Refused = { code: "EBADF", reason: "closed" };

const RANGE = { first: 2000, last: 2009 };

describe.each(BUILDS)("%s build", (build) => {
  let manager: PortManager;
  let groups: PortGroups;
  let group: PortGroup;
  let reserved: ReservedPorts;
  let held: Reservation;
  let pool: PortPool;
  beforeEach(() => {
    groups = openGroups(build);
    group = groups.create("/a", { bindPortRange: RANGE });
    reserved = reservedOn(build, "2000-2002");
    manager = openOn(build, { seed: 1, portRange: RANGE });
    held = manager.reservePort({ ...DNS, group });
    pool = manager.pool({ ...DNS, group, reserved });
    pool.takeMany(new Uint16Array(3));
    expect(group.uses).toBe(2);
  });
  afterEach(() => {
    manager.close();
    expect(group.uses).toBe(0);
    groups.close();
  });

  function everything(): unknown {
    verify(manager);
    return [
      manager.stats(),
      manager.portRange(),
      instanceBytes(build),
      picture(groups),
      [held.released, held.group, pool.group, pool.held],
      reserved.text,
    ];
  }

  function expectRefused(act: () => unknown, refused: Refused): void {
    const before = everything();
    expectError(act, refused);
    expect(everything()).toEqual(before);
  }

  /** Every way to name a group, and to name a list. */
  const inGroup: readonly (readonly [string, (bad: never) => unknown])[] = [
    ["reservePort with a port", (bad) => manager.reservePort({ ...DNS, port: 80, group: bad })],
    ["reservePort without one", (bad) => manager.reservePort({ ...WEB, group: bad, offset: 1 })],
    [
      "reservePort with a tester",
      (bad) => manager.reservePort({ ...WEB, group: bad }, throwing(new Error("was asked"))),
    ],
    ["isAvailable", (bad) => manager.isAvailable({ ...DNS, port: 80, group: bad })],
    ["releasePort", (bad) => manager.releasePort({ ...DNS, port: held.port, group: bad })],
    ["pool", (bad) => manager.pool({ ...WEB, networks: [4, 6], group: bad })],
    ["the group of a reservation", (bad) => setGroup(held, bad)],
    ["the group of a pool", (bad) => setGroup(pool, bad)],
  ];
  const byList: readonly (readonly [string, (bad: never) => unknown])[] = [
    ["reservePort", (bad) => manager.reservePort({ ...DNS, reserved: bad })],
    ["reservePort with a port", (bad) => manager.reservePort({ ...DNS, port: 9, reserved: bad })],
    ["pool", (bad) => manager.pool({ ...WEB, reserved: bad })],
  ];

  // ── Groups ──────────────────────────────────────────────────────────────────────────────

  describe.each(inGroup)("%s", (_name, act) => {
    test.each<Row>([
      ...all(TYPE, null, 0, 70_000, Number.NaN, 5n, "/a", {}, [], Symbol("group"), () => "/a"),
      ...all(TYPE, true, { path: "/a" }, Object.create(PortGroup.prototype)),
      ["its prototype", PortGroup.prototype, TYPE],
    ])("refuses %s as group", (_name, bad) => {
      expectRefused(() => act(wrong(bad)), says(TYPE, "group must be a PortGroup"));
    });

    test("refuses what stands for a group, or belongs to one", () => {
      const refused = says(TYPE, "group must be a PortGroup, as PortGroups makes them");
      expectRefused(() => act(wrong(groups)), refused);
      expectRefused(() => act(wrong(new Proxy(group, {}))), refused);
      expectRefused(() => act(wrong(reserved)), refused);
      expectRefused(() => act(wrong(manager)), refused);
      expectRefused(() => act(wrong([group])), refused);
    });

    test("refuses a group of another module", () => {
      using others = PortGroups.open({ module: freshModule(build) });
      const refused = says(VALUE, "group /x lives in another module");
      const foreign = others.create("/x");
      expectRefused(() => act(wrong(foreign)), refused);
      expect(foreign.uses).toBe(0);
    });

    test("refuses a group that has been removed", () => {
      const gone = groups.create("/gone");
      gone.remove();
      expectRefused(() => act(wrong(gone)), says(GONE, "the group /gone has been removed"));
      const again = groups.create("/gone");
      expectRefused(() => act(wrong(gone)), GONE);
      expect(again.uses).toBe(0);
    });

    test("refuses a group of a tree that has been closed", () => {
      const others = openGroups(build);
      const inside = [others.create("/x"), others.root];
      others.close();
      const refused = says(CLOSED, "the tree of groups has been closed");
      for (const bad of inside) expectRefused(() => act(wrong(bad)), refused);
    });

    test("takes undefined for none", () => {
      expect(caught(() => act(wrong(undefined)))).not.toMatchObject(TYPE);
    });
  });

  // ── Lists of reserved ports ─────────────────────────────────────────────────────────────

  describe.each(byList)("%s", (_name, act) => {
    test.each<Row>([
      ...all(TYPE, null, 2000, "2000-2002", [2000, 2001], new Set([2000]), {}, false),
      ...all(TYPE, Symbol("reserved"), Object.create(ReservedPorts.prototype)),
    ])("refuses %s as reserved", (_name, bad) => {
      expectRefused(() => act(wrong(bad)), says(TYPE, "reserved must be a ReservedPorts"));
    });

    test("refuses what stands for a list, and a group", () => {
      const refused = says(TYPE, "reserved must be a ReservedPorts");
      expectRefused(() => act(wrong(new Proxy(reserved, {}))), refused);
      expectRefused(() => act(wrong(group)), refused);
    });

    test("refuses a list of another module", () => {
      const foreign = new ReservedPorts("80", { module: freshModule(build) });
      expectRefused(() => act(wrong(foreign)), says(VALUE, "reserved lives in another module"));
    });

    test("takes undefined for none", () => {
      expect(caught(() => act(wrong(undefined)))).toBe("nothing was thrown");
    });
  });

  // ── Options where they do not belong ────────────────────────────────────────────────────

  test("each call refuses what it does not know", () => {
    const at = { ...DNS, port: 80 };
    expectRefused(() => manager.reserveTuple(wrong({ ...at, group })), says(VALUE, '"group"'));
    expectRefused(
      () => manager.reserveTuple(wrong({ ...at, group: undefined })),
      says(VALUE, '"group"'),
    );
    const noList = says(VALUE, 'request has no option "reserved"');
    expectRefused(() => manager.reserveTuple(wrong({ ...at, reserved })), noList);
    expectRefused(() => manager.isAvailable(wrong({ ...at, reserved })), noList);
    expectRefused(() => manager.releasePort(wrong({ ...at, reserved })), noList);
    const noPolicy = says(VALUE, 'no option "selection"');
    expectRefused(() => manager.reservePort(wrong({ ...DNS, selection: "hash" })), noPolicy);
    const noOrder = says(VALUE, 'selection must be "fifo"');
    expectRefused(() => manager.pool(wrong({ ...DNS, selection: "hash" })), noOrder);
  });

  test.each(["gruop", "Group", "reservedPorts"])("%s is no option", (name) => {
    const refused = says(VALUE, `no option "${name}"; known are `);
    expectRefused(() => manager.reservePort(wrong({ ...DNS, [name]: group })), refused);
    expectRefused(() => manager.pool(wrong({ ...DNS, [name]: group })), refused);
  });

  test("releasePort takes no reservation object, in a group or not", () => {
    expectRefused(() => manager.releasePort(held), says(VALUE, "release() of its own"));
  });

  test("a group and all else are read once", () => {
    const reads: string[] = [];
    const spied = new Proxy({ ...DNS, group, reserved, port: 2009 } as const, {
      get(request, name) {
        reads.push(String(name));
        return Reflect.get(request, name);
      },
    });
    manager.reservePort(spied).release();
    expect(reads.sort()).toEqual(["group", "networks", "port", "reserved", "transport"]);
  });

  test("what a getter throws is passed on, and nothing has changed", () => {
    const error = new Error("mine");
    for (const name of ["group", "reserved", "port", "offset", "destination"]) {
      const request = getting({ ...DNS, group, reserved }, name, throwing(error));
      const before = everything();
      expect(caught(() => manager.reservePort(request))).toBe(error);
      expect(everything()).toEqual(before);
    }
  });

  test("a getter that removes the group on the way to a call: it is refused", () => {
    for (const name of ["address", "destination", "offset", "reserved", "transport"]) {
      const other = groups.create("/other");
      const request = { ...DNS, group: other };
      const value = name === "transport" ? 17 : undefined;
      getting(request, name, () => {
        other.remove();
        return value;
      });
      const used = manager.stats();
      expect(caught(() => manager.reservePort(request))).toMatchObject(GONE);
      expect(manager.stats()).toEqual(used);
    }
  });

  // ── Policies ────────────────────────────────────────────────────────────────────────────

  const OUT = { ...VALUE, code: "ERR_OUT_OF_RANGE" };
  const own = (algorithm: string, more: object): object => ({ algorithm, ...more });
  test.each<Row>([
    ["null", null, says(TYPE, "selection must be an object, got null")],
    ["a number", 3, says(TYPE, "selection must be a name or an object")],
    ["a list", ["hash"], says(TYPE, "got an array of 1")],
    ["no name", {}, says(TYPE, "selection.algorithm must be a string")],
    ["an unknown name", "hsah", says(VALUE, 'got "hsah"')],
    ["an empty algorithm", own("", {}), says(VALUE, "selection.algorithm must be one of")],
    ["a name of Object", "constructor", says(VALUE, 'got "constructor"')],
    ["an unknown option", own("double-hash", { slot: 1 }), says(VALUE, "known are algorithm, ")],
    ["an option of another", own("sequential", { slots: 1 }), says(VALUE, 'no option "slots"')],
    ["an option of none", own("random-retry", { from: 1 }), says(VALUE, "has no options")],
    ["no slots", own("double-hash", { slots: 0 }), says(OUT, "in 1..65536, got 0")],
    ["many slots", own("double-hash", { slots: 65_537 }), says(OUT, "selection.slots")],
    ["null slots", own("double-hash", { slots: null }), says(TYPE, "got null")],
    ["half a slot", own("double-hash", { slots: 1.5 }), says(OUT, "got 1.5")],
    ["no step", own("random-increments", { increment: 0 }), says(OUT, "1..65535, got 0")],
    ["a text as step", own("random-increments", { increment: "5" }), says(TYPE, ".increment")],
    ["a negative start", own("sequential", { from: -1 }), says(OUT, "got -1")],
    ["a start of 33 bits", own("hash", { from: 2 ** 32 }), says(OUT, "selection.from")],
    [
      "a short secret",
      own("hash", { secret: new Uint8Array(31) }),
      says(VALUE, "32 bytes, got 31"),
    ],
    ["a secret that is detached", own("hash", { secret: detached() }), says(VALUE, "got 0")],
    ["a text as secret", own("hash", { secret: "s" }), says(TYPE, "Uint8Array of 32 bytes")],
    ...all(TYPE, () => "hash", Symbol("hash"), own("hash", { secret: new Uint32Array(8) })),
    ...all(TYPE, own("hash", { secret: Array(32).fill(0) })),
    ...all(VALUE, "", "Hash", Object("hash")),
  ])("open refuses %s as selection", (_name, selection, refused) => {
    expectRefused(() => openOn(build, wrong({ selection })), refused);
    expectRefused(() => openOn(build, wrong({ selection, memoryLimit: 2048 })), refused);
  });

  test("open takes undefined for the policy that is the default", () => {
    openOn(build, wrong({ selection: undefined })).close();
    openOn(build, wrong({ selection: { algorithm: "hash", secret: undefined } })).close();
  });

  test("all else that is wrong is refused before a policy takes memory", () => {
    const selection = { algorithm: "double-hash", slots: 65_536 };
    for (const options of [
      { selection, seed: -1 },
      { selection, memoryLimit: 5 },
      { selection, portRange: { first: 2, last: 1 } },
      { selection, module: {} },
      { selection, modul: undefined },
    ]) {
      const before = everything();
      expect(caught(() => openOn("release", wrong(options)))).toMatchObject({ name: "PortError" });
      expect(everything()).toEqual(before);
    }
  });

  // ── What a refusal says ─────────────────────────────────────────────────────────────────

  test("a port outside its group: where it was asked, and whose range that is", () => {
    const child = groups.create("/a/b", { bindPortRange: { first: 2005, last: 2019 } });
    const at = (port: number): unknown =>
      caught(() => manager.reservePort({ ...DNS, address: "10.0.0.1", group: child, port }));
    expect(at(2010)).toMatchObject({
      code: "EACCES",
      reason: "outside-group",
      syscall: "bind",
      address: "10.0.0.1",
      port: 2010,
      searched: undefined,
    });
    const range = "udp 10.0.0.1:2010: the bind port range of group /a/b is 2005..2009";
    expect((at(2010) as Error).message).toBe(`EACCES: ${range}, set by /a: 2010 is above it`);
    expect((at(1) as Error).message).toContain("2005..2009, set by /a/b: 1 is below it");
    const to = { ...WEB, destination: SERVER, group: child, port: 5 };
    child.connectPortRange = { first: 6, last: 6 };
    expect(caught(() => manager.reservePort(to))).toMatchObject({
      code: "EACCES",
      syscall: "connect",
      message:
        "EACCES: tcp 0.0.0.0:5 -> 9.9.9.9:443: " +
        "the connect port range of group /a/b is 6, set by /a/b: 5 is below it",
    });
    group.bindPortRange = { first: 1, last: 2004 };
    expect((at(2005) as Error).message).toContain(
      "the bind port range of group /a/b is empty: /a/b has 2005..2019 and /a has 1..2004",
    );
    expect(child.uses).toBe(0);
  });

  test("a range of which a group leaves nothing: what was to be searched", () => {
    const any = (): unknown => caught(() => manager.reservePort({ ...DNS, group }));
    group.bindPortRange = { first: 3000, last: 3001 };
    expect(any()).toMatchObject({
      code: "EACCES",
      reason: "empty-range",
      syscall: "bind",
      address: "0.0.0.0",
      port: 0,
      message:
        "EACCES: udp 0.0.0.0:0: the bind port range of group /a is 3000..3001, " +
        "set by /a: 2000..2009 is below it",
    });
    group.bindPortRange = { first: 1, last: 1 };
    expect((any() as Error).message).toContain("is 1, set by /a: 2000..2009 is above it");
    group.bindPortRange = undefined;
    groups.root.bindPortRange = { first: 10, last: 10 };
    const to = { ...DNS, networks: [6, 4], destination: SERVER, group };
    manager.reservePort(to).release();
    groups.root.connectPortRange = { first: 10, last: 10 };
    expect(caught(() => manager.reservePort(to))).toMatchObject({
      code: "EACCES",
      reason: "empty-range",
      syscall: "connect",
      address: "::",
    });
  });

  test("a group that allows a port does not make it free", () => {
    expect(caught(() => manager.reservePort({ ...DNS, group, port: held.port }))).toMatchObject({
      code: "EADDRINUSE",
      reason: "port-in-use",
    });
    expect(pool.takeAt(2010)).toBe(OUTSIDE_GROUP);
  });
});

function setGroup(holder: PortPool | Reservation, group: PortGroup): void {
  holder.group = group;
}

function detached(): Uint8Array {
  const bytes = new Uint8Array(32);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}
