// Bad input: options, arguments and settings that are not what they must be. Each is refused with a
// typed error, and nothing has changed.

import { beforeEach, describe, expect, test } from "vitest";
import { coreOf } from "../../bindings/core/core.ts";
import { PortGroups, PortManager, ReservedPorts } from "../../bindings/index.ts";
import { Linux2632Ports } from "../../bindings/linux/rules/2.6.32/ports.ts";
import type { Linux2632Socket } from "../../bindings/linux/rules/2.6.32/socket.ts";
import { expectRefused, type Fixture, onBuilds, WEB } from "../api/linux/fixture.ts";
import { freshModule, linuxModule, moduleFor, modulesFor } from "../support/builds.ts";
import {
  all,
  BAD_ADDRESS,
  BAD_PORT,
  BAD_RANGE,
  EMPTY_MODULE,
  OUT,
  type Refused,
  type Row,
  says,
  setting,
  TYPE,
  VALUE,
  wrong,
} from "./fixture.ts";

const CORE = freshModule("release");
const LINUX = linuxModule("release");
/** Where the core keeps how many bytes are in use that are not of a system. */
const INSTANCE_ACCOUNT = 8;

const OPTIONS: readonly Row[] = [
  ["null", null, says(TYPE, "options must be an object")],
  ["a wrong name", { portrange: {} }, says(VALUE, "known are ")],
  ["a strange name", { verbose: true }, says(VALUE, "known are portRange, reserved")],
  ["null as range", { portRange: null }, says(TYPE, "portRange must be an object")],
  ["half a range", { portRange: { first: 2000 } }, says(TYPE, "last must be")],
  [
    "a range with a wrong name",
    { portRange: { fist: 1, last: 2 } },
    says(VALUE, "known are first, last"),
  ],
  ["2 as tcpTwReuse", { tcpTwReuse: 2 }, says(VALUE, "tcpTwReuse must be 0 or 1, got 2")],
  ["a time that is too late", { time: 4_294_967_000_001 }, says(OUT, "in 0..4294967000000")],
  ["any address as the local one", { localAddress: "0.0.0.0" }, says(VALUE, "one address")],
  ["seed and random", { seed: 1, random: () => 0 }, says(VALUE, "give one of them")],
  ["a number as random", { random: 4 }, says(TYPE, "random must be a function")],
  ["a limit of 0", { memoryLimit: 0 }, says(OUT, "..4294967295")],
  ["bytes as module", { module: Uint8Array.of(0, 97, 115, 109) }, says(TYPE, "module must be")],
  ["another module", { module: EMPTY_MODULE }, says(VALUE, "portwarden's core.wasm")],
  ["linux.wasm as module", { module: LINUX }, says(VALUE, "core.wasm, got linux.wasm")],
  ["bytes as linuxModule", { linuxModule: Uint8Array.of(0) }, says(TYPE, "linuxModule must be")],
  ["another linuxModule", { linuxModule: EMPTY_MODULE }, says(VALUE, "portwarden's linux.wasm")],
  ["core.wasm as linuxModule", { linuxModule: CORE }, says(VALUE, "linux.wasm, got core.wasm")],
  ["a text as reserved ports", { reserved: "8080" }, says(TYPE, "reserved must be")],
  ...all(TYPE, 5, [], { portRange: [1, 2] }, { unprivilegedPortStart: "1024" }),
  ...all(TYPE, { timeWaitMs: "60s" }, { time: new Date(0) }, { time: 0n }, { hint: "1" }),
  ...all(TYPE, { localAddress: null }, { bindSelection: null }, { connectSelection: 3 }),
  ...all(TYPE, { connectSelection: null }, { reserved: null }),
  ...all(TYPE, { seed: "1" }, { random: null }, { memoryLimit: "1MB" }, { module: null }),
  ...all(TYPE, { linuxModule: null }, { reserved: { text: "8080" } }),
  ...all(BAD_RANGE, { portRange: { first: 3000, last: 2999 } }),
  ...all(BAD_RANGE, { portRange: { first: 0, last: 9 } }),
  ...all(BAD_RANGE, { portRange: { first: 2000, last: 65_536 } }),
  ...all(BAD_RANGE, { portRange: { first: 2000.5, last: 3000.5 } }),
  ...all(BAD_RANGE, { portRange: { first: 1023, last: 2000 } }, { unprivilegedPortStart: 32_769 }),
  ...all(OUT, { unprivilegedPortStart: -1 }, { unprivilegedPortStart: 65_536 }, { timeWaitMs: -1 }),
  ...all(OUT, { timeWaitMs: 2 ** 32 }, { timeWaitMs: 0.5 }, { time: -1 }, { time: Number.NaN }),
  ...all(OUT, { hint: -1 }, { hint: 2 ** 32 }, { seed: -1 }, { memoryLimit: 2 ** 32 }),
  ...all(VALUE, { tcpTwReuse: true }, { tcpTwReuse: null }, { localAddress: "" }),
  ...all(VALUE, { bindSelection: "hsah" }, { connectSelection: { algorithm: "rfc" } }),
  ...all(VALUE, { bindSelection: { algorithm: "random", slots: 1 } }),
  ...all(VALUE, { connectSelection: { algorithm: "hash", secret: new Uint8Array(1) } }),
  ...all(BAD_ADDRESS, { localAddress: "localhost" }),
];

