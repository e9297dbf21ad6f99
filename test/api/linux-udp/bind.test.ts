// Stories of bind() of UDP sockets: explicit ports, ports that are searched, and what a refusal
// says.

import { beforeEach, describe, expect, test } from "vitest";
import { caught, expectError, throwing } from "../../invalid-input/fixture.ts";
import { RANGE } from "../linux/fixture.ts";
import { type Fixture, onBuilds } from "./fixture.ts";

const REUSE = { reuseAddr: true };
const EXHAUSTED = { code: "EADDRINUSE", reason: "no-port-available", syscall: "bind", port: 0 };
const STATE = { code: "EINVAL", reason: "wrong-state", syscall: "bind" };

onBuilds((open) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  describe("port 0", () => {
    test("that finds none is refused after a single draw, with SO_REUSEADDR or without", () => {
      const owners = Array.from({ length: 10 }, () => s.bound("", 0));
      s.drawn = 0;
      const act = (options: object) => () => s.socket(options).bind("10.0.0.1", 0);
      const says = "no port is available: udp 10.0.0.1:0, all of 2000..2009 are taken or reserved";
      expectError(act({}), { ...EXHAUSTED, address: "10.0.0.1", searched: RANGE, says });
      expectError(act(REUSE), { ...EXHAUSTED, searched: RANGE });
      expect(s.drawn).toBe(2);
      owners[7]?.close();
      expect(s.bound("", 0).port).toBe(2007);
    });

    test("follows the policy that the system was opened with", () => {
      const s = open({ bindSelection: "sequential", seed: 1 });
      expect([s.bound("", 0).port, s.bound("", 0).port]).toEqual([2000, 2001]);
      expect(s.toRemote({}).port).toBe(2002);
      expect(s.bound("", 0).port).toBe(2003);
      const drawn = open({ bindSelection: "random-retry", seed: 1 });
      for (let count = 0; count < 5; count++) drawn.bound("", 0);
      expect(new Set(drawn.sockets.map(({ port }) => port)).size).toBe(5);
    });
  });

  describe("a source of draws", () => {
    test("that uses the socket meanwhile finds it bound, or gone", () => {
      const s = open({ random: () => act() });
      const [one, two, three] = [s.socket(), s.socket(), s.socket()];
      let act = (): number => one.bind("10.0.0.1", 2005);
      expectError(() => one.bind("", 0), STATE);
      expect(one).toMatchObject({ port: 2005, address: "10.0.0.1" });
      act = () => {
        two.close();
        return 0;
      };
      expectError(() => two.bind("", 0), { code: "EBADF" });
      act = () => s.bound("10.0.0.2", 2006).port - 2000;
      expect(three.bind("10.0.0.3", 0)).toBe(2006);
      expect(three.address).toBe("10.0.0.3");
      s.verify();
    });

    test("that throws leaves all as it was", () => {
      const mine = new Error("mine");
      const s = open({
        random: throwing(mine),
      });
      const socket = s.socket();
      const before = s.picture();
      expect(caught(() => socket.bind("10.0.0.1", 0))).toBe(mine);
      expect(s.picture()).toEqual(before);
    });
  });
});
