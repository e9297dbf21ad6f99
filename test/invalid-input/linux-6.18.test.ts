// What callers get wrong with LinuxPorts and its sockets: each gets the error that names the
// mistake, and nothing has changed.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LinuxPorts, type LinuxSocket } from "../../bindings/index.ts";
import { codeOf } from "./fixture.ts";

const TYPE = "ERR_INVALID_ARG_TYPE";
const VALUE = "ERR_INVALID_ARG_VALUE";
const OUT = "ERR_OUT_OF_RANGE";
const ADDRESS = "ERR_INVALID_IP_ADDRESS";
const PORT = "ERR_SOCKET_BAD_PORT";

/** Arguments of any type. */
// biome-ignore lint/suspicious/noExplicitAny: what callers in JavaScript may pass.
type Loose = any;

const OPTIONS: readonly (readonly [string, Loose, string])[] = [
  ["no object", 3, TYPE],
  ["an unknown option", { port: 1 }, VALUE],
  ["other rules", { rules: "modern" }, VALUE],
  ["null as rules", { rules: null }, VALUE],
  ["an option of the other rules", { hint: 1 }, VALUE],
  ["a range upside down", { portRange: { first: 2, last: 1 } }, "EINVAL"],
  ["a range below the privileged ports", { portRange: { first: 80, last: 90 } }, "EINVAL"],
  ["no list of reserved ports", { reserved: [80] }, TYPE],
  ["addresses as a text", { addresses: "10.0.0.1" }, TYPE],
  ["an address that is none", { addresses: ["localhost"] }, ADDRESS],
  ["devices as a number", { devices: 2 }, TYPE],
  ["device 0", { devices: [0] }, OUT],
  ["any address as the local one", { localAddress: "::" }, VALUE],
  ["a number as exact", { exact: 1 }, TYPE],
  ["slots that are no power of two", { udpHashSlots: 300 }, VALUE],
  ["too few slots", { udpHashSlots: 128 }, OUT],
  ["a seed and a source", { seed: 1, random: () => 1 }, VALUE],
  ["no function as source", { random: 3 }, TYPE],
  ["too little memory", { memoryLimit: 1 }, OUT],
  ["null as memory", { memoryLimit: null }, TYPE],
  ["a negative time", { time: -1 }, OUT],
  ["no module", { module: {} }, TYPE],
];

const SOCKETS: readonly (readonly [string, Loose, string])[] = [
  ["an unknown type", { type: "tcp" }, VALUE],
  ["an option of the other rules", { privileged: true }, VALUE],
  ["a number as reuseAddr", { reuseAddr: 1 }, TYPE],
  ["null as reusePort", { reusePort: null }, TYPE],
  ["a text as device", { bindToDevice: "lo" }, TYPE],
  ["a device that there is not", { bindToDevice: 7 }, "ENODEV"],
  ["a negative user", { uid: -1 }, OUT],
  ["a range upside down", { localPortRange: { first: 9, last: 8 } }, "EINVAL"],
  ["a range with a text", { localPortRange: { first: 9, last: "9" } }, TYPE],
  ["no group", { group: {} }, TYPE],
];

const CALLS: readonly (readonly [string, (socket: Loose) => unknown, string])[] = [
  ["bind() without an address", (s) => s.bind(undefined, 1.5), TYPE],
  ["bind() to a name", (s) => s.bind("localhost", 5000), ADDRESS],
  ["bind() to a port of 65536", (s) => s.bind("", 65_536), PORT],
  ["bind() to an address of another family", (s) => s.bind("::1", 5000), "EAFNOSUPPORT"],
  ["bind() to another machine's address", (s) => s.bind("192.0.2.1", 5000), "EADDRNOTAVAIL"],
  ["bind() in the name of a text", (s) => s.bind("", 5000, "root"), TYPE],
  ["connect() to a name", (s) => s.connect("localhost", 80), ADDRESS],
  ["connect() to a negative port", (s) => s.connect("127.0.0.1", -1), PORT],
  ["connect() with an unknown option", (s) => s.connect("127.0.0.1", 80, { port: 1 }), VALUE],
  ["connect() with an unknown answer", (s) => s.connect("10.9.9.9", 80, { remote: "no" }), VALUE],
  ["connect() with a text as offset", (s) => s.connect("10.9.9.9", 80, { offset: "1" }), TYPE],
  ["accept() of one that does not listen", (s) => s.accept(), "EINVAL"],
  [
    "acceptFrom() of one that does not listen",
    (s) => s.acceptFrom("10.9.9.9", 80, "10.0.0.1"),
    "EINVAL",
  ],
  ["shutdown() of one that is not connected", (s) => s.shutdown(), "ENOTCONN"],
  ["receive() of one that is not connected", (s) => s.receive("fin"), "ENOTCONN"],
  ["receive() of an unknown segment", (s) => s.receive("syn"), VALUE],
  ["close() with a number", (s) => s.close({ reset: 1 }), TYPE],
  ["a number as reuseAddr", (s) => Object.assign(s, { reuseAddr: 1 }), TYPE],
  ["a text as localPortRange", (s) => Object.assign(s, { localPortRange: "1 2" }), TYPE],
  ["a device that there is not", (s) => Object.assign(s, { bindToDevice: 7 }), "ENODEV"],
];

test.each(OPTIONS)("open() refuses %s, and leaves nothing behind", (_name, options, code) => {
  expect(codeOf(() => LinuxPorts.open(options))).toBe(code);
});

describe("what a system refuses changes nothing", () => {
  let linux: LinuxPorts;
  let bound: LinuxSocket;
  beforeEach(() => {
    linux = LinuxPorts.open({ addresses: ["10.0.0.1"], devices: [1, 2], seed: 1 });
    bound = linux.socket();
    bound.bind("10.0.0.1", 5000);
  });
  afterEach(() => linux.close());

  test.each(SOCKETS)("a socket with %s", (_name, options, code) => {
    const before = linux.stats();
    expect(codeOf(() => linux.socket(options))).toBe(code);
    expect(linux.stats()).toEqual(before);
  });

  test.each(CALLS)("%s", (_name, call, code) => {
    const socket = linux.socket();
    const before = [linux.stats(), socket.name, socket.state, socket.reuseAddr];
    expect(codeOf(() => call(socket))).toBe(code);
    expect([linux.stats(), socket.name, socket.state, socket.reuseAddr]).toEqual(before);
  });

  test("bind() to ::1 on a device that is not loopback", () => {
    const on = (bindToDevice: number) => linux.socket({ type: "tcp6", bindToDevice });
    expect(codeOf(() => on(2).bind("::1", 6000))).toBe("EADDRNOTAVAIL");
    expect(on(1).bind("::1", 6000)).toBe(6000);
  });

  test("calls of a socket that is gone, and of a system that is closed", () => {
    bound.close();
    expect(codeOf(() => bound.bind("", 0))).toBe("EBADF");
    expect(bound.port).toBe(0);
    const other = linux.socket();
    linux.close();
    expect(codeOf(() => other.listen())).toBe("EBADF");
    expect(codeOf(() => linux.stats())).toBe("EBADF");
  });
});