const SOCKET_OPTIONS: readonly Row[] = [
  ["null", null, says(TYPE, "options must be an object")],
  ["a wrong name", { reuseaddr: true }, says(VALUE, "known are ")],
  ["1 as reuseAddr", { reuseAddr: 1 }, says(TYPE, "reuseAddr must be a boolean")],
  ["a name as device", { bindToDevice: "eth0" }, says(TYPE, "bindToDevice must be")],
  ["a path as group", { group: "/web" }, says(TYPE, "group must be a PortGroup")],
  ["another type", { type: "raw" }, says(VALUE, 'type must be "tcp" or "udp"')],
  ...all(TYPE, "tcp", [], { reuseAddr: null }, { privileged: "yes" }, { bindToDevice: null }),
  ...all(TYPE, { group: null }, { group: new Proxy(PortGroups.open().root, {}) }),
  ...all(VALUE, { verbose: 1 }, { reusePort: true }, { type: "UDP" }, { type: 17 }, { type: null }),
  ...all(OUT, { bindToDevice: -1 }, { bindToDevice: 2 ** 31 }, { bindToDevice: 1.5 }),
];

const PORTS: readonly Row[] = [
  ...all(BAD_PORT, -1, 65_536, 80.5, Number.NaN, Number.POSITIVE_INFINITY),
  ...all(TYPE, "80", 80n, Symbol("80"), { valueOf: () => 80 }, null),
];

/** Of remote ends and buckets. */
const REMOTE_PORTS: readonly Row[] = [...PORTS, ["0", 0, BAD_PORT], ["nothing", undefined, TYPE]];

const ADDRESSES: readonly Row[] = [
  ["a boolean", true, says(TYPE, "address must be an IP address as a string, as 4 or 16 bytes")],
  ["a negative number", -1, says(OUT, "an IPv4 address in 0..4294967295")],
  ["three bytes", Uint8Array.of(1, 2, 3), says(BAD_ADDRESS, "4 or 16 bytes, got 3")],
  ["a name", "localhost", says(BAD_ADDRESS, 'address must be an IPv4 address such as "10.0.0.1"')],
  ["an address with a zone", "fe80::1%2", says(BAD_ADDRESS, "name the interface by bindToDevice")],
  ...all(TYPE, null, { toString: () => "10.0.0.1" }, Symbol("10.0.0.1")),
  ...all(BAD_ADDRESS, "10.0.0.1:80"),
];

const CONNECT_OPTIONS: readonly Row[] = [
  ["null", null, says(TYPE, "options must be an object")],
  ["a wrong name", { localaddress: "10.0.0.1" }, says(VALUE, "known are ")],
  [
    "a boolean as address",
    { localAddress: true },
    says(TYPE, "localAddress must be an IP address"),
  ],
  ["any address as the local one", { localAddress: "::" }, says(VALUE, "one address of this")],
  ["a text as offset", { offset: "0" }, says(TYPE, "offset must be")],
  ...all(TYPE, 7, [], { localAddress: null }, { offset: null }),
  ...all(BAD_ADDRESS, { localAddress: "10.0.0" }),
  ...all(VALUE, { localAddress: "" }),
  ...all(OUT, { offset: -1 }, { offset: 2 ** 32 }, { offset: 0.5 }),
];

