// What is kept of systems by the rules of Linux 2.6.32: random fixtures, in which a restored system
// must answer as the original.

import { describe, expect, test } from "vitest";
import {
  type Linux2632Ports,
  type Linux2632Socket,
  LinuxPorts,
  type PolicyName,
  PortGroups,
} from "../../../bindings/index.ts";
import { LINUX_2632 } from "../../../bindings/state/bytes.ts";
import { type Build, modulesFor } from "../../support/builds.ts";
import { Random } from "../random.ts";
import {
  answerOf,
  expectRefused,
  fixtureIn,
  outcomesOfForged,
  type SystemFixture,
  type SystemKind,
  sideBySide,
} from "../snapshots.ts";

type Fixture = SystemFixture<Linux2632Ports, Linux2632Socket>;

const RULES = { rules: "2.6.32" } as const;
const POLICIES: readonly PolicyName[] = [
  ...(["random", "random-retry", "hash", "double-hash"] as const),
  ...(["random-increments", "sequential"] as const),
];
const ADDRESSES = ["", "127.0.0.1", "127.0.0.1", "2001:db8::1"];
const REMOTES = ["192.0.2.1", "192.0.2.1", "2001:db8::9"];
const FIRST = 5000;
const LAST = 5007;
const SOCKETS_MAX = 30;

function open(build: Build, seed: number, more = {}): Fixture {
  const modules = modulesFor(build);
  const tree = PortGroups.open({ module: modules.module });
  const web = tree.create("/web", { bindPortRange: { first: FIRST, last: 5003 } });
  const api = tree.create("/web/api", { connectPortRange: { first: 5002, last: 5006 } });
  const linux = LinuxPorts.open({
    ...{ ...RULES, ...modules, seed, portRange: { first: FIRST, last: LAST } },
    ...{ bindSelection: POLICIES[seed % 6], connectSelection: POLICIES[(seed >> 1) % 6] },
    ...{ hint: seed % 3 ? seed : 0xffffffff, time: 1500, tcpTwReuse: (seed & 1) as 0 | 1 },
    ...more,
  });
  // Sockets that stay keep the groups in all snapshots.
  for (const group of [web, api]) linux.socket({ group });
  return { linux, sockets: [], groups: [undefined, undefined, web, api] };
}

function restore(bytes: Uint8Array, build: Build, more = {}): Linux2632Ports {
  return LinuxPorts.restore(bytes, { ...RULES, ...modulesFor(build), ...more });
}

const KIND: SystemKind<Fixture> = {
  open,
  copy: (fixture, build) =>
    fixtureIn(fixture, restore(fixture.linux.snapshot({ secrets: true }), build)),
  call: callOnce,
  picture: ({ linux, sockets }) => {
    const { memory: _, ...counts } = linux.stats();
    const ends = sockets.map(({ id, address, port, state }) => [id, address, port, state]);
    const ports = Array.from({ length: 9 }, (_, index) => FIRST + index);
    const buckets = ports.map((port) => linux.bindBucket(port));
    const settings = [linux.time, linux.hint, linux.sysctl.read("net.ipv4.tcp_tw_reuse")];
    return JSON.stringify([counts, ends, buckets, [...linux.sockets()], settings]);
  },
};

function callOnce(fixture: Fixture, seed: number): string {
  const random = new Random(seed);
  const { linux, sockets } = fixture;
  const kind = random.below(100);
  const socket = sockets[random.below(Math.max(1, sockets.length))];
  if (socket === undefined || (kind < 22 && sockets.length < SOCKETS_MAX)) {
    return answerOf(() => {
      const opened = linux.socket({
        ...{ type: random.chance(20) ? "udp" : "tcp", reuseAddr: random.chance(50) },
        ...{ bindToDevice: random.chance(20) ? 1 : 0, privileged: random.chance(30) },
        group: random.pick(fixture.groups),
      });
      sockets.push(opened);
      return opened.id;
    });
  }
  const port = random.pick([80, FIRST, 5001, 5002, 5003, 6000]);
  const given = random.chance(50) ? { offset: random.below(8) } : {};
  const timestamp = random.pick([null, undefined, Math.max(0, linux.time - 900)]);
  const calls: readonly (readonly [below: number, call: () => unknown])[] = [
    [44, () => socket.bind(random.pick(ADDRESSES), random.chance(40) ? 0 : port)],
    [52, () => socket.listen()],
    [74, () => socket.connect(random.pick(REMOTES), 80, given)],
    [78, () => close(fixture, socket, {})],
    [86, () => close(fixture, socket, { timeWait: true, timestamp })],
    [89, () => Object.assign(socket, { reuseAddr: random.chance(50) })],
    [91, () => Object.assign(socket, { group: random.pick(fixture.groups) })],
    [92, () => Object.assign(linux.reserved, { text: random.pick(["", "5001", "5002-5003"]) })],
    [93, () => linux.setPortRange(FIRST, LAST - random.below(3))],
    [94, () => Object.assign(linux, { tcpTwReuse: random.below(2) })],
    [98, () => linux.setTime(linux.time + random.pick([10, 400, 1100, 30_000]))],
    [100, () => linux.expireTimeWait()],
  ];
  return answerOf(calls.find(([below]) => kind < below)?.[1] as () => unknown);
}

