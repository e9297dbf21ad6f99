// A memory limit that is reached in the middle of a change. Each story is played under one limit
// after the other, in steps of a few bytes, from the lowest there is to one where nothing is
// refused, so that each allocation is refused once, alone, behind those that came before it.
//
// Whatever is refused has changed nothing, all else is answered as the reference model answers, the
// invariants hold after each step, and when all is closed and expired no byte is in use.

import { afterAll, describe, expect, test } from "vitest";
import { Linux2632Ports } from "../../bindings/linux/rules/2.6.32/ports.ts";
import { verifyLinux } from "../../bindings/linux/system.ts";
import { type BuildUnderTest, LinuxSession } from "../fuzz/linux/session.ts";
import { buildUnderTest } from "../fuzz/linux/subject.ts";
import { caught, setting } from "../invalid-input/fixture.ts";
import { openReferenceLinux } from "../replay/linux-reference.ts";
import type { LinuxOperation } from "../replay/linux-trace.ts";
import { freshModules, type Modules, modulesFor } from "../support/builds.ts";
import { type Outcome, outcomeOf, refusalsIn, sweep } from "./sweep.ts";

interface Story {
  readonly name: string;
  /** What is there before; where it does not fit, nothing is played. */
  readonly ballast: readonly LinuxOperation[];
  readonly operations: readonly LinuxOperation[];
  /** Bytes between two limits. */
  readonly step: number;
}

interface Begun {
  readonly session: LinuxSession;
  readonly underTest: BuildUnderTest;
}

const LIMIT_MIN = lowestLimit();
const LIMIT_MAX = 100_000;
/**
 * Numbers of sockets that fill, and of those that operations make, lie above those of the ballast.
 */
const FILLERS = 1000;
const OPERATIONS = 10_000;

// ── Operations ────────────────────────────────────────────────────────────────────────────

interface Who {
  readonly reuse?: boolean;
  readonly device?: number;
  readonly group?: string;
}

function socket(
  sock: number,
  { reuse = false, device = 0, group = "/" }: Who = {},
): LinuxOperation {
  return { op: "socket", sock, reuse, device, group };
}

function bind(sock: number, addr: string, port: number): LinuxOperation {
  return { op: "bind", sock, addr, port, random: [0, 1, 2, 3, 4, 5] };
}

function listen(sock: number): LinuxOperation {
  return { op: "listen", sock, random: [5, 4, 3, 2, 1, 0] };
}

/** `9.9.9.9:443`, from an address that routing chose. */
function connect(sock: number, to: string, portOffset = 0, saddr = "127.0.0.1"): LinuxOperation {
  const [daddr = "", dport] = to.split(":");
  return { op: "connect", sock, saddr, daddr, dport: Number(dport), portOffset };
}

function close(sock: number): LinuxOperation {
  return { op: "close", sock };
}

/** Without a stamp: the connection had no timestamps. */
function wait(sock: number, stamp?: number): LinuxOperation {
  return { op: "closeToTimeWait", sock, stamp: stamp ?? 0, hasTimestamp: stamp !== undefined };
}

function setReuse(sock: number, reuse: boolean): LinuxOperation {
  return { op: "setReuse", sock, reuse };
}

function time(now: number): LinuxOperation {
  return { op: "setNow", now };
}

const EXPIRE: LinuxOperation = { op: "expireTimeWait" };
const RANGE: LinuxOperation = { op: "setLocalRange", low: 2000, high: 2999 };

function each<T>(count: number, make: (index: number) => T | T[]): T[] {
  return Array.from({ length: count }, (_, index) => make(index)).flat() as T[];
}

/** Sockets without ports, which fill a system up to the lowest limit there is. */
function fillers(used: number): LinuxOperation[] {
  const SOCKET_BYTES = 64;
  return each(Math.max(0, Math.floor((LIMIT_MIN - used) / SOCKET_BYTES) - 1), (index) =>
    socket(FILLERS + index),
  );
}

// ── Stories ───────────────────────────────────────────────────────────────────────────────

