// Pools in every form that their set of ports can take, and in each company, under a list and a
// group that change while they are open. Each answer is looked up port by port.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EMPTY_RANGE, EXHAUSTED, IN_USE, OUTSIDE_GROUP } from "../../../assembly/abi.ts";
import type {
  PortGroup,
  PortGroups,
  PortManager,
  PortPool,
  PortRange,
  ReservedPorts,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, openOn } from "../../support/builds.ts";
import { openGroups } from "../groups/fixture.ts";
import { type AnyRequest, DNS, reservedOn, SERVER, WEB } from "./fixture.ts";

/** How many ports a pool holds beside what is looked at: each form, and where it changes. */
const SIZES = [0, 1, 9, 25, 64, 65, 200];
/** Where words of 64 and groups of 4096 begin and end. */
const EDGES = [1, 2, 62, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 65471, 65472, 65534, 65535];
/** Ranges between edges that are not too far from each other. */
const RANGES: readonly PortRange[] = EDGES.flatMap((first) =>
  EDGES.filter((last) => first <= last && last - first < 130).map((last) => ({ first, last })),
);
const AWAY = 30_000;

describe.each(BUILDS)("%s build", (build) => {
  let manager: PortManager;
  let groups: PortGroups;
  let group: PortGroup;
  let reserved: ReservedPorts;
  beforeEach(() => {
    groups = openGroups(build);
    group = groups.create("/a");
    reserved = reservedOn(build);
    manager = openOn(build, { seed: 1, portRange: { first: 1, last: 65535 } });
  });
  afterEach(() => {
    verify(manager);
    manager.close();
    expect(group.uses).toBe(0);
    groups.close();
  });

  /** The first port from an offset on that is neither reserved nor taken. */
  function plain({ first, last }: PortRange, offset: number, taken: ReadonlySet<number>): number {
    const count = last - first + 1;
    for (let tried = 0; tried < count; tried++) {
      const port = first + ((offset + tried) % count);
      if (!reserved.has(port) && !taken.has(port)) return port;
    }
    return EXHAUSTED;
  }

  /** From the ends of a range, the edges in it, and beyond. */
  function offsetsIn({ first, last }: PortRange): number[] {
    const within = EDGES.filter((port) => first <= port && port <= last);
    return [...within.map((port) => port - first), last - first + 1, 2 ** 32 - 1 - last];
  }

  /** Each search takes what it should, and gives it back. */
  function expectTakes(pool: PortPool, range: PortRange, taken: ReadonlySet<number>): void {
    for (const offset of offsetsIn(range)) {
      const wanted = plain(range, offset, taken);
      const got = pool.take(offset);
      if (got !== wanted) {
        const where = `${range.first}..${range.last} from ${offset}, reserved ${reserved.text}`;
        expect(got, where).toBe(wanted);
      }
      if (got > 0 && !pool.free(got)) expect.fail(`${got} cannot be freed`);
    }
  }

  function fill(pool: PortPool, size: number): Set<number> {
    const ports = Array.from({ length: size }, (_, index) => AWAY + index);
    for (const port of ports) if (pool.takeAt(port) !== port) expect.fail(`${port} is taken`);
    return new Set(ports);
  }

  // ── Forms ───────────────────────────────────────────────────────────────────────────────

  describe.each(SIZES)("a pool alone that holds %i ports", (size) => {
    let pool: PortPool;
    beforeEach(() => {
      pool = manager.pool({ ...DNS, group, reserved });
      fill(pool, size);
    });

    test("finds what a list leaves in any range, at any edge of a word", () => {
      for (const range of RANGES) {
        group.bindPortRange = range;
        const { first, last } = range;
        const middle = (first + last) >> 1;
        for (const ranges of [
          [],
          [[first, first]],
          [[last, last]],
          [[first, last - 1]],
          [[first + 1, last]],
          [[first, last]],
          [
            [first, middle - 1],
            [middle + 1, last],
          ],
          [
            [0, 63],
            [128, 191],
            [4096, 8191],
            [65472, 65535],
          ],
          [[0, 65535]],
        ] as const) {
          reserved.text = textOf(ranges);
          expectTakes(pool, range, new Set());
        }
      }
      expect(pool.held).toBe(size);
    });

    test("passes over a list that comes and goes, and over what it holds itself", () => {
      const range = { first: 50, last: 140 };
      group.bindPortRange = range;
      const taken = new Set<number>();
      const own = [63, 64, 65, 127, 128, 50, 140];
      for (const port of own) {
        expect(pool.takeAt(port)).toBe(port);
        taken.add(port);
        for (const text of ["60-70", "", "63", "50-126,129-139", "66-126", "0-65535", ""]) {
          reserved.text = text;
          expectTakes(pool, range, taken);
        }
      }
      for (const port of own) {
        reserved.text = `${port}`;
        expect(pool.takeAt(port)).toBe(IN_USE);
        expect(pool.free(port)).toBe(true);
        taken.delete(port);
        expectTakes(pool, range, taken);
        reserved.text = "";
        expectTakes(pool, range, taken);
      }
    });

    test("follows a group that narrows and widens, down to one port and to none", () => {
      for (const port of EDGES) {
        group.bindPortRange = { first: port, last: port };
        for (const offset of [0, 1, 63, 2 ** 32 - 1]) {
          reserved.text = "";
          expect(pool.take(offset)).toBe(port);
          expect(pool.take(offset)).toBe(EXHAUSTED);
          expect(pool.free(port)).toBe(true);
          reserved.text = `${port}`;
          expect(pool.take(offset)).toBe(EXHAUSTED);
          expect(pool.takeAt(port)).toBe(port);
          expect(pool.takeAt(port === 1 ? 2 : port - 1)).toBe(OUTSIDE_GROUP);
          expect(pool.free(port)).toBe(true);
        }
        groups.root.bindPortRange = { first: 20_000, last: 20_000 };
        expect([pool.take(0), pool.take(), pool.takeAt(port)]).toEqual([
          EMPTY_RANGE,
          EMPTY_RANGE,
          OUTSIDE_GROUP,
        ]);
        groups.root.bindPortRange = undefined;
      }
      expect(pool.held).toBe(size);
    });
  });

  // ── Full words, full groups of words ────────────────────────────────────────────────────

  test("a search passes over a bitmap and a list that are full by turns, by words and groups", () => {
    const pool = manager.pool({ ...DNS, reserved });
    const taken = new Set<number>();
    const batch = new Uint16Array(8192);
    manager.setPortRange(4096, 12_287);
    expect(pool.takeMany(batch)).toBe(8192);
    for (const port of batch) taken.add(port);
    // Held: every second word of the first group, and the second group as a whole.
    for (let port = 4096; port < 8192; port++) {
      if ((port >> 6) % 2) continue;
      expect(pool.free(port)).toBe(true);
      taken.delete(port);
    }
    manager.setPortRange(1, 65535);
    const whole = { first: 1, last: 65535 };
    const spans = (words: readonly number[]): string =>
      words.map((word) => `${word * 64}-${word * 64 + 63}`).join();
    const even = Array.from({ length: 32 }, (_, index) => 64 + 2 * index);
    for (const text of ["0-4095", "1-4095,12288-65535", spans(even), `0-4095,${spans(even)}`]) {
      reserved.text = text;
      expectTakes(pool, whole, taken);
      for (const first of [4000, 4096, 4159, 4160, 8191, 8192]) {
        for (const last of [8191, 8192, 12_287, 12_288, 65535]) {
          if (last < first) continue;
          manager.setPortRange(first, last);
          expectTakes(pool, { first, last }, taken);
        }
      }
      manager.setPortRange(1, 65535);
    }
    for (const left of [4096, 4159, 4224, 8127]) {
      reserved.text = `0-${left - 1},${left + 1}-65535`;
      expectTakes(pool, whole, taken);
    }
  });

  test("a search finds the only port that is not reserved, wherever it lies", () => {
    const pool = manager.pool({ ...DNS, reserved });
    fill(pool, 70);
    for (const port of [...EDGES, 8191, 8192, 40_959, 40_960]) {
      const below = `0-${port - 1}`;
      reserved.text = port === 65535 ? below : `${below},${port + 1}-65535`;
      for (const offset of [0, port - 1, port, 65534, 2 ** 32 - 1]) {
        expect(pool.take(offset)).toBe(port);
        expect(pool.take(offset)).toBe(EXHAUSTED);
        expect(pool.free(port)).toBe(true);
      }
    }
  });

  test("takes one by one get all ports that are left, over every edge", () => {
    const pool = manager.pool({ ...DNS, group, reserved });
    group.bindPortRange = { first: 4000, last: 4250 };
    reserved.text = "4032-4095,4097,4150-4200";
    const taken = new Set<number>();
    for (let turn = 0; ; turn++) {
      const offset = turn * 37;
      const wanted = plain({ first: 4000, last: 4250 }, offset, taken);
      expect(pool.take(offset)).toBe(wanted);
      if (wanted < 0) break;
      taken.add(wanted);
      if (turn % 16 === 0) verify(manager);
    }
    expect(taken.size).toBe(251 - 64 - 1 - 51);
  });

  // ── Company ─────────────────────────────────────────────────────────────────────────────

  const RANGE = { first: 1020, last: 1160 };

  /** What others hold, and what that leaves to a pool, is found again after each change. */
  function expectFollows(request: AnyRequest, taken: ReadonlySet<number>, size: number): void {
    using pool = manager.pool({ ...request, group, reserved });
    group.bindPortRange = undefined;
    reserved.text = "";
    const own = fill(pool, size);
    group.bindPortRange = RANGE;
    group.connectPortRange = RANGE;
    for (const text of ["", "1020-1023", "1024-1087", "1088-1160", "1-1159", "0-65535", ""]) {
      reserved.text = text;
      expectTakes(pool, RANGE, taken);
      group.bindPortRange = { first: 1063, last: 1090 };
      group.connectPortRange = { first: 1063, last: 1090 };
      expectTakes(pool, { first: 1063, last: 1090 }, taken);
      group.bindPortRange = RANGE;
      group.connectPortRange = RANGE;
      verify(manager);
    }
    group.bindPortRange = undefined;
    group.connectPortRange = undefined;
    for (const port of own) expect(pool.free(port)).toBe(true);
  }

  describe.each([0, 1, 10, 70])("a pool with %i ports of its own takes what is left", (size) => {
    const ports = [1024, 1063, 1064, 1087, 1088, 1100];

    test("beside pools at other addresses, which count for any", () => {
      for (const [index, port] of ports.entries()) {
        manager.reservePort({ ...DNS, address: `10.0.0.${index % 3}`, port });
      }
      expectFollows(DNS, new Set(ports), size);
      expectFollows({ ...DNS, address: "10.0.0.1" }, new Set([1063, 1088]), size);
      expectFollows({ ...DNS, address: "10.0.0.9" }, new Set(), size);
    });

    test("beside other destinations, devices and networks", () => {
      manager.reservePort({ ...DNS, port: 1064 });
      manager.reservePort({ ...DNS, destination: SERVER, port: 1087, bindToDevice: 1 });
      manager.reservePort({ ...DNS, networks: [6], destination: { port: 7 }, port: 1090 });
      expectFollows(DNS, new Set([1064, 1087]), size);
      expectFollows({ ...DNS, bindToDevice: 1 }, new Set([1064, 1087]), size);
      expectFollows({ ...DNS, bindToDevice: 2 }, new Set([1064]), size);
      expectFollows({ ...DNS, networks: [4, 6] }, new Set([1064, 1087, 1090]), size);
      const to = { ...DNS, destination: { address: "9.9.9.8", port: 1 } };
      expectFollows(to, new Set([1064]), size);
    });

    test("among several that block, as many as are remembered and more", () => {
      const taken = new Set<number>();
      // One uncounted flow, and an aggregate for each combination of flags.
      for (let number = 0; number < 7; number++) {
        const flags = { loadBalanced: number % 2 > 0, mostRecent: number % 4 > 1 };
        const destination = { port: 100 + number };
        const port = 1060 + 5 * number;
        manager.reservePort({ ...DNS, flags, destination, port });
        taken.add(port);
        expectFollows(DNS, taken, size);
        expectFollows({ ...DNS, destination: SERVER }, taken, size);
      }
    });

    test("where it blocks in part: shared flags, unique tuples", () => {
      const flags = { loadBalanced: true };
      manager.reservePort({ ...DNS, flags, port: 1063 });
      manager.reservePort({ ...DNS, flags: { mostRecent: true, loadBalanced: true }, port: 1064 });
      manager.reservePort({ ...DNS, port: 1065 });
      expectFollows({ ...DNS, flags }, new Set([1065]), size);
      expectFollows({ ...DNS, flags: { mostRecent: true } }, new Set([1063, 1065]), size);
      expectFollows({ ...DNS, flags, networks: [4, 6] }, new Set([1065]), size);
    });
  });

  test("a pool is right when it is alone, beside another, and alone again", () => {
    const pool = manager.pool({ ...DNS, group, reserved });
    const ports = new Uint16Array(100);
    manager.setPortRange(RANGE.first, RANGE.last);
    reserved.text = "1030-1069,1150-1160";
    expect(pool.takeMany(ports)).toBe(RANGE.last - RANGE.first + 1 - 51);
    const taken = new Set(ports);
    for (const port of [1020, 1070, 1080, 1149]) {
      expect(pool.free(port)).toBe(true);
      taken.delete(port);
    }
    for (const request of [
      DNS,
      WEB,
      { ...DNS, address: "10.0.0.1" },
      { ...DNS, bindToDevice: 7 },
    ]) {
      expectTakes(pool, RANGE, taken);
      const company = manager.pool({ ...request, flags: { loadBalanced: true } });
      expect(company.takeAt(1070)).toBe(1070);
      const meets = request.transport === DNS.transport;
      expectTakes(pool, RANGE, meets ? new Set([...taken, 1070]) : taken);
      reserved.text = "1080";
      expectTakes(pool, RANGE, meets ? new Set([...taken, 1070]) : taken);
      company.free(1070);
      expectTakes(pool, RANGE, taken);
      company.close();
      reserved.text = "1030-1069,1150-1160";
      verify(manager);
    }
    expectTakes(pool, RANGE, taken);
  });

  test("a unique pool whose flags share with itself passes over a list and its own ports", () => {
    const request = { ...WEB, destination: SERVER, flags: { tupleOnly: true }, reserved };
    const unique = manager.pool({ ...request, unique: true });
    const plainOne = manager.pool(request);
    manager.setPortRange(1020, 1099);
    reserved.text = "1024-1029";
    const range = { first: 1020, last: 1099 };
    expect(unique.takeMany(new Uint16Array(70))).toBe(70);
    const taken = new Set(portsBetween(range).filter((port) => unique.has(port)));
    expectTakes(unique, range, taken);
    expect([...taken].some((port) => reserved.has(port))).toBe(false);
    // The other may share them, but not take what is reserved.
    expect(plainOne.take(4)).toBe(1030);
    reserved.text = "1020-1090";
    expectTakes(unique, range, taken);
    expect(plainOne.take(4)).toBe(1091);
  });
});

/** The ranges that are not empty, as a list has them. */
function textOf(ranges: readonly (readonly [number, number])[]): string {
  const spans = ranges.filter(([first, last]) => first <= last);
  return spans.map(([first, last]) => `${first}-${last}`).join();
}

function portsBetween({ first, last }: PortRange): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
