// Memory limits and groups, alone: what a group costs a manager, and what costs it nothing. Stories
// under every limit are in netstack.test.ts.

import { expect, test } from "vitest";
import type { PortGroup, PortGroups, PortManager, Reservation } from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { openGroups } from "../api/groups/fixture.ts";
import { DNS } from "../api/netstack/fixture.ts";
import { caught, setting } from "../invalid-input/fixture.ts";
import { openOn } from "../support/builds.ts";

const LIMIT_MIN = 1024;

interface Opened {
  readonly manager: PortManager;
  readonly groups: PortGroups;
  readonly group: readonly PortGroup[];
  readonly usedAtOpen: number;
}

function opened(limit: number): Opened {
  const groups = openGroups("debug");
  const group = Array.from({ length: 60 }, (_, number) => groups.create(`/${number}`));
  const manager = openOn("debug", { seed: 1, memoryLimit: limit });
  return { manager, groups, group, usedAtOpen: manager.stats().memory.used };
}

/** False if it was refused for want of memory. */
function granted(act: () => void): boolean {
  const error = caught(act);
  if (error === "nothing was thrown") return true;
  expect(error).toMatchObject({ name: "PortError", code: "ENOBUFS", reason: "no-memory" });
  return false;
}

test("a reservation is refused where there is no memory for its group alone", () => {
  const outcomes = new Set<string>();
  const flags = { loadBalanced: true };
  for (let limit = LIMIT_MIN; limit < LIMIT_MIN + 400; limit += 8) {
    const { manager, groups, group, usedAtOpen } = opened(limit);
    const first = manager.reservePort({ ...DNS, flags, port: 80 });
    for (let port = 1; manager.stats().memory.used < 900; port++) {
      manager.reserveTuple({ ...DNS, port: 80, destination: { port } });
    }
    const used = manager.stats().memory.used;
    const another = (inGroup: object): boolean =>
      granted(() => manager.reservePort({ ...DNS, flags, port: 80, ...inGroup }).release());
    const without = another({});
    const within = another({ group: group[0] });
    const moved = granted(setting(first, { group: group[1] }));
    outcomes.add(`${without} ${within} ${moved}`);
    expect(group[0]?.uses).toBe(0);
    expect(group[1]?.uses).toBe(moved ? 1 : 0);
    first.group = undefined;
    expect(manager.stats().memory.used).toBe(used);
    expect(usedAtOpen).toBeLessThan(used);
    verify(manager);
    manager.close();
    groups.close();
  }
  expect(outcomes).toContain("true false true");
  expect(outcomes).toContain("true true true");
});

test("a release and a move out of a group need no memory", () => {
  const { manager, groups, group } = opened(LIMIT_MIN);
  const held: Reservation[] = [];
  const isGranted = (): boolean =>
    granted(() => {
      const number = held.length;
      held.push(manager.reservePort({ ...DNS, port: 80 + number, group: group[number] }));
    });
  while (isGranted());
  expect(held.length).toBeGreaterThan(5);
  expect(group.filter(({ uses }) => uses === 1)).toHaveLength(held.length);
  for (const [number, reservation] of held.entries()) {
    if (number % 3 === 0) reservation.group = undefined;
    if (number % 3 === 1) reservation.group = group[number];
    expect(reservation.release()).toBe(true);
    expect(group[number]?.uses).toBe(0);
    verify(manager);
  }
  manager.close();
  groups.close();
});

test("reserved ports and policies are not on the manager's bill", () => {
  const { manager, groups } = opened(LIMIT_MIN);
  const policies = openOn("debug", {
    memoryLimit: LIMIT_MIN,
    selection: { algorithm: "double-hash", slots: 65_536 },
  });
  expect(policies.stats().memory.used).toBe(manager.stats().memory.used);
  for (const each of [manager, policies]) each.close();
  groups.close();
});