const STORIES: readonly Story[] = [
  {
    name: "explicit ports: records, pages of them, addresses, devices, and many sockets",
    ballast: [RANGE],
    step: 40,
    operations: [
      ...[socket(10), bind(10, "10.0.0.1", 2000)],
      ...[socket(11), bind(11, "10.0.0.2", 2000)],
      ...[socket(12, { device: 1 }), bind(12, "10.0.0.3", 2000)],
      ...[socket(13, { device: 2 }), bind(13, "10.0.0.3", 9000)],
      ...[socket(14), bind(14, "", 9000), bind(14, "", 9001)],
      ...[socket(15), bind(15, "10.0.0.1", 2000), bind(15, "10.0.0.4", 60_000)],
      ...[close(12), close(10), socket(16, { device: 1 }), bind(16, "10.0.0.3", 2000)],
    ],
  },
  {
    name: "sockets that share: SO_REUSEADDR set and cleared, listeners, and searches",
    ballast: [RANGE],
    step: 24,
    operations: [
      ...each(4, (index) => [socket(10 + index, { reuse: true }), bind(10 + index, "", 2000)]),
      ...[setReuse(10, false), setReuse(11, false), setReuse(10, true), setReuse(11, true)],
      ...[socket(20, { reuse: true }), bind(20, "10.0.0.1", 0), setReuse(20, false), listen(20)],
      ...[listen(10), listen(11), close(10), listen(11)],
      ...[
        socket(21),
        listen(21),
        socket(22, { reuse: true }),
        listen(22),
        socket(23),
        bind(23, "", 0),
      ],
      ...[setReuse(21, true), setReuse(22, false), close(21), bind(23, "10.0.0.2", 0)],
    ],
  },
  {
    name: "connections: tuples of many ends, addresses and devices",
    ballast: [RANGE],
    step: 24,
    operations: [
      ...[socket(10), connect(10, "9.9.9.9:443"), socket(11), connect(11, "9.9.9.9:443")],
      ...[socket(12), connect(12, "9.9.9.9:80", 998), socket(13), connect(13, "8.8.8.8:80", 997)],
      ...[socket(14, { device: 1 }), connect(14, "9.9.9.9:443", 5)],
      ...[socket(15, { reuse: true }), connect(15, "9.9.9.9:443", 5, "10.0.0.1")],
      ...[socket(16, { reuse: true }), bind(16, "10.0.0.2", 2500), connect(16, "9.9.9.9:443")],
      ...[socket(17, { reuse: true }), bind(17, "10.0.0.2", 2500), connect(17, "9.9.9.9:443")],
      ...[connect(17, "9.9.9.9:80"), close(11), close(13), setReuse(15, false), setReuse(10, true)],
    ],
  },
  {
    name: "TIME_WAITs: entered with stamps and without, taken over, and over",
    ballast: [RANGE, time(100)],
    step: 24,
    operations: [
      ...each(3, (index) => [
        socket(10 + index, { reuse: true }),
        bind(10 + index, "10.0.0.1", 2100),
      ]),
      ...[connect(10, "9.9.9.9:443"), wait(10, 100), connect(11, "9.9.9.9:443"), wait(11, 90)],
      ...[socket(13), connect(13, "9.9.9.9:443"), wait(13), time(101)],
      ...[socket(14), connect(14, "9.9.9.9:443"), wait(14, 101), connect(12, "9.9.9.9:443")],
      ...[
        time(102),
        time(103),
        socket(15, { reuse: true }),
        connect(15, "8.8.8.8:1"),
        wait(15, 50),
      ],
      ...[time(160), EXPIRE, wait(12, 160), time(161), EXPIRE, time(163), EXPIRE],
      ...[socket(16), connect(16, "9.9.9.9:443", 10)],
    ],
  },
  {
    name: "lists of 1, 2, 9, 17 and 33 ports, of one pool and of those who bind",
    ballast: [
      RANGE,
      ...each(34, (index) => socket(10 + index, { reuse: true })),
      bind(10, "10.0.0.1", 2000),
    ],
    step: 24,
    operations: each(34, (index) => bind(10 + index, "10.0.0.1", 2000 + 3 * index)),
  },
  {
    name: "bitmaps of 65 ports, of a pool, of those who bind, and of those who share",
    ballast: [
      RANGE,
      ...each(64, (index) => [
        socket(10 + index, { reuse: true }),
        bind(10 + index, "10.0.0.1", 2000 + 3 * index),
      ]),
      ...each(64, (index) => [
        socket(100 + index),
        connect(100 + index, "9.9.9.9:443", 2000 - 1 + 500),
      ]),
    ],
    step: 2000,
    operations: [
      ...[socket(200, { reuse: true }), bind(200, "10.0.0.1", 2900)],
      ...[socket(201), connect(201, "9.9.9.9:443", 1), wait(201, 0)],
      ...[socket(202), connect(202, "9.9.9.9:443", 1), setReuse(200, false), close(200)],
      ...[socket(203, { reuse: true }), bind(203, "10.0.0.1", 0), listen(203)],
    ],
  },
  {
    name: "a table that grows, by tuples and by TIME_WAITs",
    ballast: [
      RANGE,
      ...each(40, (index) => [socket(10 + index), connect(10 + index, `9.9.9.9:${index + 1}`)]),
    ],
    step: 64,
    operations: [
      ...each(12, (index) => wait(10 + index, 0)),
      ...each(6, (index) => [socket(100 + index), connect(100 + index, `8.8.8.8:${index + 1}`)]),
      ...[time(60), EXPIRE, wait(30), close(31)],
      ...each(4, (index) => [socket(120 + index), connect(120 + index, `8.8.8.8:${index + 50}`)]),
    ],
  },
];

