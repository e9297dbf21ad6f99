// Which port LinuxPorts picks: only those that some random value of the reference model gives, each
// of them, and as often as the rules say; within the range of the socket's group; and all of a
// range where `exact` wants that.

import { describe, expect, test } from "vitest";
import { LinuxPorts, type PortError, PortGroups, type PortRange } from "../../../bindings/index.ts";
import { codeOf } from "../../invalid-input/fixture.ts";
import { Kernel } from "../../models/linux-6.18/kernel.ts";
import { BUILDS, modulesFor } from "../../support/builds.ts";

const REMOTE = "127.0.0.1";
const SEEDS = 200;
const KINDS = ["bind", "bind with SO_REUSEADDR", "connect", "udp"] as const;
type Kind = (typeof KINDS)[number];

/** Ranges, what of them is reserved, and which ports have an owner at 127.0.0.1 already. */
const RANGES: readonly (readonly [range: PortRange, reserved: string, held: readonly number[]])[] =
  [
    [{ first: 5000, last: 5000 }, "", []],
    [{ first: 5000, last: 5001 }, "", []],
    [{ first: 5000, last: 5004 }, "", []],
    [{ first: 5001, last: 5007 }, "5003", []],
    [{ first: 5000, last: 5007 }, "", [5001, 5003, 5005]],
    [{ first: 5000, last: 5008 }, "5000", [5002, 5008]],
    [{ first: 5000, last: 5002 }, "5001", [5000, 5002]],
  ];

describe.each(KINDS)("the port of %s", (kind) => {
  test.each(RANGES)("is one that some random value gives, and any of those, %j", (...setting) => {
    const picked = new Set<number | string>();
    for (let seed = 0; seed < SEEDS; seed++) picked.add(pickOf(kind, seed, ...setting));
    expect([...picked].sort()).toEqual(possible(kind, ...setting));
  });
});