function close(fixture: Fixture, socket: Linux2632Socket, options: object): void {
  socket.close(options);
  fixture.sockets = fixture.sockets.filter((other) => other !== socket);
}

describe("a restored system of 2.6.32", () => {
  test.each([
    ["release", 170],
    ["debug", 30],
  ] as const)("of the %s build answers %i times 250 calls as the original", (build, sessions) => {
    for (let seed = 1; seed <= sessions; seed++) sideBySide(KIND, build, seed);
  });

  test("that has lost a socket is found out", () => {
    const meddle = ({ sockets }: Fixture) => sockets.find(({ port }) => port !== 0)?.close();
    expect(() => sideBySide(KIND, "release", 3, meddle)).toThrow();
  });

  test("makes the same snapshot again, and keeps secrets at home unless they are wanted", () => {
    const secret = new Uint8Array(32).fill(7);
    const connectSelection = { algorithm: "hash", secret, from: 0 } as const;
    const { linux } = open("release", 1, { connectSelection, seed: undefined });
    const [bare, whole] = [linux.snapshot(), linux.snapshot({ secrets: true })];
    const has = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes(Buffer.from(secret));
    expect([has(bare), has(whole)]).toEqual([false, true]);
    expect(restore(structuredClone(whole), "release").snapshot({ secrets: true })).toEqual(whole);
    expect(answerOf(() => linux.snapshot({ secret: true } as never))).toBe("ERR_INVALID_ARG_VALUE");
    linux.close();
    expect(answerOf(() => linux.snapshot())).toBe("EBADF");
  });

  test("keeps TIME_WAITs with their clocks", () => {
    const { linux } = open("debug", 2, { connectSelection: "hash", tcpTwReuse: 1 });
    for (const timestamp of [null, 0]) {
      const socket = linux.socket();
      socket.connect("192.0.2.1", 80);
      linux.setTime(linux.time + 1000);
      socket.close({ timeWait: true, timestamp });
    }
    linux.setTime(linux.time + 500);
    const copy = restore(linux.snapshot(), "debug");
    expect([...copy.sockets()]).toEqual([...linux.sockets()]);
    for (const system of [linux, copy]) system.setTime(62_499);
    expect([linux.expireTimeWait(), copy.expireTimeWait()]).toEqual([0, 0]);
    for (const system of [linux, copy]) system.setTime(62_500);
    expect([linux.expireTimeWait(), copy.expireTimeWait()]).toEqual([1, 1]);
    expect(copy.stats().timeWait).toBe(1);
  });

  test("has the groups of a tree that is given, and is known to them", () => {
    const { module } = modulesFor("release");
    const { linux } = open("release", 1);
    const groups = PortGroups.open({ module });
    const copy = restore(linux.snapshot(), "release", { groups });
    expect(copy.restored?.groups).toEqual([]);
    const ids = [...groups.holders("/web")].map((one) => "id" in one && one.id);
    expect(ids).toEqual([1]);
  });
});

describe("what is no snapshot of 2.6.32", () => {
  const fixture = open("debug", 7);
  for (let call = 0; call < 150; call++) callOnce(fixture, call * 7);
  const bytes = fixture.linux.snapshot();
  const restored = (changed: Uint8Array) => restore(changed, "debug");

  test("is refused, whatever has been flipped, cut or added: 100,000 changes", () => {
    const before = KIND.picture(fixture);
    expectRefused(bytes, restored, 100_000);
    expect(KIND.picture(fixture)).toBe(before);
    expect(restored(bytes).snapshot()).not.toEqual(fixture.linux.snapshot({ secrets: true }));
  });

  test("is refused or restored to something sound even where its checksum is right", () => {
    const outcomes = outcomesOfForged(bytes, LINUX_2632, restored, 500);
    expect(outcomes.get("restored")).toBeGreaterThan(50);
    expect(outcomes.get("invalid-snapshot")).toBeGreaterThan(50);
  });

  test("is refused where it is larger than memoryLimit, and nothing stays behind", () => {
    const { linux } = open("debug", 1, { bindSelection: "sequential" });
    linux.setPortRange(FIRST, FIRST + 299);
    for (let turn = 0; turn < 300; turn++) linux.socket().bind("", 0);
    const large = linux.snapshot();
    const answers = [8192, 20_000, 100_000].map((memoryLimit) => {
      return answerOf(() => restore(large, "debug", { memoryLimit }));
    });
    expect(answers).toEqual(["ENOBUFS", "ENOBUFS", "done"]);
  });

  test("is refused where it is of other rules, or rules are not known", () => {
    expect(() => LinuxPorts.restore(bytes)).toThrow(/it is one of a LinuxPorts by the rules of 2/);
    using other = LinuxPorts.open();
    const kept = other.snapshot();
    expect(() => LinuxPorts.restore(kept, RULES)).toThrow(/it is one of a LinuxPorts by .* 6.18/);
    expect(answerOf(() => LinuxPorts.restore(kept, { rules: "3" } as never))).toBe(
      "ERR_INVALID_ARG_VALUE",
    );
  });
});