describe("under every memory limit Linux2632Ports changes as a whole or not at all", () => {
  let limits = 0;
  let refusals = 0;

  test.each(STORIES.map((story) => [story.name, story] as const))("%s", (_name, story) => {
    // An instance of its own, so that what breaks one story does not break the next.
    const modules = freshModules("debug");
    const [whole, used] = filled(story, modules);
    const grid = { least: Math.max(LIMIT_MIN, used), step: story.step, below: LIMIT_MAX };
    const outcomes = sweep(grid, (limit) => playUnder(limit, whole, modules));
    limits += outcomes.size;
    refusals += refusalsIn(outcomes);
  });

  afterAll(() => {
    console.log(`linux memory: ${refusals} refusals under ${limits} limits`);
    expect(refusals).toBeGreaterThan(limits);
  });
});

/** What was refused; undefined where there was no room for the ballast. */
function playUnder(limit: number, { ballast, operations }: Story, modules: Modules): Outcome {
  const { session } = begin(limit, modules, limit % 16 === 0);
  const { figures } = session;
  for (const operation of ballast) {
    session.perform(operation);
    if (figures.refusals > 0) {
      session.abandon();
      return undefined;
    }
  }
  const known = new Set(ballast.map(sockOf));
  const refused = operations.map((operation) => {
    const before = figures.refusals;
    session.perform(renumbered(operation, known));
    return figures.refusals > before;
  });
  // By turns: all closed one by one, or the system with all that it holds.
  session.finish();
  return outcomeOf(refused);
}

/** The story with what fills the system, and about how much that takes. */
function filled(story: Story, modules: Modules): [story: Story, used: number] {
  const { session, underTest } = begin(0xffffffff, modules);
  for (const operation of story.ballast) session.perform(operation);
  const filling = fillers(underTest.used?.() ?? 0);
  for (const operation of filling) session.perform(operation);
  const used = underTest.used?.() ?? 0;
  session.abandon();
  return [{ ...story, ballast: [...story.ballast, ...filling] }, used - (used % 8)];
}

function sockOf(operation: LinuxOperation): number | undefined {
  return "sock" in operation ? operation.sock : undefined;
}

/** Numbers ascend: what is not of the ballast comes behind it. */
function renumbered(operation: LinuxOperation, known: ReadonlySet<unknown>): LinuxOperation {
  const sock = sockOf(operation);
  if (sock === undefined || known.has(sock)) return operation;
  return { ...operation, sock: OPERATIONS + sock } as LinuxOperation;
}