test("bind() with port 0 takes each odd offset as often as another, and connect() each even one", () => {
  const range = { first: 5000, last: 5007 };
  for (const [kind, ports] of [
    ["bind", [5001, 5003, 5005, 5007]],
    ["connect", [5000, 5002, 5004, 5006]],
  ] as const) {
    const counts = new Map<number | string, number>();
    for (let seed = 0; seed < 2000; seed++) {
      const port = pickOf(kind, seed, range, "", []);
      counts.set(port, (counts.get(port) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(ports);
    for (const count of counts.values()) expect(Math.abs(count - 500)).toBeLessThan(100);
  }
});

test.each(["bind", "connect"] as const)(
  "%s uses up every port of an odd range where `exact` is set, and now and then one less without",
  (kind) => {
    const filled = (seed: number, exact: boolean): number => {
      using linux = LinuxPorts.open({ portRange: { first: 5000, last: 5004 }, seed, exact });
      let ports = 0;
      while (ports < 10 && typeof pick(linux, kind) === "number") ports++;
      return ports;
    };
    const seeds = Array.from({ length: SEEDS }, (_, seed) => seed);
    expect(new Set(seeds.map((seed) => filled(seed, true)))).toEqual(new Set([5]));
    expect(new Set(seeds.map((seed) => filled(seed, false)))).toEqual(new Set([4, 5]));
  },
);

describe.each(BUILDS)("the range of a socket's group, %s build", (build) => {
  const { module, linuxModule } = modulesFor(build);
  const limited = (bind: PortRange, connect: PortRange) => {
    const groups = PortGroups.open(module === undefined ? {} : { module });
    const group = groups.create("/web", { bindPortRange: bind, connectPortRange: connect });
    const range = { first: 5000, last: 5009 };
    const linux = LinuxPorts.open({ portRange: range, seed: 1, module, linuxModule });
    return { linux, group };
  };
  const BIND = { first: 5002, last: 5003 };
  const CONNECT = { first: 5006, last: 5007 };

  test.each(["tcp4", "udp4"] as const)("limits what bind() gives and takes, %s", (type) => {
    const { linux, group } = limited(BIND, CONNECT);
    const ports = [1, 2].map(() => linux.socket({ type, group }).bind("", 0));
    expect(ports.sort()).toEqual([5002, 5003]);
    expect(codeOf(() => linux.socket({ type, group }).bind("", 0))).toBe("EADDRINUSE");
    expect(codeOf(() => linux.socket({ type, group }).bind("127.0.0.1", 5004))).toBe("EADDRINUSE");
    expect(codeOf(() => linux.socket({ type, group }).bind("", 80))).toBe("EADDRINUSE");
    linux.close();
  });

  test.each([
    ["tcp4", "EADDRNOTAVAIL"],
    ["udp4", "EAGAIN"],
  ] as const)("limits what connect() picks, %s", (type, full) => {
    const { linux, group } = limited(BIND, CONNECT);
    const connect = () => linux.socket({ type, group }).connect("192.0.2.1", 443);
    expect([connect(), connect()].sort()).toEqual([5006, 5007]);
    expect(codeOf(connect)).toBe(full);
    linux.close();
  });

  test("is asked again by listen(), and stays without effect on a port that a socket has", () => {
    const { linux, group } = limited(BIND, CONNECT);
    const socket = linux.socket();
    socket.bind("", 5009);
    socket.group = group;
    expect(codeOf(() => socket.listen())).toBe("EADDRINUSE");
    expect(socket.port).toBe(5009);
    expect(BIND.first <= linux.socket({ group }).listen()).toBe(true);
    linux.close();
  });

  test("that does not meet the system's range leaves no port", () => {
    const { linux, group } = limited({ first: 6000, last: 6001 }, { first: 6000, last: 6001 });
    expect(codeOf(() => linux.socket({ group }).bind("", 0))).toBe("EADDRINUSE");
    expect(codeOf(() => linux.socket({ group }).connect("192.0.2.1", 443))).toBe("EADDRNOTAVAIL");
    expect(linux.socket({ group }).bind("", 6000)).toBe(6000);
    linux.close();
  });
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function pick(linux: LinuxPorts, kind: Kind): number | string {
  const socket = linux.socket({
    type: kind === "udp" ? "udp4" : "tcp4",
    reuseAddr: kind === "bind with SO_REUSEADDR",
  });
  try {
    return kind === "connect" ? socket.connect("192.0.2.1", 443) : socket.bind(REMOTE, 0);
  } catch (error) {
    return (error as PortError).code;
  }
}

function pickOf(
  kind: Kind,
  seed: number,
  portRange: PortRange,
  reserved: string,
  held: readonly number[],
): number | string {
  using linux = LinuxPorts.open({ portRange, seed });
  linux.reserved.text = reserved;
  for (const port of held) linux.socket({ type: typeOf(kind) }).bind(REMOTE, port);
  return pick(linux, kind);
}

/** What the reference model may answer, whatever its draws are. */
function possible(
  kind: Kind,
  range: PortRange,
  reserved: string,
  held: readonly number[],
): (number | string)[] {
  const answers = new Set<number | string>();
  for (let first = 0; first < 16; first++) {
    for (let second = 0; second < 16; second++) {
      let draws = 0;
      const share = () => (draws++ === 0 ? first : second) / 16;
      const kernel = new Kernel({ random: (bound) => Math.floor(share() * bound) });
      kernel.sysctl("ip_local_port_range", `${range.first} ${range.last}`);
      kernel.sysctl("ip_local_reserved_ports", reserved);
      for (const port of held) {
        kernel.bind(kernel.socket(typeOf(kind)), REMOTE, port);
      }
      const socket = kernel.socket(typeOf(kind));
      socket.reuseAddr = kind === "bind with SO_REUSEADDR";
      const answer =
        kind === "connect"
          ? kernel.connect(socket, "192.0.2.1", 443)
          : kernel.bind(socket, REMOTE, 0);
      answers.add(answer === "ok" ? socket.port : answer);
    }
  }
  return [...answers].sort();
}

function typeOf(kind: Kind): "udp4" | "tcp4" {
  return kind === "udp" ? "udp4" : "tcp4";
}
