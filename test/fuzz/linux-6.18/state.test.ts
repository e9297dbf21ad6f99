// Lists, explanations and snapshots of LinuxPorts, on random fixtures: a restored system must
// answer as the original, and an explanation as the call that it is about.

import { describe, expect, test } from "vitest";
import { explained } from "../../../bindings/errors.ts";
import {
  IPV4,
  type LinuxExplanation,
  LinuxPorts,
  type LinuxSocket,
  PortGroups,
  PortManager,
  TCP,
} from "../../../bindings/index.ts";
import { LINUX } from "../../../bindings/state/bytes.ts";
import { type Build, modulesFor } from "../../support/builds.ts";
import { Random } from "../random.ts";
import {
  answerOf,
  expectRefused,
  fixtureIn,
  outcomesOfForged,
  refusalOf,
  type SystemKind,
  sideBySide,
} from "../snapshots.ts";
import { ADDRESSES, callOnce, type Fixture, OPTIONS, PORTS, pictureOf } from "./fixture.ts";

function fixtureOn(build: Build, seed: number, more = {}): Fixture {
  const modules = modulesFor(build);
  const tree = PortGroups.open({ module: modules.module });
  const web = tree.create("/web", { bindPortRange: { first: 5000, last: 5003 } });
  const api = tree.create("/web/api", { connectPortRange: { first: 5002, last: 5006 } });
  const linux = LinuxPorts.open({ ...OPTIONS, ...modules, seed, ...more });
  // Sockets that stay keep the groups in all snapshots.
  for (const group of [web, api]) linux.socket({ group });
  return { linux, sockets: [], groups: [undefined, undefined, web, api] };
}

/** The same fixture once more, from a snapshot. */
function copyOf(fixture: Fixture, build: Build): Fixture {
  return fixtureIn(fixture, LinuxPorts.restore(fixture.linux.snapshot(), modulesFor(build)));
}

const KIND: SystemKind<Fixture> = {
  open: fixtureOn,
  copy: copyOf,
  call: callOnce,
  picture: pictureOf,
};

describe("a restored system", () => {
  test.each([
    ["release", 170],
    ["debug", 30],
  ] as const)("of the %s build answers %i times 250 calls as the original", (build, sessions) => {
    for (let seed = 1; seed <= sessions; seed++) sideBySide(KIND, build, seed);
  });

  test("that has lost a socket is found out", () => {
    const meddle = ({ linux, sockets }: Fixture) => {
      if (linux.restored !== undefined)
        sockets.find(({ port }) => port !== 0)?.close({ reset: true });
    };
    expect(() => sideBySide(KIND, "release", 3, meddle)).toThrow();
  });

  test("has a key and counters of its own unless there was a seed, and its snapshot has none", () => {
    const sizeOf = (options: { seed?: number }) => {
      using linux = LinuxPorts.open({ localAddress: "10.0.0.1", ...options });
      linux.socket().connect("192.0.2.1", 443);
      return linux.snapshot().length;
    };
    expect(sizeOf({ seed: 1 }) - sizeOf({})).toBeGreaterThanOrEqual(4 + 16);
  });

  test("comes from bytes alone, which another thread can be sent", () => {
    const fixture = fixtureOn("release", 1);
    for (let call = 0; call < 100; call++) callOnce(fixture, call);
    const bytes = fixture.linux.snapshot();
    const linux = LinuxPorts.restore(structuredClone(bytes));
    expect(linux.snapshot()).toEqual(bytes);
    expect(() => PortManager.restore(bytes)).toThrow(/it is one of a LinuxPorts/);
    using manager = PortManager.open();
    expect(() => LinuxPorts.restore(manager.snapshot())).toThrow(/it is one of a PortManager/);
  });
});

