// Regressions: each fault that the facade of the linux system once had, with its smallest story.

import { describe, expect, test } from "vitest";
import { coreOf } from "../../../bindings/core/core.ts";
import { PortError } from "../../../bindings/index.ts";
import { linuxCoreOf } from "../../../bindings/linux/core.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import type { Linux2632Socket } from "../../../bindings/linux/rules/2.6.32/socket.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import { caught, getting } from "../../invalid-input/fixture.ts";
import { type Build, freshModules } from "../../support/builds.ts";
import { collectTimes, watch } from "../../support/collecting.ts";

const WEB = "192.0.2.1";
const REUSE = { reuseAddr: true };
const TEN = { first: 2000, last: 2009 };
const builds: readonly Build[] = ["release", "debug"];

test("what a caller gives beside the options of a system is passed over", () => {
  const made = Linux2632Ports.open().constructor as unknown as {
    open(...given: unknown[]): Linux2632Ports;
  };
  for (const more of [[{}], [null], [{}, {}], [Symbol("portwarden"), { by: {}, fill: () => [] }]]) {
    using ports = made.open({ seed: 1 }, ...more);
    expect(ports.socket().bind("", 0)).toBeGreaterThan(0);
  }
});

describe.each(builds)("%s build", (build) => {
  const open = (options: object = {}): Linux2632Ports =>
    Linux2632Ports.open({ ...freshModules(build), portRange: TEN, ...options });

  test("a system whose socket is referenced is not forgotten", async () => {
    const modules = freshModules(build);
    const linux = linuxCoreOf(coreOf(modules.module), modules.linuxModule);
    const { closeSystem2632: closed } = watch(linux, "closeSystem2632");
    const socket = (() => Linux2632Ports.open({ ...modules, portRange: TEN }).socket())();
    await collectTimes(20);
    expect(closed).toEqual([]);
    // Otherwise its place belongs to others by now, and it answers with their ports.
    Linux2632Ports.open({ ...modules, portRange: TEN })
      .socket()
      .bind("10.0.0.1", 2002);
    expect(socket.port).toBe(0);
    expect(socket.bind("", 0)).toBeGreaterThan(0);
  });

  test.each([
    ["the socket", true],
    ["the socket", false],
    ["the system", true],
    ["the system", false],
  ])("a getter of close() may close %s: %s", (what, timeWait) => {
    const ports = open();
    const socket = ports.socket();
    socket.connect(WEB, 443);
    const options = getting({}, "timeWait", () => {
      if (what === "the socket") socket.close();
      else ports.close();
      return timeWait;
    });
    const error = caught(() => socket.close(options));
    if (error instanceof Error) expect(error).toMatchObject({ code: "EBADF" });
    expect(socket.state).toBe("gone");
    if (what === "the system") return;
    verifyLinux(ports);
    expect(ports.stats()).toMatchObject({ buckets: 0, sockets: 0, timeWait: 0 });
  });

  describe.each(["random-retry", "random-increments"] as const)("3 %s", (connectSelection) => {
    test("a bound socket whose tuple is taken does not connect from another port", () => {
      const ports = open({ connectSelection, random: () => 0 });
      const [one, other] = [ports.socket(REUSE), ports.socket(REUSE)];
      one.bind("10.0.0.1", 0);
      other.bind("10.0.0.1", 0);
      one.connect(WEB, 443);
      expect(() => other.connect(WEB, 443)).toThrow("another connection has the tuple");
      expect(other).toMatchObject({ port: 0, state: "closed" });
    });

    test("a bound socket whose tuple is taken is told so", () => {
      const ports = open({ connectSelection });
      const [one, other] = [ports.socket(REUSE), ports.socket(REUSE)];
      one.bind("10.0.0.1", 2000);
      other.bind("10.0.0.1", 2000);
      one.connect(WEB, 443);
      expect(caught(() => other.connect(WEB, 443))).toMatchObject({ reason: "port-in-use" });
    });
  });

  test("a connect() from a port that is there moves no counter", () => {
    const ports = open({ connectSelection: "sequential" });
    expect(ports.socket().connect(WEB, 443)).toBe(2000);
    const bound = ports.socket();
    bound.bind("10.0.0.1", 1030);
    bound.connect(WEB, 443);
    expect(ports.socket().connect(WEB, 443)).toBe(2001);
  });

  test("a connect() that is refused for the socket's state draws nothing", () => {
    const portsOf = (tries: number): number[] => {
      const ports = open({
        connectSelection: "random",
        seed: 3,
        portRange: { first: 2000, last: 9999 },
      });
      const socket = ports.socket();
      const first = socket.connect(WEB, 443);
      for (let times = 0; times < tries; times++) caught(() => socket.connect(WEB, 443));
      return [first, ports.socket().connect(WEB, 443)];
    };
    expect(portsOf(3)).toEqual(portsOf(0));
  });

  test.each([0xffffffff, 0xfffffffb])("a linear policy finds the one free port from %s", (from) => {
    for (let free = 2000; free <= 2009; free++) {
      const ports = open({ connectSelection: { algorithm: "sequential", from } });
      for (let port = 2000; port <= 2009; port++) {
        if (port !== free) ports.socket().bind("10.9.9.9", port);
      }
      expect(ports.socket().connect(WEB, 443)).toBe(free);
    }
  });
  test("a linear policy finds a free port behind one that cannot be shared after all", () => {
    const ports = open({ bindSelection: "sequential", portRange: { first: 2000, last: 2001 } });
    const one = ports.socket(REUSE);
    one.bind("", 2000);
    one.reuseAddr = false;
    for (const port of [3000, 3001]) ports.socket().bind("", port);
    ports.socket().bind("", 3002);
    // Again and again, since a search that fails moves no counter.
    for (let times = 0; times < 3; times++) {
      using socket = ports.socket(REUSE);
      expect(socket.bind("", 0)).toBe(2001);
    }
  });

  test("systems that open and close in a row take no more memory", () => {
    const modules = freshModules(build);
    const figures = Array.from({ length: 300 }, () => {
      using ports = Linux2632Ports.open(modules);
      return ports.stats().memory.taken;
    });
    expect(figures.at(-1)).toBe(figures[0]);
  });

  test("an open() that is refused late closes what it has opened", () => {
    const modules = freshModules(build);
    const core = coreOf(modules.module);
    const linux = linuxCoreOf(core, modules.linuxModule);
    const calls = watch(linux, "open2632", "closeSystem2632");
    Object.assign(core, { exports: { ...core.exports, openSelector: () => 0 } });
    expect(caught(() => Linux2632Ports.open(modules))).toMatchObject({ code: "ENOBUFS" });
    const closed = calls.closeSystem2632.map(({ given }) => given);
    expect(closed).toEqual(calls.open2632.map(({ answer }) => answer));
  });

  test("a listen() that needs no memory is not refused for want of it", () => {
    const ports = open({ memoryLimit: 8192 });
    const socket = ports.socket();
    socket.bind("10.0.0.1", 2000);
    caught(() => {
      for (;;) ports.socket();
    });
    expect(socket.listen()).toBe(2000);
  });

  test("a refused connect() tells the port that it was refused for, also if it is lost", () => {
    const ports = open({ random: () => 0 });
    const sockets: Linux2632Socket[] = [ports.socket(REUSE), ports.socket(REUSE)];
    for (const socket of sockets) socket.bind("10.0.0.1", 0);
    const [one, other] = sockets as [Linux2632Socket, Linux2632Socket];
    one.connect(WEB, 443);
    const error = caught(() => other.connect(WEB, 443)) as PortError;
    expect(error.message).toContain("tcp 10.0.0.1:2000 -> 192.0.2.1:443");
    expect(error).toMatchObject({ port: 2000 });
  });

  test("a random that would never be asked is refused, or asked", () => {
    let asked = 0;
    const random = (): number => ++asked;
    const error = caught(() => {
      const ports = open({ random, bindSelection: "random-retry" });
      ports.socket().bind("", 0);
    });
    expect(error instanceof PortError || asked > 0).toBe(true);
  });
});
