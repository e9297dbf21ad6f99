// What systems by the rules of Linux 2.6.32 hold, and why bind(), listen() or connect() is refused.

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
import { refusalOf } from "../../fuzz/snapshots.ts";
import { BUILDS, type Build, freshModules, type Modules } from "../../support/builds.ts";

type Told = LinuxExplanation<Linux2632Record>;
/** What a control makes of an explanation. */
type Change = (told: Told, linux: Linux2632Ports) => Told;

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

/** Makes a call; what it says if it is refused adds up, or names exactly those that have to go. */
function explainCall(
  linux: Linux2632Ports,
  held: Map<number, Linux2632Socket>,
  socket: Linux2632Socket,
  call: () => unknown,
  change: Change,
): string[] {
  const { port } = socket;
  const refusal = refusalOf(call);
  if (refusal === undefined) return [];
  const { allowed, because, searched, free } = change(refusal.explain<Told>() as Told, linux);
  expect([allowed, because.length > 0], refusal.message).toEqual([false, true]);
  const rules = because.map(({ rule }) => rule);
  if (searched !== undefined) {
    expect([because.reduce((sum, { ports = 0 }) => sum + ports, 0), free]).toEqual([8, 0]);
    return rules.map((rule) => `${rule} of the range`);
  }
  // connect() gives back a port that bind() has drawn.
  const ids = new Set(because.flatMap(({ holder }) => holder?.id ?? []));
  if (ids.size === 0 || socket.port !== port) return rules;
  for (const id of ids) {
    expect(refusalOf(call)?.code).toBe(refusal.code);
    remove(linux, held, id);
  }
  expect(refusalOf(call)).toBe(undefined);
  return rules;
}

/** Rules that refused calls have named, of sockets that meet at a few ports and remote ends. */
function explainCalls(
  build: Build,
  seed: number,
  turns: number,
  change: Change = (told) => told,
): string[] {
  const random = new SeededRandom(seed);
  const draw = (count: number): number => random.next() % count;
  const modules = freshModules(build);
  const linux = open(modules, seed);
  const groups = PortGroups.open({ module: modules.module });
  const group = groups.create("/web", { bindPortRange: { first: 40001, last: 40003 } });
  const held = new Map<number, Linux2632Socket>();
  const rules: string[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const type = draw(8) ? ("tcp" as const) : ("udp" as const);
    const socket = linux.socket({ type, reuseAddr: draw(3) > 0, bindToDevice: draw(2) * draw(2) });
    held.set(socket.id, socket);
    const port = draw(4) ? 40000 + draw(4) : 0;
    if (draw(4)) isRefused(() => socket.bind(ADDRESSES[draw(2)] as string, port));
    if (draw(4) === 0) socket.reuseAddr = !socket.reuseAddr;
    if (draw(6) === 0) socket.group = group;
    if (draw(20) === 0) linux.tcpTwReuse = draw(2);
    const [known = socket] = [...held.values()].slice(draw(held.size));
    for (const one of draw(2) ? [socket, known] : [known]) {
      const isListening = draw(2) === 0 && one.type === "tcp";
      const [offset, localAddress] = [draw(8), "10.0.0.1"];
      const connect = () => one.connect("9.9.9.9", 443, { localAddress, offset });
      if (one.state !== "gone") {
        const call = isListening ? () => one.listen() : connect;
        rules.push(...explainCall(linux, held, one, call, change));
      }
    }
    const [old] = [...held.values()].slice(draw(held.size));
    if (old === undefined || held.size < 4 || draw(3)) continue;
    const timestamp = draw(2) ? null : linux.time;
    const isWait = old.state === "connected" && old.type === "tcp";
    if (!isRefused(() => old.close({ timeWait: isWait, timestamp }))) held.delete(old.id);
    linux.setTime(linux.time + draw(3) * 500);
  }
  verifyLinux(linux);
  linux.close();
  groups.close();
  return rules;
}

test.each([
  ["release", 40],
  ["debug", 4],
] as const)(
  "refused calls of 2.6.32 name the sockets that have to go, and add up (%s build)",
  (build, seeds) => {
    const rules = new Set<string>();
    for (let seed = 1; seed <= seeds; seed++) {
      for (const rule of explainCalls(build, seed, 100)) rules.add(rule);
    }
    const all = ["wrong-state", "outside-group", "flags", "listening", "tuple"];
    const ofRange = ["held", "tuple", "outside-group"].map((rule) => `${rule} of the range`);
    expect([...rules]).toEqual(
      expect.arrayContaining(build === "debug" ? ["tuple"] : [...all, ...ofRange]),
    );
  },
);

/** With a socket that conflicts with none. */
const withAnother: Change = (told, linux) => {
  const named = told.because.map(({ holder }) => holder?.id);
  const holder = [...linux.sockets()].filter(({ id, port }) => port !== told.port && id).at(-1);
  if (named[0] === undefined || holder === undefined) return told;
  return { ...told, because: [...told.because, { rule: "tuple", text: "", holder }] };
};

test.each<[string, Change]>([
  ["forgets a holder", (told) => ({ ...told, because: told.because.slice(told.searched ? 0 : 1) })],
  ["names a holder in vain", withAnother],
  ["does not add up", (told) => ({ ...told, because: told.because.slice(told.searched ? 1 : 0) })],
])("a control: an explanation of a refused call of 2.6.32 that %s is found", (_what, change) => {
  const explain = (): void => {
    for (let seed = 1; seed <= 10; seed++) explainCalls("release", seed, 100, change);
  };
  expect(explain).toThrow();
});

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
] as const)(
  "explainBind() of 2.6.32 names exactly the sockets that have to go (%s build)",
  (build, seeds) => {
    let refused = 0;
    for (let seed = 1; seed <= seeds; seed++) refused += explainAll(build, seed, 100);
    expect(refused).toBeGreaterThan(seeds * 5);
  },
);

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