describe("what is no snapshot", () => {
  const fixture = fixtureOn("debug", 7);
  for (let call = 0; call < 120; call++) callOnce(fixture, call * 7);
  const bytes = fixture.linux.snapshot();
  const restore = (changed: Uint8Array) => LinuxPorts.restore(changed, modulesFor("debug"));

  test("is refused, whatever has been flipped, cut or added: 100,000 changes", () => {
    const before = pictureOf(fixture);
    expectRefused(bytes, restore, 100_000);
    expect(pictureOf(fixture)).toBe(before);
  });

  test("is refused or restored to something sound even where its checksum is right", () => {
    const outcomes = outcomesOfForged(bytes, LINUX, restore, 1500);
    expect(outcomes.get("restored")).toBeGreaterThan(100);
    expect(outcomes.get("invalid-snapshot")).toBeGreaterThan(300);
  });

  test("is refused where it is larger than memoryLimit, and nothing stays behind", () => {
    for (let memoryLimit = 8192; memoryLimit < 12_000; memoryLimit += 200) {
      const options = { ...modulesFor("debug"), memoryLimit };
      expect(answerOf(() => LinuxPorts.restore(bytes, options))).toMatch(/ENOBUFS|done/);
    }
    const least = { ...modulesFor("debug"), memoryLimit: 8192 };
    expect(answerOf(() => LinuxPorts.restore(bytes, least))).toBe("ENOBUFS");
  });

  test("is not blamed for bad arguments", () => {
    const codeOf = (options: object) => answerOf(() => LinuxPorts.restore(bytes, options));
    expect(codeOf({ memoryLimit: 1 })).toBe("ERR_OUT_OF_RANGE");
    expect(codeOf({ random: 1 })).toBe("ERR_INVALID_ARG_TYPE");
    expect(codeOf({ module: {} })).toBe("ERR_INVALID_ARG_TYPE");
    expect(codeOf({ linuxModule: {} })).toBe("ERR_INVALID_ARG_TYPE");
  });
});

describe("sockets()", () => {
  test("tells each socket once that is there from beginning to end, while others come and go", () => {
    const random = new Random(5);
    const fixture = fixtureOn("debug", 5);
    for (let call = 0; call < 200; call++) callOnce(fixture, random.u32());
    const before = new Set([...fixture.linux.sockets()].map(({ id }) => id));
    const listed: number[] = [];
    for (const { id } of fixture.linux.sockets()) {
      if (id !== 0) listed.push(id);
      for (let call = 0; call < 5; call++) callOnce(fixture, random.u32());
    }
    const stayed = [...fixture.linux.sockets()].filter(({ id }) => id !== 0 && before.has(id));
    expect(stayed.length).toBeGreaterThan(3);
    for (const { id } of stayed) expect(listed.filter((one) => one === id)).toEqual([id]);
  });
});

test("groups.holders() tells a manager's ports and a system's sockets, while both are open", () => {
  const groups = PortGroups.open();
  const web = groups.create("/web");
  groups.create("/web/api");
  const manager = PortManager.open();
  const linux = LinuxPorts.open();
  manager.reservePort({ networks: [IPV4], transport: TCP, port: 443, group: web });
  linux.socket({ group: web }).bind("127.0.0.1", 80);
  linux.socket().bind("127.0.0.1", 81);
  const portsIn = (path: string) => [...groups.holders(path)].map(({ port }) => port).sort();
  expect([portsIn("/web"), portsIn("/"), portsIn("/web/api")]).toEqual([[443, 80], [], []]);
  manager.close();
  expect(portsIn("/web")).toEqual([80]);
  linux.close();
  expect(portsIn("/web")).toEqual([]);
  expect(() => groups.holders("/none")).toThrow(/no \/none/);
});

