// Life of systems that are never closed: the core takes them back once they are forgotten, with
// their sockets, TIME_WAITs and uses of groups, and not before.

import { expect, test } from "vitest";
import { coreOf } from "../../../bindings/core/core.ts";
import { PortGroups } from "../../../bindings/index.ts";
import { linuxCoreOf } from "../../../bindings/linux/core.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import { freshModules } from "../../support/builds.ts";
import { collectTimes, collectUntil, watch } from "../../support/collecting.ts";
import type { Watched2632 } from "./fixture.ts";

test("a system that is forgotten is given back, with all that it holds", async () => {
  const { modules, opened, closed, selectors } = watched();
  using groups = PortGroups.open({ module: modules.module });
  const group = groups.create("/web");
  (() => {
    const ports = Linux2632Ports.open({ ...modules, bindSelection: "double-hash" });
    ports.socket({ group }).bind("", 0);
    ports.socket({ group }).listen();
    ports.socket({ group }).connect("192.0.2.1", 443);
    const waiting = ports.socket({ group });
    waiting.connect("192.0.2.2", 443);
    waiting.close({ timeWait: true });
  })();
  expect(group.uses).toBe(3);
  await collectUntil(() => closed().length > 0 && new Set(selectors()).size === 1);
  expect(closed()).toEqual(opened());
  expect(selectors()).toEqual([2, 2]);
  expect(group.uses).toBe(0);
  group.remove();
});

test("a system that is closed is not given back once more", async () => {
  const { modules, opened, closed, selectors } = watched();
  (() => {
    const ports = Linux2632Ports.open(modules);
    ports.socket().bind("", 0);
    ports.close();
  })();
  expect(closed()).toEqual(opened());
  await collectTimes(10);
  expect(closed()).toHaveLength(1);
  expect(selectors()).toEqual([1, 1]);
});

test("a system lives as long as it is referenced, and so does its reserved list", async () => {
  const { modules, closed } = watched();
  using ports = (() => {
    const all = Linux2632Ports.open({ ...modules, portRange: { first: 2000, last: 2001 } });
    all.reserved.text = "2000";
    all.socket().bind("", 3000);
    return all;
  })();
  await collectTimes(10);
  expect(closed()).toEqual([]);
  // Its socket is forgotten, but the port is not free.
  expect(ports.bindBucket(3000)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
  expect(ports.socket().bind("", 0)).toBe(2001);
});

test("a tree whose groups are used lives as long as the system, whichever object is forgotten", async () => {
  const { modules, closed } = watched();
  using ports = Linux2632Ports.open(modules);
  (() => {
    const group = PortGroups.open({ module: modules.module }).create("/a/b", {
      bindPortRange: { first: 40_000, last: 40_000 },
    });
    ports.socket({ group }).bind("", 0);
  })();
  await collectTimes(10);
  expect(closed()).toEqual([]);
  expect(ports.bindBucket(40_000)?.owners).toBe(1);
});

test("many systems, opened and forgotten, do not add up", async () => {
  const modules = freshModules("release");
  const taken = (): number => Linux2632Ports.open(modules).stats().memory.taken;
  const fill = (): void => {
    const ports = Linux2632Ports.open(modules);
    for (let port = 1; port <= 100; port++) {
      ports.socket().connect("192.0.2.1", port);
    }
  };
  const figures: number[] = [];
  for (let round = 0; round < 5; round++) {
    for (let turn = 0; turn < 50; turn++) fill();
    await collectTimes(3);
    figures.push(taken());
  }
  // Fifty systems of 30 KB each are 1.5 MB; five times that would be seen.
  expect(figures.at(-1)).toBeLessThan((figures[0] as number) * 2.5);
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** A core of its own, which is watched, and so is the linux module over it. */
function watched() {
  const modules = freshModules("debug");
  const core = coreOf(modules.module);
  const linux = linuxCoreOf(core, modules.linuxModule);
  const { verify2632, closeSystem2632: close } = linux.exports as Watched2632;
  const closeSystem2632 = (system: number): void => {
    verify2632(system);
    close(system);
  };
  Object.assign(linux, { exports: { ...linux.exports, closeSystem2632 } });
  const systems = watch(linux, "open2632", "closeSystem2632");
  const selectors = watch(core, "openSelector", "closeSelector");
  return {
    modules,
    opened: () => systems.open2632.map(({ answer }) => answer),
    closed: () => systems.closeSystem2632.map(({ given }) => given),
    selectors: () => [selectors.openSelector.length, selectors.closeSelector.length],
  };
}
