// The settings of LinuxPorts, as options, as properties and as texts; what is refused changes
// nothing.

import { describe, expect, test } from "vitest";
import { LinuxPorts } from "../../../bindings/index.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import { answerOf } from "../../fuzz/snapshots.ts";
import { codeOf, setting } from "../../invalid-input/fixture.ts";
import { modulesFor } from "../../support/builds.ts";

type Name =
  | "autobindReuse"
  | "tcpTwReuse"
  | "tcpTwReuseDelay"
  | "tcpTimestamps"
  | "tcpMaxTwBuckets"
  | "tcpFinTimeout"
  | "unprivilegedPortStart";

/** By file: the property, its value in a new system, the least and the most that the file takes. */
const NUMBERS: readonly (readonly [
  file: string,
  name: Name,
  initial: number,
  least: number,
  most: number,
])[] = [
  ["ip_autobind_reuse", "autobindReuse", 0, 0, 1],
  ["tcp_tw_reuse", "tcpTwReuse", 2, 0, 2],
  ["tcp_tw_reuse_delay", "tcpTwReuseDelay", 1000, 1, 60_000],
  ["tcp_timestamps", "tcpTimestamps", 1, 0, 255],
  ["tcp_max_tw_buckets", "tcpMaxTwBuckets", 262_144, 0, 0x7fffffff],
  ["tcp_fin_timeout", "tcpFinTimeout", 60, 0, 4_294_967],
  ["ip_unprivileged_port_start", "unprivilegedPortStart", 1024, 0, 32_768],
];
const REFUSED_TEXTS = ["x", "1x", "-", "0x", ",", "1.5", "\0"];
const REFUSED_VALUES: readonly unknown[] = [1.5, Number.NaN, "1", null, undefined, {}, 1n];

describe.each(NUMBERS)("net.ipv4.%s", (file, name, initial, least, most) => {
  const key = `net.ipv4.${file}`;

  test("is what the option says, and has the kernel's value without it", () => {
    using linux = LinuxPorts.open();
    expect(linux[name]).toBe(initial);
    expect(linux.sysctl.read(key)).toBe(`${initial}\n`);
    using other = LinuxPorts.open({ [name]: most });
    expect(other[name]).toBe(most);
  });

  test("takes its least and its most, as a number and as a text", () => {
    using linux = LinuxPorts.open();
    for (const value of [least, most]) {
      linux[name] = value;
      expect(linux.sysctl.read(key)).toBe(`${value}\n`);
      linux.sysctl.write(key, `0x${value.toString(16)} \n`);
      expect(linux[name]).toBe(value);
    }
    linux.sysctl.write(key, "");
    expect(linux[name]).toBe(most);
  });

  test("refuses what lies outside, and other texts and values, and stays as it was", () => {
    using linux = LinuxPorts.open();
    for (const text of [...REFUSED_TEXTS, `${most + 1}`, `${least - 1}`]) {
      expect(
        codeOf(() => linux.sysctl.write(key, text)),
        JSON.stringify(text),
      ).toBe("EINVAL");
    }
    for (const value of [...REFUSED_VALUES, most + 1, least - 1]) {
      const set = () => {
        linux[name] = value as number;
      };
      expect(codeOf(set), String(value)).toMatch(
        /^(?:ERR_INVALID_ARG_TYPE|ERR_OUT_OF_RANGE|EINVAL)$/,
      );
      if (value === undefined) continue;
      const open = () => LinuxPorts.open({ [name]: value });
      expect(codeOf(open), String(value)).toMatch(
        /^(?:ERR_INVALID_ARG_TYPE|ERR_OUT_OF_RANGE|EINVAL)$/,
      );
    }
    expect(linux[name]).toBe(initial);
  });
});

test.each([
  ["ip_local_port_range", "40000 40999", "40000\t40999\n"],
  ["ip_local_port_range", "40000", "40000\t60999\n"],
  ["ip_local_port_range", "40000 40000 7", "40000\t40000\n"],
  ["ip_local_reserved_ports", "1,2,3-5,4-8", "1-8\n"],
  ["ip_local_reserved_ports", "10-10,", "10\n"],
])("net.ipv4.%s, written as %j, reads %j", (file, text, read) => {
  using linux = LinuxPorts.open();
  linux.sysctl.write(`net.ipv4.${file}`, text);
  expect(linux.sysctl.read(`net.ipv4.${file}`)).toBe(read);
});

test.each([
  ["ip_local_port_range", "40000,40999"],
  ["ip_local_port_range", "40000-40999"],
  ["ip_local_port_range", "2000 1999"],
  ["ip_local_port_range", "1000 2000"],
  ["ip_local_port_range", "1024 65536"],
  ["ip_local_reserved_ports", ",5"],
  ["ip_local_reserved_ports", "5,,6"],
  ["ip_local_reserved_ports", "9010-9000"],
  ["ip_local_reserved_ports", "70000"],
])("net.ipv4.%s refuses %j, and stays as it was", (file, text) => {
  using linux = LinuxPorts.open();
  const before = linux.sysctl.read(`net.ipv4.${file}`);
  expect(codeOf(() => linux.sysctl.write(`net.ipv4.${file}`, text))).toBe("EINVAL");
  expect(linux.sysctl.read(`net.ipv4.${file}`)).toBe(before);
});

test("a connection goes to no device where another has its tuple, and keeps its own", () => {
  using linux = LinuxPorts.open({ ...modulesFor("debug"), devices: [1, 2] });
  const onDevice = (bindToDevice: number) => {
    const socket = linux.socket({ reuseAddr: true, bindToDevice });
    socket.bind("10.0.0.1", 5000);
    socket.connect("192.0.2.1", 443);
    return socket;
  };
  const [one, other] = [onDevice(1), onDevice(2)];
  expect(setting(other, { bindToDevice: 1 })).toThrow(/^EADDRINUSE/);
  expect([one.bindToDevice, other.bindToDevice]).toEqual([1, 2]);
  one.close({ reset: true });
  other.bindToDevice = 1;
  verifyLinux(linux);
  expect(onDevice(2).port).toBe(5000);
});

test.each(["tcp4", "udp4"] as const)(
  "disconnect() of %s at the limit changes all or nothing",
  (type) => {
    const answers = new Set<string>();
    for (let memoryLimit = 8192; memoryLimit < 16_384; memoryLimit += 64) {
      using linux = LinuxPorts.open({
        ...modulesFor("debug"),
        memoryLimit,
        localAddress: "10.0.0.1",
      });
      const fill = (): unknown => linux.socket({ type }).bind("127.0.0.1", 0);
      const socket = linux.socket({ type });
      const isConnected = answerOf(() => {
        socket.bind("", 5000);
        return socket.connect("192.0.2.1", 443);
      });
      while (answerOf(fill) !== "ENOBUFS");
      const answer = answerOf(() => socket.disconnect());
      verifyLinux(linux);
      if (isConnected !== "5000") continue;
      answers.add(answer);
      expect(socket.address).toBe(answer === "done" ? "0.0.0.0" : "10.0.0.1");
    }
    expect([...answers].sort()).toEqual(["ENOBUFS", "done"]);
  },
);
