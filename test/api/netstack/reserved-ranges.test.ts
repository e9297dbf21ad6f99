// ReservedPorts changed range by range: random additions and deletions agree with a set of ports,
// in the list's text and in what a pool picks.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EXHAUSTED } from "../../../assembly/abi.ts";
import type { ReservedPorts } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, type Build, openOn } from "../../support/builds.ts";
import { DNS, reservedOn } from "./fixture.ts";

/** Across the edges of words of 64 ports. */
const RANGE = { first: 1000, last: 1200 };
const RUNS = 60;

type Change = readonly [what: "add" | "delete", first: number, length: number];

const CHANGES: fc.Arbitrary<Change[]> = fc.array(
  fc.tuple(
    fc.constantFrom<("add" | "delete")[]>("add", "delete"),
    fc.integer({ min: 990, max: 1199 }),
    fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constant(64), fc.integer({ min: 1, max: 150 })),
  ),
  { maxLength: 30 },
);

function apply(reserved: ReservedPorts, ports: Set<number>, [what, first, length]: Change): void {
  const last = first + length - 1;
  reserved[what](first, last);
  for (let port = first; port <= last; port++) ports[what](port);
}

function textOf(ports: ReadonlySet<number>): string {
  const spans: [number, number][] = [];
  for (const port of [...ports].sort((a, b) => a - b)) {
    const before = spans.at(-1);
    if (before?.[1] === port - 1) before[1] = port;
    else spans.push([port, port]);
  }
  return spans.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(",");
}

/** Whether a pool picks just what is in none of the ports, after each of the changes. */
function expectAgrees(build: Build, changes: readonly Change[]): void {
  using manager = openOn(build, { portRange: RANGE });
  using reserved = reservedOn(build);
  using pool = manager.pool({ ...DNS, reserved });
  const ports = new Set<number>();
  for (const change of changes) {
    apply(reserved, ports, change);
    expect(reserved.text).toBe(textOf(ports));
    expect(reserved.size).toBe(ports.size);
    const open = Array.from({ length: 201 }, (_, at) => 1000 + at).filter((one) => !ports.has(one));
    const picked = new Uint16Array(open.length);
    expect(pool.takeMany(picked)).toBe(open.length);
    expect([...picked].sort((a, b) => a - b)).toEqual(open);
    expect(pool.take()).toBe(EXHAUSTED);
    pool.freeMany(picked);
    verify(manager);
  }
}

describe.each(BUILDS)("%s build", (build) => {
  test("ranges are added and deleted as from a set", () => {
    fc.assert(
      fc.property(CHANGES, (changes) => expectAgrees(build, changes)),
      { numRuns: RUNS },
    );
  });

  test("the ends of all ports are added and deleted", () => {
    const reserved = reservedOn(build, "1");
    reserved.add(0);
    reserved.add(65_535);
    expect(reserved.text).toBe("0-1,65535");
    reserved.delete(0, 65_535);
    expect(reserved.text).toBe("");
  });
});

test.each([
  [[1, 0], "EINVAL"],
  [[-1, 1], "EINVAL"],
  [[0, 65_536], "EINVAL"],
  [[1.5], "EINVAL"],
  [["1"], "ERR_INVALID_ARG_TYPE"],
])("add and delete refuse %j, and change nothing", (args, code) => {
  const reserved = reservedOn("release", "7,9");
  for (const what of ["add", "delete"] as const) {
    const call = (): void => reserved[what](...(args as [number]));
    expect(call).toThrow(expect.objectContaining({ code }));
  }
  expect(reserved.text).toBe("7,9");
});
