// Life of systems that nobody closes: the core takes them back once they are forgotten, with their
// sockets, TIME_WAITs and uses of groups, and not before.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { coreOf } from "../../../bindings/core/core.ts";
import { PortGroups } from "../../../bindings/index.ts";
import { linuxCoreOf } from "../../../bindings/linux/core.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import { freshModules, type Modules } from "../../support/builds.ts";
import type { Watched2632 } from "./fixture.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

interface Watched {
  readonly modules: Modules;
  /** Addresses of the systems that were opened, and of those that were given back. */
  readonly opened: number[];
  readonly closed: number[];
  readonly selectors: { opened: number; closed: number };
}

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
  await collectUntil(() => closed.length > 0 && selectors.closed === selectors.opened);
  expect(closed).toEqual(opened);
  expect(selectors).toEqual({ opened: 2, closed: 2 });
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
  expect(closed).toEqual(opened);
  let rounds = 0;
  await collectUntil(() => rounds++ > 10);
  expect(closed).toHaveLength(1);
  expect(selectors).toEqual({ opened: 1, closed: 1 });
});

test("a system lives as long as somebody has it, and so does its reserved list", async () => {
  const { modules, closed } = watched();
  using ports = (() => {
    const all = Linux2632Ports.open({ ...modules, portRange: { first: 2000, last: 2001 } });
    all.reserved.text = "2000";
    all.socket().bind("", 3000);
    return all;
  })();
  let rounds = 0;
  await collectUntil(() => rounds++ > 10);
  expect(closed).toEqual([]);
  // Its socket is forgotten, but the port is not free.
  expect(ports.bindBucket(3000)).toEqual({ fastreuse: 0, owners: 1, timeWait: 0 });
  expect(ports.socket().bind("", 0)).toBe(2001);
});

test("a tree whose groups are used lives as long as the system, whoever is forgotten", async () => {
  const { modules, closed } = watched();
  using ports = Linux2632Ports.open(modules);
  (() => {
    const group = PortGroups.open({ module: modules.module }).create("/a/b", {
      bindPortRange: { first: 40_000, last: 40_000 },
    });
    ports.socket({ group }).bind("", 0);
  })();
  let rounds = 0;
  await collectUntil(() => rounds++ > 10);
  expect(closed).toEqual([]);
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
    let rounds = 0;
    await collectUntil(() => rounds++ > 3);
    figures.push(taken());
  }
  // Fifty systems of 30 KB each are 1.5 MB; five times that would be seen.
  expect(figures.at(-1)).toBeLessThan((figures[0] as number) * 2.5);
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** A core of its own, which is watched, and so is the linux module over it. */
function watched(): Watched {
  const modules = freshModules("debug");
  const core = coreOf(modules.module);
  const linux = linuxCoreOf(core, modules.linuxModule);
  const inCore = core.exports;
  const inLinux = linux.exports as Watched2632;
  const opened: number[] = [];
  const closed: number[] = [];
  const selectors = { opened: 0, closed: 0 };
  const open2632 = (...all: number[]): number => {
    const system = inLinux.open2632(...all);
    opened.push(system);
    return system;
  };
  const closeSystem2632 = (system: number): void => {
    inLinux.verify2632(system);
    closed.push(system);
    inLinux.closeSystem2632(system);
  };
  const openSelector = (slots: number): number => {
    selectors.opened += 1;
    return inCore.openSelector(slots);
  };
  const closeSelector = (selector: number): void => {
    selectors.closed += 1;
    inCore.closeSelector(selector);
  };
  Object.assign(core, { exports: { ...inCore, openSelector, closeSelector } });
  Object.assign(linux, { exports: { ...inLinux, open2632, closeSystem2632 } });
  return { modules, opened, closed, selectors };
}

async function collectUntil(isDone: () => boolean): Promise<void> {
  for (let round = 0; round < 200 && !isDone(); round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