const TIMESTAMPS = ["5", true, [5], 5n, Symbol("5"), { valueOf: () => 5 }];

const CLOSE_OPTIONS: readonly Row[] = [
  ["null", null, says(TYPE, "options must be an object")],
  ["a wrong name", { timewait: true }, says(VALUE, "known are ")],
  ["1 as timeWait", { timeWait: 1 }, says(TYPE, "timeWait must be a boolean")],
  ["a timestamp ahead", { timeWait: true, timestamp: 1501 }, says(OUT, "in 0..1500, or null")],
  ...all(TYPE, true, { timeWait: null }, ...TIMESTAMPS.map((timestamp) => ({ timestamp }))),
  ...all(OUT, { timeWait: true, timestamp: -1 }, { timestamp: 1501 }),
  ...all(OUT, { timeWait: true, timestamp: Number.NaN }),
];

const TIMES: readonly Row[] = [
  [
    "one that is past",
    1499,
    says(OUT, "time must be milliseconds in 1500..4294967000000, got 1499"),
  ],
  ...all(OUT, 1499.999, -1, 4_294_967_000_001, Number.POSITIVE_INFINITY, Number.NaN),
  ...all(TYPE, "2000", 2000n, new Date(2000), undefined, null),
];

const BOUNDS: readonly (readonly [unknown, unknown, Refused])[] = [
  [0, 9, BAD_RANGE],
  [3000, 2999, BAD_RANGE],
  [2000, 65_536, BAD_RANGE],
  [2000.5, 3000, BAD_RANGE],
  [Number.NaN, 3000, BAD_RANGE],
  ["2000", 3000, TYPE],
  [2000, undefined, TYPE],
  [2000n, 3000n, TYPE],
  [{ first: 2000, last: 3000 }, undefined, TYPE],
  [1023, 3000, BAD_RANGE],
];