function begin(limit: number, modules: Modules, isAbrupt = false): Begun {
  const setup = { hint: 0, limit, isAbrupt };
  const underTest = buildUnderTest(modules, setup);
  return { session: new LinuxSession(openReferenceLinux(0), underTest, setup), underTest };
}

// ── Ripening ──────────────────────────────────────────────────────────────────────────────

const WEB = "192.0.2.1";
const REUSE = { reuseAddr: true };

test("a TIME_WAIT that finds no memory to become reusable stays as it is, and becomes so when connect() asks", () => {
  let late = 0;
  let due = 0;
  for (let limit = LIMIT_MIN; limit < LIMIT_MIN + 1000; limit += 8) {
    using ports = openUnder(limit, { tcpTwReuse: 1 });
    const atOpen = ports.stats().memory.used;
    for (const port of [2000, 2001, 2002]) {
      const socket = ports.socket(port === 2001 ? REUSE : {});
      ports.setPortRange(port, port);
      if (caught(() => socket.connect(WEB, 443)) instanceof Error) break;
      if (caught(() => socket.close({ timeWait: true })) instanceof Error) socket.close();
    }
    const filling = [...fill(ports)];
    const { timeWait } = ports.stats();
    ports.setTime(2000);
    verifyLinux(ports);
    expect(ports.stats().timeWait).toBe(timeWait);
    for (const socket of filling.splice(-5)) socket.close();

    for (const port of [2000, 2001, 2002]) {
      if (ports.bindBucket(port) === undefined) continue;
      ports.setPortRange(port, port);
      using socket = ports.socket();
      const answer = caught(() => socket.connect(WEB, 443));
      if (!(answer instanceof Error)) due += 1;
      else if ((answer as { code?: string }).code === "EADDRNOTAVAIL") late += 1;
      else expect(answer).toMatchObject({ code: "ENOBUFS" });
      verifyLinux(ports);
    }
    for (const socket of filling) socket.close();
    ports.setTime(2000);
    for (const port of [2000, 2001, 2002]) {
      if (ports.bindBucket(port) === undefined) continue;
      ports.setPortRange(port, port);
      using socket = ports.socket();
      const answer = caught(() => socket.connect(WEB, 443));
      if (answer instanceof Error) expect(answer).toMatchObject({ code: "ENOBUFS" });
      else expect(socket.port).toBe(port);
    }
    ports.setTime(60_000);
    ports.expireTimeWait();
    verifyLinux(ports);
    expect(ports.stats()).toMatchObject({ buckets: 0, timeWait: 0, memory: { used: atOpen } });
  }
  expect(late).toBe(0);
  expect(due).toBeGreaterThan(10);
});

// ── Alone ─────────────────────────────────────────────────────────────────────────────────

test("each refusal says what there was no memory for, and the limit", () => {
  const { ports, limit, sockets, filling } = fullBehind((all) => {
    const [loose, bound, shared, connected] = [
      all.socket(),
      all.socket(REUSE),
      all.socket(REUSE),
      all.socket(),
    ];
    bound.bind("10.0.0.1", 2000);
    shared.bind("10.0.0.1", 2000);
    connected.connect(WEB, 443);
    return { loose, bound, connected };
  });
  const { loose, bound, connected } = sockets;
  const says = (what: string) => ({
    ...{ code: "ENOBUFS", reason: "no-memory" },
    message: `ENOBUFS: no memory for one more record: ${what}, limit ${limit} bytes`,
  });
  const before = ports.stats();
  const refused: readonly (readonly [string, () => unknown])[] = [
    ["a socket", () => ports.socket()],
    ["tcp 10.0.0.2:2000", () => loose.bind("10.0.0.2", 2000)],
    ["tcp *:0", () => loose.bind("", 0)],
    ["tcp *:0", () => loose.listen()],
    ["tcp *:0 -> 192.0.2.1:443", () => loose.connect(WEB, 443)],
    ["tcp 10.0.0.1:2000 -> 192.0.2.1:443", () => bound.connect(WEB, 443)],
    ["a TIME_WAIT", () => connected.close({ timeWait: true })],
    ["another way to hold a port", setting(bound, { reuseAddr: false })],
  ];
  for (const [what, act] of refused) expect(caught(act)).toMatchObject(says(what));
  verifyLinux(ports);
  expect(ports.stats()).toEqual(before);
  expect(loose).toMatchObject({ port: 0, address: "", state: "closed" });
  expect(bound).toMatchObject({ port: 2000, state: "closed", reuseAddr: true });
  expect(connected.state).toBe("connected");

  // As soon as there is room, each of them is granted.
  for (const socket of filling) socket.close();
  for (const [, act] of refused.slice(1, 2)) expect(caught(act)).toBe("nothing was thrown");
  loose.close();
  for (const [, act] of refused.slice(5)) expect(caught(act)).toBe("nothing was thrown");
  verifyLinux(ports);
  ports.close();
});

