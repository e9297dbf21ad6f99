// Stories of ports that rest: how long, for whom, and what is left when all others are taken.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as portwarden from "../../bindings/index.ts";
import {
  type Flow,
  type FlowOptions,
  IPV4,
  IPV6,
  type OpenOptions,
  PortGroups,
  type PortManager,
  Refusal,
  ReservedPorts,
  TCP,
  UDP,
} from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { BUILDS, openOn, optionsFor } from "../support/builds.ts";

const FIRST = 4000;
const LAST = 4003;
const KEY = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };
const PERIODS = [1, 3, 8, 100, 1000, 60_000, 86_400_000];

describe.each(BUILDS)("%s build", (build) => {
  const open = (options: OpenOptions = {}): PortManager =>
    openOn(build, { portRange: { first: FIRST, last: LAST }, ...options });
  const own = (): { module?: WebAssembly.Module } => {
    const { module } = optionsFor(build);
    return module === undefined ? {} : { module };
  };

  function scene(options: Partial<FlowOptions> = {}): { manager: PortManager; flow: Flow } {
    const manager = open();
    return { manager, flow: manager.flow({ ...KEY, cooldown: 1000, ...options }) };
  }

  function takeAll(flow: Flow): void {
    for (let port = FIRST; port <= LAST; port++) expect(flow.takeAt(port)).toBe(port);
  }

  test.each(PERIODS)("a port rests one period, and at most an eighth more: %i ms", (period) => {
    for (const start of [0, 1, 7, 12_345.75, 1_763_000_000_123]) {
      const { manager, flow } = scene({ cooldown: period });
      flow.takeAt(FIRST);
      expect(flow.rest(FIRST, start)).toBe(true);
      expect(flow.wake(start + period - 0.5)).toBe(0);
      const due = flow.nextWake as number;
      expect(due).toBeGreaterThanOrEqual(start + period);
      expect(due).toBeLessThan(start + period * 1.125 + 1);
      expect(flow.wake(due - 1)).toBe(0);
      expect(flow.wake(due)).toBe(1);
      expect(flow.takeAt(FIRST)).toBe(FIRST);
      verify(manager);
      manager.close();
    }
  });

  test("a port that rests is held no longer, but taken for everybody", () => {
    const { manager, flow } = scene();
    const other = manager.flow({ ...KEY, address: "" });
    flow.takeAt(FIRST);
    flow.takeAt(LAST);
    expect(flow.rest(FIRST, 0)).toBe(true);
    expect([flow.held, flow.resting, flow.has(FIRST), flow.has(LAST)]).toEqual([1, 1, false, true]);
    expect(other.takeAt(FIRST)).toBe(Refusal.IN_USE);
    expect(manager.isAvailable({ ...KEY, port: FIRST })).toBe(false);
    expect(flow.takeAt(FIRST)).toBe(Refusal.RESTING);
    expect(flow.free(FIRST)).toBe(false);
    expect(flow.freeMany(Uint16Array.of(FIRST, 0, LAST, LAST))).toBe(1);
    expect(flow.wake(2000)).toBe(1);
    expect(other.takeAt(FIRST)).toBe(FIRST);
    verify(manager);
    manager.close();
  });

  test("only what is held can rest, and once", () => {
    const { manager, flow } = scene();
    expect(flow.rest(FIRST, 0)).toBe(false);
    flow.takeAt(FIRST);
    expect(flow.rest(FIRST, 0)).toBe(true);
    expect(flow.rest(FIRST, 500)).toBe(false);
    expect(flow.nextWake).toBe(1125);
    expect(flow.wake(1125)).toBe(1);
    expect(flow.rest(FIRST, 1200)).toBe(false);
    manager.close();
  });

  test("when only resting ports are left, take says so, or takes the one that has rested longest", () => {
    for (const whenResting of ["refuse", "oldest"] as const) {
      const { manager, flow } = scene({ cooldown: { period: 1000, whenResting } });
      takeAll(flow);
      expect(flow.take()).toBe(Refusal.EXHAUSTED);
      for (const port of [4002, 4000, 4003]) flow.rest(port, 10);
      const ports = new Uint16Array(5);
      if (whenResting === "refuse") {
        expect(flow.take()).toBe(Refusal.RESTING);
        expect(flow.takeMany(ports)).toBe(0);
        expect(flow.resting).toBe(3);
      } else {
        expect(flow.take()).toBe(4002);
        expect(flow.takeMany(ports)).toBe(2);
        expect([...ports.subarray(0, 2)]).toEqual([4000, 4003]);
        expect(flow.take()).toBe(Refusal.EXHAUSTED);
        expect([flow.held, flow.resting]).toEqual([4, 0]);
      }
      verify(manager);
      manager.close();
    }
  });

  test("a port at rest that the limits exclude is not what is left", () => {
    const reserved = new ReservedPorts("", own());
    const group = PortGroups.open(own()).create("/g");
    const cooldown = { period: 1000, whenResting: "oldest" } as const;
    const { manager, flow } = scene({ cooldown, reserved, group });
    takeAll(flow);
    flow.takeAt(80);
    flow.rest(80, 0);
    expect(flow.take()).toBe(Refusal.EXHAUSTED);
    flow.rest(4001, 0);
    flow.rest(4002, 0);
    reserved.text = "4001";
    expect(flow.take()).toBe(4002);
    flow.rest(4002, 0);
    group.bindPortRange = { first: 4000, last: 4001 };
    expect(flow.take()).toBe(Refusal.EXHAUSTED);
    group.bindPortRange = { first: 9, last: 9 };
    expect(flow.take()).toBe(Refusal.NO_RANGE);
    expect(flow.wake(2000)).toBe(3);
    verify(manager);
    manager.close();
  });

  test("free ports come first, however long others have rested", () => {
    const { manager, flow } = scene({ cooldown: { period: 1000, whenResting: "oldest" } });
    takeAll(flow);
    flow.rest(4000, 0);
    flow.free(4003);
    expect(flow.take(0)).toBe(4003);
    expect(flow.take(0)).toBe(4000);
    manager.close();
  });

  test("reuse flags do not hand out a port that rests", () => {
    for (const flags of [{ tupleOnly: true }, { loadBalanced: true }, { mostRecent: true }]) {
      for (const destination of [{}, { address: "9.9.9.9", port: 443 }]) {
        const { manager, flow } = scene({ flags, destination, picking: "connect" });
        takeAll(flow);
        for (let port = FIRST; port <= LAST; port++) expect(flow.rest(port, 0)).toBe(true);
        expect(flow.take()).toBe(Refusal.RESTING);
        expect(flow.wake(1125)).toBe(4);
        expect(manager.stats().references).toBe(0);
        verify(manager);
        manager.close();
      }
    }
  });

  test("a port rests in all networks of its flow", () => {
    const { manager, flow } = scene({ networks: [IPV4, IPV6], address: "" });
    flow.takeAt(FIRST);
    flow.rest(FIRST, 0);
    for (const network of [IPV4, IPV6]) {
      const key = { networks: [network], transport: TCP };
      expect(manager.isAvailable({ ...key, port: FIRST })).toBe(false);
    }
    expect(flow.wake(1125)).toBe(1);
    expect(manager.stats().references).toBe(0);
    manager.close();
  });

  test("the clock never goes back", () => {
    const { manager, flow } = scene();
    takeAll(flow);
    flow.rest(4000, 10_000);
    expect(flow.wake(0)).toBe(0);
    flow.rest(4001, 3000);
    expect(flow.wake(11_000)).toBe(0);
    expect(flow.wake(11_125)).toBe(2);
    flow.rest(4002, 0);
    expect(flow.nextWake).toBe(12_250);
    manager.close();
  });

  test("a port that somebody else gives back and the flow takes again does not rest", () => {
    const { manager, flow } = scene();
    flow.takeAt(FIRST);
    flow.rest(FIRST, 0);
    manager.releasePort({ ...KEY, port: FIRST });
    expect(flow.take(0)).toBe(FIRST);
    expect([flow.has(FIRST), flow.resting]).toEqual([true, 0]);
    expect(flow.wake(5000)).toBe(0);
    expect(flow.has(FIRST)).toBe(true);
    flow.rest(FIRST, 5000);
    manager.releasePort({ ...KEY, port: FIRST });
    const ports = new Uint16Array(4);
    expect(flow.takeMany(ports)).toBe(4);
    expect(flow.resting).toBe(0);
    verify(manager);
    manager.close();
  });

  test("thousands wake in the order in which they came to rest", () => {
    const manager = open({ portRange: { first: 1024, last: 65535 } });
    const flow = manager.flow({ ...KEY, transport: UDP, cooldown: 8000 });
    const ports = new Uint16Array(64_512);
    expect(flow.takeMany(ports)).toBe(ports.length);
    ports.forEach((port, index) => void flow.rest(port, index));
    verify(manager);
    let woken = 0;
    while (flow.resting > 0) {
      const now = flow.nextWake as number;
      const count = flow.wake(now);
      expect(count).toBeGreaterThan(0);
      for (const port of ports.subarray(woken, woken + count)) {
        if (flow.takeAt(port) !== port) throw new Error(`${port} is not free at ${now}`);
        flow.free(port);
      }
      woken += count;
    }
    expect(woken).toBe(ports.length);
    expect(manager.stats().references).toBe(0);
    manager.close();
  });

  test("a manager's cooldown is that of its flows, unless they say otherwise", () => {
    const manager = open({ cooldown: { period: 80, whenResting: "oldest" } });
    const [byManager, none, own] = [
      manager.flow(KEY),
      manager.flow({ ...KEY, networks: [5], cooldown: 0 }),
      manager.flow({ ...KEY, networks: [6], cooldown: 800 }),
    ];
    for (const flow of [byManager, none, own]) {
      takeAll(flow);
      expect(flow.rest(FIRST, 0)).toBe(true);
    }
    expect([byManager, none, own].map(({ nextWake }) => nextWake)).toEqual([90, undefined, 900]);
    expect([byManager, none, own].map((flow) => flow.take())).toEqual([
      FIRST,
      FIRST,
      Refusal.RESTING,
    ]);
    manager.close();
  });

  test("without a cooldown a port that is given to rest is free at once", () => {
    for (const options of [{}, { cooldown: 0 }, { selection: "fifo" }] as const) {
      const manager = open();
      const flow = manager.flow({ ...KEY, ...options });
      flow.takeAt(FIRST);
      expect(flow.rest(FIRST, 0)).toBe(true);
      expect(flow.rest(FIRST, 0)).toBe(false);
      expect([flow.resting, flow.nextWake, flow.wake(1e6)]).toEqual([0, undefined, 0]);
      expect(flow.takeAt(FIRST)).toBe(FIRST);
      manager.close();
    }
  });

  test("closing a flow frees what rests, and keeps what is held", () => {
    const { manager, flow } = scene();
    const before = manager.stats().memory.used;
    const idle = manager.flow({ ...KEY, cooldown: 1000 });
    takeAll(flow);
    flow.rest(FIRST, 0);
    flow.close();
    expect(manager.isAvailable({ ...KEY, port: FIRST })).toBe(true);
    expect(manager.isAvailable({ ...KEY, port: LAST })).toBe(false);
    expect(() => flow.wake(1)).toThrow("the flow has been closed");
    flow.close();
    for (let port = FIRST + 1; port <= LAST; port++) idle.free(port);
    idle.close();
    const again = manager.flow({ ...KEY, cooldown: 1000 });
    expect(manager.stats().memory.used).toBe(before);
    again.close();
    manager.close();
  });
});

test("the example of the README does what it says", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const [, code = ""] = /### Cooldown.*?```ts\n(.*?)```/s.exec(readme) ?? [];
  let claims = 0;
  const claim = (value: unknown, wanted: unknown): void => {
    claims++;
    expect(value).toBe(wanted);
  };
  const script = code
    .replace(/import (\{.*?\}) from "portwarden";/, "const $1 = portwarden;")
    .replace(/^(\w.*); \/\/ ([\w.]+).*$/gm, "claim($1, $2);");
  new Function("portwarden", "claim", script)(portwarden, claim);
  expect(claims).toBe(6);
});