onBuilds((open, build) => {
  let s: Fixture;
  let loose: Linux2632Socket;
  let bound: Linux2632Socket;
  let connected: Linux2632Socket;
  let udp: Linux2632Socket;
  let connectedUdp: Linux2632Socket;
  beforeEach(() => {
    s = open({ time: 1500, hint: 3 });
    const group = s.group("/web", [2000, 2004]);
    loose = s.socket({ group });
    bound = s.bound("10.0.0.1", 2000, { group, reuseAddr: true });
    s.listener("", 2003);
    connected = s.connected();
    s.connected("192.0.2.9").close({ timeWait: true });
    udp = s.socket({ type: "udp", group });
    connectedUdp = s.connected(WEB, { offset: 0 }, { type: "udp" });
  });

  test.each(OPTIONS)("open() refuses %s, and leaves nothing behind", (_name, options, refused) => {
    const { module } = moduleFor(build);
    const core = coreOf(module);
    const inUse = (): number =>
      new DataView(core.exports.memory.buffer).getUint32(INSTANCE_ACCOUNT, true);
    const isPlain = typeof options === "object" && options !== null && !Array.isArray(options);
    const all = isPlain ? { ...modulesFor(build), ...options } : options;
    const before = inUse();
    expectRefused(s, () => Linux2632Ports.open(wrong(all)), refused);
    expect(inUse()).toBe(before);
  });

  test("open() refuses reserved ports of another module", () => {
    const reserved = new ReservedPorts("", { module: freshModule(build) });
    expectRefused(s, () => Linux2632Ports.open({ reserved, ...modulesFor(build) }), {
      ...VALUE,
      says: "reserved lives in another module",
    });
  });

  test.each(SOCKET_OPTIONS)("socket() refuses %s", (_name, options, refused) => {
    expectRefused(s, () => s.ports.socket(wrong(options)), refused);
  });

  test("a group of another module is none of a socket's", () => {
    const groups = PortGroups.open({ module: freshModule(build) });
    const { root } = groups;
    const refused = says(VALUE, "group / lives in another module");
    expectRefused(s, () => s.ports.socket({ group: root }), refused);
    expectRefused(s, setting(bound, { group: root }), refused);
    expect(root.uses).toBe(0);
  });

  describe("bind()", () => {
    test.each(PORTS)("refuses %s as port", (_name, port, refused) => {
      for (const socket of [loose, bound, udp, connectedUdp]) {
        expectRefused(s, () => socket.bind("10.0.0.1", wrong(port)), refused);
      }
    });

    test.each(ADDRESSES)("refuses %s as address", (_name, address, refused) => {
      for (const socket of [loose, bound, udp, connectedUdp]) {
        expectRefused(s, () => socket.bind(wrong(address), 2001), refused);
        expectRefused(s, () => socket.bind(wrong(address), 0), refused);
      }
      expect(s.drawn).toBe(0);
    });
  });

  describe("connect()", () => {
    test.each(REMOTE_PORTS)("refuses %s as port", (_name, port, refused) => {
      for (const socket of [loose, bound, connected, udp, connectedUdp]) {
        expectRefused(s, () => socket.connect(WEB, wrong(port)), refused);
      }
    });

    test.each(ADDRESSES)("refuses %s as address", (_name, address, refused) => {
      for (const socket of [loose, bound, udp, connectedUdp]) {
        expectRefused(s, () => socket.connect(wrong(address), 443), refused);
      }
    });

    test.each(["", "0.0.0.0", "::", undefined])("refuses any address as remote end: %j", (any) => {
      for (const socket of [loose, udp, connectedUdp]) {
        expectRefused(
          s,
          () => socket.connect(wrong(any), 443),
          says(VALUE, "address must be the address of the remote end"),
        );
      }
    });

    test.each(CONNECT_OPTIONS)("refuses %s as options", (_name, options, refused) => {
      for (const socket of [loose, bound, udp, connectedUdp]) {
        expectRefused(s, () => socket.connect(WEB, 443, wrong(options)), refused);
      }
    });
  });

  test.each(CLOSE_OPTIONS)("close() refuses %s", (_name, options, refused) => {
    for (const socket of [connected, bound, loose, udp, connectedUdp]) {
      expectRefused(s, () => socket.close(wrong(options)), refused);
    }
    expect(connected.state).toBe("connected");
  });

  test.each(TIMES)("setTime() refuses %s", (_name, time, refused) => {
    expectRefused(s, () => s.ports.setTime(wrong(time)), refused);
  });

  test.each(BOUNDS)("setPortRange() refuses %s..%s", (first, last, refused) => {
    expectRefused(s, () => s.ports.setPortRange(wrong(first), wrong(last)), refused);
  });

  test.each(REMOTE_PORTS)("bindBucket() knows no port %s", (_name, port, refused) => {
    expectRefused(s, () => s.ports.bindBucket(wrong(port)), refused);
  });

  test.each<Row>([
    ...all(TYPE, { reuseAddr: 1 }, { reuseAddr: null }, { group: "/web" }, { group: null }),
    ...all(TYPE, { group: PortManager.open() }),
  ])("a socket refuses %s", (_name, values, refused) => {
    for (const socket of [loose, bound, udp]) {
      expectRefused(s, setting(socket, wrong(values)), refused);
    }
  });

  test.each<Row>([
    ...all(VALUE, { tcpTwReuse: 2 }, { tcpTwReuse: "1" }, { tcpTwReuse: undefined }),
    ...all(TYPE, { unprivilegedPortStart: "80" }, { unprivilegedPortStart: undefined }),
    ...all(OUT, { unprivilegedPortStart: 80.5 }),
    ...all(BAD_RANGE, { unprivilegedPortStart: 2001 }),
  ])("a system refuses %s", (_name, values, refused) => {
    expectRefused(s, () => Object.assign(s.ports, wrong<object>(values)), refused);
  });

  test("what can only be read stays as it is", () => {
    const before = s.picture();
    for (const [name, value] of Object.entries({ port: 1, address: "x", state: "gone" })) {
      expect(() => Object.assign(bound, { [name]: value })).toThrow(TypeError);
    }
    for (const [name, value] of Object.entries({ time: 1, hint: 1 })) {
      expect(() => Object.assign(s.ports, { [name]: value })).toThrow(TypeError);
    }
    expect(s.picture()).toEqual(before);
  });

  test("methods do nothing for others than their own kind", () => {
    const before = s.picture();
    const { bind, close } = bound;
    for (const other of [{}, Object.create(bound), new Proxy(bound, {})]) {
      expect(() => bind.call(other, "", 2001)).toThrow(TypeError);
      expect(() => close.call(other)).toThrow(TypeError);
      expect(() => Linux2632Ports.prototype.stats.call(other)).toThrow(TypeError);
    }
    expect(s.picture()).toEqual(before);
  });
});
