// Stories of memory: UDP sockets give back all that they take, and a call without memory changes
// nothing, at every limit.

import { expect, test } from "vitest";
import { PortError } from "../../bindings/errors.ts";
import type { Linux2632Socket } from "../../bindings/linux/rules/2.6.32/socket.ts";
import { type Fixture, onBuilds, REMOTE } from "../api/linux-udp/fixture.ts";
import { fill } from "../fuzz/udp/implementation.ts";
import { LIMIT } from "../fuzz/udp/setup.ts";
import { caught, setting } from "../invalid-input/fixture.ts";

/** What is left when the acts begin: bytes, in steps of the smallest block. */
const SPARES = Array.from({ length: 64 }, (_, index) => index * 8);

onBuilds((open, build) => {
  test("sockets give back what they took, in whatever order they close", () => {
    for (const order of [straight, backwards, inHalves]) {
      const s = open({ portRange: { first: 1024, last: 65_535 }, seed: 3 });
      for (let count = 0; count < 400; count++) {
        const options = { reuseAddr: count % 3 === 0, bindToDevice: count % 4 };
        const at = `10.0.${count % 7}.${1 + (count % 11)}`;
        if (count % 2 === 0) s.bound(at, 0, options);
        else s.toRemote({ localAddress: at }, options);
      }
      s.verify();
      expect(s.used).toBeGreaterThan(s.usedAtOpen);
      for (const socket of order(s.sockets)) socket.close();
      s.drain();
    }
  });

  test("one socket that comes and goes leaves nothing behind", () => {
    const s = open({ seed: 1, memoryLimit: LIMIT });
    for (let count = 0; count < 500; count++) {
      using socket = s.ports.socket({ type: "udp", reuseAddr: count % 2 === 0 });
      if (count % 3 === 0) socket.bind("10.0.0.1", 0);
      if (count % 3 === 1) socket.bind("", 0);
      socket.connect(REMOTE, 53);
    }
    expect(s.used).toBe(s.usedAtOpen);
  });

  const refusals = { socket: 0, bind: 0, connect: 0, move: 0, reuse: 0 };

  test.each(SPARES)("where %i bytes are left, acts are refused as a whole", (spare) => {
    const s = open({ memoryLimit: LIMIT + (spare % 64) });
    s.fillers.push(...fill(s.ports, spare));
    for (let round = 0; round < 12; round++) {
      const at = `10.0.0.${1 + (round % 5)}`;
      const socket = attempt(s, "socket", () => s.socket());
      if (socket === undefined) continue;
      if (round % 3 === 0) attempt(s, "bind", () => socket.bind("", 0));
      if (round % 3 === 1) attempt(s, "bind", () => socket.bind(at, 2000 + round * 64));
      const word = round % 3 === 2 ? "connect" : "move";
      attempt(s, word, () => socket.connect(REMOTE, 53, { localAddress: at, offset: round }));
      attempt(s, "reuse", setting(socket, { reuseAddr: true }));
      if (round % 4 === 3) socket.close();
    }
  });

  test("connect() gets port and address, or neither, whatever is left", () => {
    let connected = 0;
    for (let spare = 0; spare < 1000; spare += 8) {
      const s = open({ memoryLimit: LIMIT + (spare % 64) });
      s.bound("10.0.0.1", 2000);
      s.bound("10.0.0.2", 5000);
      const socket = s.socket();
      s.fillers.push(...fill(s.ports, spare));
      const how = { localAddress: "10.0.0.3", offset: 1 };
      const port = attempt(s, "connect", () => socket.connect(REMOTE, 53, how));
      if (port !== undefined) connected += 1;
      expect([port, socket.address]).toEqual(port ? [2001, "10.0.0.3"] : [undefined, ""]);
    }
    expect(connected).toBeGreaterThan(10);
    expect(connected).toBeLessThan(120);
  });

  test(`each act was refused with something left, on the ${build} build`, () => {
    expect(Math.min(...Object.values(refusals))).toBeGreaterThan(0);
  });

  /** For want of memory nothing may change; any other refusal would be a surprise. */
  function attempt<T>(s: Fixture, word: keyof typeof refusals, act: () => T): T | undefined {
    const before = s.picture();
    let answer: T | undefined;
    const error = caught(() => {
      answer = act();
    });
    s.verify();
    if (!(error instanceof Error)) return answer;
    expect(error).toBeInstanceOf(PortError);
    expect(error).toMatchObject({ code: "ENOBUFS", reason: "no-memory" });
    const says = /^ENOBUFS: no memory for one more record: .*, limit \d+ bytes$/;
    expect(error.message).toMatch(says);
    expect({ ...s.picture(), drawn: 0 }, word).toEqual({
      ...before,
      drawn: 0,
    });
    refusals[word] += 1;
    return undefined;
  }
});

function straight(sockets: readonly Linux2632Socket[]): Linux2632Socket[] {
  return [...sockets];
}

function backwards(sockets: readonly Linux2632Socket[]): Linux2632Socket[] {
  return [...sockets].reverse();
}

function inHalves(sockets: readonly Linux2632Socket[]): Linux2632Socket[] {
  const even = sockets.filter((_, index) => index % 2 === 0);
  return [...even, ...sockets.filter((_, index) => index % 2 === 1)];
}
