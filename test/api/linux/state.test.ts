// What systems by the rules of Linux 2.6.32 hold, and why bind() is refused.

import { expect, test } from "vitest";
import { SeededRandom } from "../../../bindings/core/random.ts";
import {
  type Linux2632Ports,
  type Linux2632Record,
  type Linux2632Socket,
  type LinuxExplanation,
  LinuxPorts,
  PortGroups,
} from "../../../bindings/index.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import { refusalOf } from "../../fuzz/kept.ts";
import { BUILDS, type Build, freshModules, type Modules } from "../../support/builds.ts";

const RANGE = { first: 40000, last: 40007 };
const ADDRESSES = ["", "10.0.0.1", "10.0.0.2", "2001:db8::1"] as const;

function open(modules: Modules, seed = 1): Linux2632Ports {
  return LinuxPorts.open({ ...modules, rules: "2.6.32", portRange: RANGE, seed });
}

function isRefused(act: () => unknown): boolean {
  return refusalOf(act) !== undefined;
}

/** Closes holders, or lets them expire. */
function remove(linux: Linux2632Ports, held: Map<number, Linux2632Socket>, id: number): void {
  held.get(id)?.close();
  held.delete(id);
  if (id !== 0) return;
  linux.setTime(linux.time + 60_000);
  linux.expireTimeWait();
}

/** Draws sockets; whatever bind() answers, explainBind() has said before. How many were refused. */
function explainAll(build: Build, seed: number, turns: number, isLying = false): number {
  const random = new SeededRandom(seed);
  const draw = (count: number): number => random.next() % count;
  const linux = open(freshModules(build), seed);
  const held = new Map<number, Linux2632Socket>();
  let refused = 0;
  for (let turn = 0; turn < turns; turn++) {
    const type = draw(4) ? ("tcp" as const) : ("udp" as const);
    const reuseAddr = draw(2) === 1;
    const socket = linux.socket({ type, reuseAddr, bindToDevice: draw(3) });
    held.set(socket.id, socket);
    const address = ADDRESSES[draw(ADDRESSES.length)] as string;
    const port = draw(8) ? 40000 + draw(8) : 0;
    const explained = socket.explainBind(address, port);
    const { allowed, because, free, searched } = explained;
    const refusal = refusalOf(() => socket.bind(address, port));
    const answer = refusal === undefined;
    if (!answer) expect(refusal.explain<LinuxExplanation>()).toEqual(explained);
    if (port !== 0 || !reuseAddr) expect(allowed !== isLying, `seed ${seed}`).toBe(answer);
    if (searched !== undefined) {
      const taken = because.reduce((sum, { ports = 0 }) => sum + ports, 0);
      expect(taken + (free ?? 0)).toBe(8);
    }
    if (!answer && port !== 0) {
      refused++;
      const ids = [...new Set(because.map(({ holder }) => holder?.id ?? -1))];
      for (const id of ids) {
        expect(socket.explainBind(address, port).allowed).toBe(false);
        remove(linux, held, id);
      }
      expect(socket.bind(address, port)).toBe(port);
    }
    if (draw(3) === 0 && type === "tcp") isRefused(() => socket.listen());
    else if (draw(3) === 0) isRefused(() => socket.connect("9.9.9.9", 1 + draw(3)));
    if (draw(4) === 0) socket.reuseAddr = !socket.reuseAddr;
    const [old] = [...held.values()].slice(draw(held.size));
    if (old !== undefined && draw(2) === 0) {
      const timeWait = old.state === "connected" && old.type === "tcp";
      if (!isRefused(() => old.close({ timeWait }))) held.delete(old.id);
    }
    expect([...linux.sockets()].filter(({ id }) => id !== 0).map(({ id }) => id)).toEqual([
      ...held.keys(),
    ]);
  }
  verifyLinux(linux);
  linux.close();
  return refused;
}

test.each([
  ["release", 20],
  ["debug", 4],
] as const)("explainBind() of 2.6.32 names exactly who has to go (%s build)", (build, seeds) => {
  let refused = 0;
  for (let seed = 1; seed <= seeds; seed++) refused += explainAll(build, seed, 100);
  expect(refused).toBeGreaterThan(seeds * 5);
});

test("a control: an explanation of 2.6.32 that says the contrary is found", () => {
  expect(() => explainAll("release", 1, 100, true)).toThrow();
});

test.each(BUILDS)("sockets() of 2.6.32 says what each has (%s build)", (build) => {
  const modules = freshModules(build);
  const linux = open(modules);
  const groups = PortGroups.open({ module: modules.module });
  const group = groups.create("/web", { bindPortRange: { first: 40001, last: 40003 } });
  const server = linux.socket({ reuseAddr: true, bindToDevice: 2, group });
  server.bind("10.0.0.1", 40002);
  server.listen();
  const client = linux.socket();
  client.connect("9.9.9.9", 443);
  const [listening, connected] = [...linux.sockets()] as [Linux2632Record, Linux2632Record];
  expect(listening).toEqual({
    ...{ id: server.id, type: "tcp", address: "10.0.0.1", port: 40002, remote: undefined },
    ...{ state: "listening", until: undefined, reuseAddr: true, bindToDevice: 2, group: "/web" },
  });
  const remote = { address: "9.9.9.9", port: 443 };
  expect(connected).toMatchObject({ id: client.id, address: "127.0.0.1", remote });
  client.close({ timeWait: true });
  linux.setTime(1000);
  const [, wait] = [...linux.sockets()];
  expect(wait).toEqual({ ...connected, id: 0, state: "time-wait", until: 60_000 });
  const [inTheWay] = linux.socket().explainBind("", wait?.port ?? 0).because;
  expect(inTheWay?.text).toMatch(
    /^tcp 127.0.0.1:\d+ in time-wait until 60000 and the socket do not/,
  );
  expect(linux.socket({ group }).explainBind("", 40004).because[0]?.rule).toBe("outside-group");
  expect(linux.socket().explainBind("", 80).because[0]?.rule).toBe("privileged");
  expect(server.explainBind("", 40003).because[0]?.rule).toBe("wrong-state");
  linux.close();
  expect(isRefused(() => linux.sockets())).toBe(true);
  groups.close();
});