describe("explainBind()", () => {
  /** What a call would answer, on a copy that lacks some holders. */
  function without(
    fixture: Fixture,
    ids: readonly number[],
    call: (copy: Fixture) => unknown,
  ): string {
    const copy = copyOf(fixture, "release");
    for (const id of ids) copy.linux.restored?.sockets.get(id)?.close({ reset: true });
    const answer = answerOf(() => call(copy));
    copy.linux.close();
    return answer;
  }

  interface Tried {
    readonly address: string;
    readonly port: number;
    readonly index: number;
  }

  /** Those in the way have to go, all of them. */
  function checkHolders(fixture: Fixture, { because }: LinuxExplanation, tried: Tried): number {
    const holders = because.flatMap(({ holder }) => holder ?? []);
    const known = new Set(fixture.sockets.map(({ id }) => id));
    if (holders.length === 0 || holders.length !== because.length) return 0;
    if (!holders.every(({ id }) => known.has(id))) return 0;
    const bind = ({ sockets }: Fixture) => sockets[tried.index]?.bind(tried.address, tried.port);
    const ids = holders.map(({ id }) => id);
    expect(without(fixture, ids, bind)).toBe(`${tried.port}`);
    for (const kept of ids) {
      const others = ids.filter((id) => id !== kept);
      let isThere = false;
      const answer = without(fixture, others, (copy) => {
        isThere = [...copy.linux.sockets()].some(
          ({ id, port }) => id === kept && port === tried.port,
        );
        return bind(copy);
      });
      if (isThere) expect(answer).toBe("EADDRINUSE");
    }
    return 1;
  }

  test("that forgets a holder, or names one too many, is found out", () => {
    const fixture = fixtureOn("debug", 1);
    const holders = [1, 2, 3].map((last) => {
      const socket = fixture.linux.socket({ reusePort: true });
      fixture.sockets.push(socket);
      socket.bind(`127.0.0.${last}`, 6000);
      return socket;
    });
    const asking = fixture.linux.socket();
    fixture.sockets.push(asking);
    const tried = { address: "0.0.0.0", port: 6000, index: 3 };
    const explained = asking.explainBind(tried.address, tried.port);
    expect(explained.because.map(({ holder }) => holder?.id)).toEqual(holders.map(({ id }) => id));
    expect(checkHolders(fixture, explained, tried)).toBe(1);
    const less = { ...explained, because: explained.because.slice(1) };
    expect(() => checkHolders(fixture, less, tried)).toThrow();
    const other = { ...tried, address: "127.0.0.1" };
    expect(() => checkHolders(fixture, explained, other)).toThrow();
  });

  /** Sockets that meet at a few ports and remote ends, where each call is made once more. */
  function fill(fixture: Fixture, random: Random): void {
    for (let turn = 0; turn < 16; turn++) {
      const flags = { reuseAddr: random.chance(60), reusePort: random.chance(60) };
      const group = random.chance(20) ? random.pick(fixture.groups) : undefined;
      const own = {
        type: random.pick(["tcp4", "tcp4", "tcp6"] as const),
        uid: random.pick([0, 1000]),
      };
      const socket = fixture.linux.socket({ ...flags, ...own, group });
      fixture.sockets.push(socket);
      const addresses = ["", socket.type === "tcp4" ? "10.0.0.1" : "::ffff:10.0.0.1"];
      if (random.chance(80)) {
        answerOf(() => socket.bind(random.pick(addresses), random.pick([0, 5000, 5001])));
      }
      if (random.chance(20)) socket.bindToDevice = 1;
      if (random.chance(30)) socket.reuseAddr = !socket.reuseAddr;
      if (random.chance(20)) socket.reusePort = !socket.reusePort;
      if (random.chance(60)) answerOf(() => callAgain(random)(socket));
    }
  }

  /** listen() or connect(), as it was drawn, of whatever socket. */
  function callAgain(random: Random): (socket: LinuxSocket) => unknown {
    if (random.chance(40)) return (socket) => socket.listen();
    const offset = random.below(8);
    const remote = random.pick(["192.0.2.1", "192.0.2.1", "127.0.0.1"]);
    return (socket) => {
      const to = socket.type === "tcp6" ? `::ffff:${remote}` : remote;
      return socket.connect(to, 80, { offset, localAddress: "10.0.0.1" });
    };
  }

  /** What a call says that is refused for its port: its rules are noted, its holders go in turn. */
  function checkRefused(
    fixture: Fixture,
    index: number,
    call: (socket: LinuxSocket) => unknown,
    note: (rule: string) => void,
  ): void {
    const socket = fixture.sockets[index] as LinuxSocket;
    const { port } = socket;
    const refusal = refusalOf(() => call(socket));
    const before = refusal && pictureOf(fixture);
    const explained = refusal?.explain<LinuxExplanation>();
    if (refusal !== undefined) expect(pictureOf(fixture)).toBe(before);
    if (explained === undefined) {
      const others = ["ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "EAFNOSUPPORT", "EOPNOTSUPP"];
      if (refusal !== undefined) expect(others).toContain(refusal.code);
      return;
    }
    const { allowed, because, searched, free = 0 } = explained;
    expect([allowed, because.length > 0], refusal?.message).toEqual([false, true]);
    for (const { rule } of because) note(rule);
    if (searched !== undefined) {
      const taken = because.reduce((sum, { ports }) => sum + (ports ?? 0), 0);
      expect([taken, free]).toEqual([searched.last - searched.first + 1, 0]);
      return;
    }
    const ids = because.flatMap(({ holder }) => holder?.id ?? []);
    const known = new Set(fixture.sockets.map(({ id }) => id));
    // connect() gives back a port that bind() has drawn.
    if (ids.length === 0 || !ids.every((id) => known.has(id)) || socket.port !== port) return;
    const again = ({ sockets }: Fixture): unknown => call(sockets[index] as LinuxSocket);
    expect(without(fixture, ids, again), "more have to go").not.toBe(refusal?.code);
    for (const id of ids) {
      const others = ids.filter((other) => other !== id);
      expect(without(fixture, others, again), "named in vain").toBe(refusal?.code);
    }
    note("holders");
  }

  type Change = (told: LinuxExplanation, fixture: Fixture, index: number) => LinuxExplanation;

  /** How often each rule was met in so many fixtures, whose explanations may be changed. */
  function checkRounds(rounds: number, change: Change = (told) => told): Map<string, number> {
    const random = new Random(12);
    const met = new Map<string, number>();
    const note = (rule: string): void => void met.set(rule, (met.get(rule) ?? 0) + 1);
    for (let round = 0; round < rounds; round++) {
      const fixture = fixtureOn("release", round, { exact: true });
      if (round % 3 === 0) for (let call = 0; call < 90; call++) callOnce(fixture, random.u32());
      fill(fixture, random);
      for (const index of fixture.sockets.keys()) {
        const call = callAgain(random);
        const changed = (socket: LinuxSocket): void => {
          const refusal = refusalOf(() => call(socket));
          const told = refusal?.explain<LinuxExplanation>();
          if (refusal && told) throw explained(refusal, () => change(told, fixture, index));
          if (refusal) throw refusal;
        };
        checkRefused(fixture, index, changed, note);
      }
      fixture.linux.close();
    }
    return met;
  }

  test("of a refused listen() or connect() names the sockets that have to go, and adds up", () => {
    const met = checkRounds(60);
    const all = ["wrong-state", "flags", "listening", "user", "held", "tuple", "outside-group"];
    expect([...met.keys()]).toEqual(expect.arrayContaining(all));
    expect(met.get("holders")).toBeGreaterThan(30);
  });

  /** With a socket that conflicts with none. */
  const withAnother: Change = (told, { linux }, index) => {
    const ids = told.because.map(({ holder }) => holder?.id);
    if (ids[0] === undefined) return told;
    const others = [...linux.sockets()].filter(({ id }, at) => at !== index && !ids.includes(id));
    const holder = others.at(-1);
    return { ...told, because: [...told.because, { rule: "tuple", text: "", holder }] };
  };

  const forget: Change = (told) => {
    return told.searched === undefined ? { ...told, because: told.because.slice(0, 1) } : told;
  };

  test.each<[string, Change, RegExp]>([
    ["forgets a holder", forget, /more have/],
    ["names one too many", withAnother, /named in vain/],
    ["counts a port too many", (told) => ({ ...told, free: 1 }), /deeply equal/],
  ])("of a refused call that %s is found out", (_, change, found) => {
    expect(() => checkRounds(20, change)).toThrow(found);
  });

  test("of a refused connect() tells how things are later, and changes nothing", () => {
    const portRange = { first: 5000, last: 5001 };
    const fixture = fixtureOn("debug", 1, { portRange, tcpTwReuse: 1 });
    const open = (): LinuxSocket => {
      const socket = fixture.linux.socket();
      fixture.sockets.push(socket);
      return socket;
    };
    for (const socket of [open(), open()]) {
      socket.connect("192.0.2.1", 80);
      socket.shutdown();
      socket.receive("fin");
    }
    const late = open();
    const refusal = refusalOf(() => late.connect("192.0.2.1", 80));
    const told = (): unknown[] => {
      const explanation = refusal?.explain<LinuxExplanation>();
      const rules = explanation?.because.map(({ rule, ports }) => [rule, ports]);
      return [explanation?.allowed, rules, explanation?.free];
    };
    expect(told()).toEqual([false, [["tuple", 2]], 0]);
    fixture.linux.setTime(fixture.linux.time + 1500);
    const before = pictureOf(fixture);
    expect(told()).toEqual([true, [], 2]);
    expect([pictureOf(fixture), late.port, late.v6only]).toEqual([before, 0, false]);
    expect(late.connect("192.0.2.1", 80)).toBeGreaterThanOrEqual(5000);
    fixture.linux.close();
  });

  test("says what bind() answers, names all holders that have to go, and none in vain", () => {
    const random = new Random(11);
    let [asked, checked, told] = [0, 0, 0];
    const rules = new Set<string>();
    for (let round = 0; round < 30; round++) {
      const fixture = fixtureOn("debug", round, { exact: true });
      for (let call = 0; call < 60; call++) callOnce(fixture, random.u32());
      for (const [index, socket] of [...fixture.sockets].entries()) {
        const address = random.pick(ADDRESSES[socket.type.slice(-1)] as string[]);
        const port = random.chance(30) ? 0 : random.pick(PORTS);
        const before = pictureOf(fixture);
        const explained = socket.explainBind(address, port);
        expect(pictureOf(fixture)).toBe(before);
        for (const { rule } of explained.because) rules.add(rule);
        if (port === 0 && explained.searched !== undefined) {
          const { first, last } = explained.searched;
          const taken = explained.because.reduce((sum, { ports }) => sum + (ports ?? 0), 0);
          expect(taken + (explained.free ?? 0)).toBe(last - first + 1);
        }
        if (checked < 120) checked += checkHolders(fixture, explained, { address, port, index });
        const refusal = refusalOf(() => socket.bind(address, port));
        const isRefused = refusal !== undefined;
        expect(isRefused, JSON.stringify(explained)).toBe(!explained.allowed);
        if (isRefused && refusal.code !== "EAFNOSUPPORT") {
          expect(refusal.explain<LinuxExplanation>()).toEqual(explained);
          told++;
        }
        asked++;
      }
      fixture.linux.close();
    }
    expect(asked).toBeGreaterThan(300);
    expect(checked).toBeGreaterThan(20);
    expect(told).toBeGreaterThan(100);
    const all = [
      "wrong-state",
      "flags",
      "listening",
      "user",
      "privileged",
      "outside-group",
      "held",
    ];
    expect([...rules]).toEqual(expect.arrayContaining(all));
  });
});