test("a refused bind() keeps the address that the socket had", () => {
  const { ports, sockets, filling } = fullBehind((all) => {
    const [one, other] = [all.socket(REUSE), all.socket(REUSE)];
    one.bind("10.0.0.1", 0);
    other.bind("10.0.0.1", 0);
    one.connect(WEB, 443);
    expect(caught(() => other.connect(WEB, 443))).toMatchObject({ code: "EADDRNOTAVAIL" });
    return { loser: other };
  });
  const { loser } = sockets;
  expect(caught(() => loser.bind("10.0.0.3", 2001))).toMatchObject({ code: "ENOBUFS" });
  expect(loser).toMatchObject({ port: 0, address: "10.0.0.1", state: "closed" });
  expect(caught(() => loser.listen())).toMatchObject({ code: "ENOBUFS" });
  expect(loser).toMatchObject({ port: 0, address: "10.0.0.1", state: "closed" });
  for (const socket of filling) socket.close();
  expect(loser.bind("10.0.0.3", 2001)).toBe(2001);
  ports.close();
});

test("one system's limit is not another's", () => {
  const [small, large] = [openUnder(LIMIT_MIN), openUnder(0xffffffff)];
  const full = [...fill(small)];
  expect(full.length).toBeGreaterThan(3);
  expect(small.stats().memory.used).toBeLessThanOrEqual(LIMIT_MIN);
  expect(large.socket().bind("", 0)).toBeGreaterThan(0);
  verifyLinux(small);
  verifyLinux(large);
  small.close();
  large.close();
});

/** A limit that is the lowest power of two that open() takes. */
function lowestLimit(): number {
  let limit = 1024;
  while (caught(() => openUnder(limit).close()) instanceof Error) limit *= 2;
  return limit;
}

function openUnder(memoryLimit: number, options = {}): Linux2632Ports {
  return Linux2632Ports.open({ memoryLimit, random: () => 0, ...options, ...modulesFor("debug") });
}

/** A system of which sockets without ports take the very last byte, behind others. */
function fullBehind<T>(setUp: (ports: Linux2632Ports) => T): {
  readonly ports: Linux2632Ports;
  readonly limit: number;
  readonly sockets: T;
  readonly filling: readonly ReturnType<Linux2632Ports["socket"]>[];
} {
  const range = { portRange: { first: 2000, last: 2009 } };
  const sizer = openUnder(0xffffffff, range);
  setUp(sizer);
  const { used } = sizer.stats().memory;
  sizer.socket();
  const each = sizer.stats().memory.used - used;
  sizer.close();
  const limit = used + each * Math.max(20, Math.ceil((LIMIT_MIN - used) / each));
  const ports = openUnder(limit, range);
  const sockets = setUp(ports);
  const filling = [...fill(ports)];
  expect(ports.stats().memory.used).toBe(limit);
  return { ports, limit, sockets, filling };
}

/** Sockets without ports, until there is no memory for another. */
function* fill(ports: Linux2632Ports): Generator<ReturnType<Linux2632Ports["socket"]>> {
  for (;;) {
    let socket: ReturnType<Linux2632Ports["socket"]>;
    try {
      socket = ports.socket();
    } catch (error) {
      expect(error).toMatchObject({ code: "ENOBUFS" });
      return;
    }
    yield socket;
  }
}
