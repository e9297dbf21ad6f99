// Stories of the settings, by their names and as the kernel's texts: the local range, reserved
// ports, where privilege ends, and tcp_tw_reuse.

import { beforeEach, describe, expect, test } from "vitest";
import { PortManager, ReservedPorts } from "../../../bindings/index.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import { expectError } from "../../invalid-input/fixture.ts";
import { BUILDS, moduleFor, modulesFor } from "../../support/builds.ts";
import { bind, connect, expectRefused, type Fixture, onBuilds, WEB } from "./fixture.ts";

const RANGE_FILE = "net.ipv4.ip_local_port_range";
const RESERVED_FILE = "net.ipv4.ip_local_reserved_ports";
const START_FILE = "net.ipv4.ip_unprivileged_port_start";
const REUSE_FILE = "net.ipv4.tcp_tw_reuse";
const BAD_RANGE = { code: "EINVAL", reason: "invalid-port-range" };
const BAD_TEXT = { code: "EINVAL", reason: "invalid-text" };

describe.each(BUILDS)("%s build", (build) => {
  test("a system begins as Linux does", () => {
    using ports = Linux2632Ports.open(modulesFor(build));
    expect(ports.portRange()).toEqual({ first: 32768, last: 60999 });
    expect(ports).toMatchObject({ unprivilegedPortStart: 1024, tcpTwReuse: 0, time: 0, hint: 0 });
    expect(ports.reserved).toMatchObject({ text: "", size: 0 });
    expect(ports.stats()).toMatchObject({ buckets: 0, sockets: 0, timeWait: 0 });
    expect(ports.stats().memory.limit).toBe(0xffffffff);
    expect(ports.sysctl.list().map((name) => [name, ports.sysctl.read(name)])).toEqual([
      [RANGE_FILE, "32768\t60999\n"],
      [RESERVED_FILE, "\n"],
      [START_FILE, "1024\n"],
      [REUSE_FILE, "0\n"],
    ]);
  });

  test("a system begins with what it is opened with", () => {
    const reserved = new ReservedPorts("8080,9000-9010", moduleFor(build));
    using ports = Linux2632Ports.open({
      ...{ portRange: { first: 80, last: 90 }, unprivilegedPortStart: 80, tcpTwReuse: 1 },
      ...{ time: 1234.5, hint: 7, memoryLimit: 100_000, reserved, rules: "2.6.32" },
      ...modulesFor(build),
    });
    expect(ports.portRange()).toEqual({ first: 80, last: 90 });
    expect(ports).toMatchObject({ unprivilegedPortStart: 80, tcpTwReuse: 1, time: 1234, hint: 7 });
    expect(ports.reserved).toBe(reserved);
    expect(ports.stats().memory.limit).toBe(100_000);
    expect(ports.sysctl.read(RESERVED_FILE)).toBe("8080,9000-9010\n");
  });
});

onBuilds((open, build) => {
  let s: Fixture;
  beforeEach(() => {
    s = open();
  });

  test("what is read can be written, and changes nothing", () => {
    const s = open({ tcpTwReuse: 1 });
    s.ports.reserved.text = "1-3,2005";
    const before = s.picture();
    for (const name of s.ports.sysctl.list()) write(s, name, s.ports.sysctl.read(name));
    for (const name of [RANGE_FILE, START_FILE, REUSE_FILE]) write(s, name, "");
    expect(s.picture()).toEqual(before);
  });

  describe("ip_local_port_range", () => {
    test("says where ports are searched, from the next search on", () => {
      write(s, RANGE_FILE, "3000 3001\n");
      expect(s.ports.portRange()).toEqual({ first: 3000, last: 3001 });
      expect([s.bound("", 0).port, s.connected().port]).toEqual([3000, 3001]);
      s.ports.setPortRange(4000, 4000);
      expect(s.ports.sysctl.read(RANGE_FILE)).toBe("4000\t4000\n");
      write(s, RANGE_FILE, "3999");
      expect(s.ports.portRange()).toEqual({ first: 3999, last: 4000 });
      expect(s.ports.stats().buckets).toBe(2);
    });

    test("does not begin below unprivileged ports, and is refused as a whole", () => {
      for (const text of ["1023 3000", "3000 2999", "0 9", "1 65536", "4001 4000"]) {
        expectRefused(s, () => write(s, RANGE_FILE, text), BAD_RANGE);
      }
      for (const text of ["x", "3000,4000", "3000-4000", " ", "3000 x"]) {
        expectRefused(s, () => write(s, RANGE_FILE, text), BAD_TEXT);
      }
      expectRefused(s, () => s.ports.setPortRange(1023, 3000), {
        ...BAD_RANGE,
        says: "must not begin below unprivilegedPortStart, got 1023 and 1024",
      });
      expectRefused(s, () => s.ports.setPortRange(3000, 2999), {
        ...BAD_RANGE,
        says: "the default is 32768..60999",
      });
    });
  });

  describe("ip_unprivileged_port_start", () => {
    test("says which ports need privilege, and does not pass the range's first port", () => {
      write(s, START_FILE, "2000");
      expect(s.ports.unprivilegedPortStart).toBe(2000);
      expectRefused(s, bind(s.socket(), "", 1999), { code: "EACCES", says: "ports below 2000" });
      expectRefused(s, () => write(s, START_FILE, "2001"), { code: "EINVAL" });
      const set = (start: number) => () => {
        s.ports.unprivilegedPortStart = start;
      };
      expectRefused(s, set(2001), { ...BAD_RANGE, says: "got 2000 and 2001" });
      expectRefused(s, set(65_536), { code: "ERR_OUT_OF_RANGE" });
      expectRefused(s, set(-1), { code: "ERR_OUT_OF_RANGE" });
      write(s, START_FILE, "0");
      s.bound("", 1);
      expect(s.ports.sysctl.read(START_FILE)).toBe("0\n");
    });

    test("may be 65535 where the range begins there", () => {
      const s = open({ portRange: { first: 65_535, last: 65_535 }, unprivilegedPortStart: 65_535 });
      expectRefused(s, bind(s.socket(), "", 65_534), { code: "EACCES" });
      expect(s.bound("", 0).port).toBe(65_535);
    });
  });

  describe("ip_local_reserved_ports", () => {
    test("is the list that the system was opened with", () => {
      write(s, RESERVED_FILE, "2000-2007,2009\n");
      expect(s.ports.reserved.text).toBe("2000-2007,2009");
      expect(s.bound("", 0).port).toBe(2008);
      expectRefused(s, connect(s.socket(), WEB), { code: "EADDRNOTAVAIL" });
      s.ports.reserved.text = "2000";
      expect(s.ports.sysctl.read(RESERVED_FILE)).toBe("2000\n");
      expect(s.bound("", 0).port).toBe(2001);
    });

    test("stays as it was when a text is refused", () => {
      write(s, RESERVED_FILE, "2001,2003-2005");
      for (const text of ["2001,,5", "2005-2003", "70000", "a", "1, 2"]) {
        expectRefused(s, () => write(s, RESERVED_FILE, text), { code: "EINVAL" });
      }
      expect(s.ports.reserved.size).toBe(4);
    });

    test("stays as it is when nothing is written, and is emptied by a newline", () => {
      write(s, RESERVED_FILE, "2001,2003-2005");
      write(s, RESERVED_FILE, "");
      expect(s.ports.sysctl.read(RESERVED_FILE)).toBe("2001,2003-2005\n");
      write(s, RESERVED_FILE, "\n");
      expect(s.ports.sysctl.read(RESERVED_FILE)).toBe("\n");
    });

    test("may be shared with other systems and with port managers", () => {
      const reserved = new ReservedPorts("2000", moduleFor(build));
      const s = open({ reserved });
      const other = open({ reserved });
      using manager = PortManager.open({
        ...moduleFor(build),
        portRange: { first: 2000, last: 2003 },
      });
      const request = { networks: [4], transport: 6, offset: 0, reserved };
      expect([s.bound("", 0).port, other.bound("", 0).port]).toEqual([2001, 2001]);
      expect(manager.reservePort(request).port).toBe(2001);
      write(other, RESERVED_FILE, "2000-2002");
      expect([s.bound("", 0).port, other.bound("", 0).port]).toEqual([2003, 2003]);
      expect(manager.reservePort(request).port).toBe(2003);
      s.end();
      expect(reserved.text).toBe("2000-2002");
    });

    test("may hold every port: nothing is found, whatever is named is", () => {
      write(s, RESERVED_FILE, "0-65535");
      expectRefused(s, bind(s.socket(), "", 0), { code: "EADDRINUSE" });
      expectRefused(s, connect(s.socket(), WEB), { code: "EADDRNOTAVAIL" });
      expectRefused(s, () => s.ports.sysctl.write(RESERVED_FILE, "65536"), { code: "EINVAL" });
      s.bound("", 65_535).connect(WEB, 443);
    });
  });

  test("tcp_tw_reuse is 0 or 1", () => {
    write(s, REUSE_FILE, "1\n");
    expect(s.ports.tcpTwReuse).toBe(1);
    s.ports.tcpTwReuse = 0;
    expect(s.ports.sysctl.read(REUSE_FILE)).toBe("0\n");
    for (const text of ["2", "-1", "yes", "0x"]) {
      expectRefused(s, () => write(s, REUSE_FILE, text), BAD_TEXT);
    }
  });

  test("the constructor is refused at once: systems come from open()", () => {
    const construct = Linux2632Ports as unknown as new (options: object) => Linux2632Ports;
    const refused = { code: "ERR_ILLEGAL_CONSTRUCTOR", says: ["LinuxPorts.open()"] };
    expectError(() => new construct({ time: 1 }), refused);
  });

  test("a name that is none is told those that are", () => {
    const missing = { code: "ENOENT", reason: "not-found", says: [`known are ${RANGE_FILE}`] };
    for (const name of ["", "tcp_tw_reuse", "net.ipv4.ip_local_port_range ", "toString"]) {
      expectRefused(s, () => s.ports.sysctl.read(name), missing);
      expectRefused(s, () => write(s, name, "1"), missing);
    }
  });

  test("a closed system has no settings but its list of reserved ports", () => {
    s.ports.reserved.text = "2001";
    s.ports.close();
    for (const name of [RANGE_FILE, START_FILE, REUSE_FILE]) {
      expectError(() => s.ports.sysctl.read(name), { code: "EBADF", reason: "closed" });
      expectError(() => write(s, name, "1"), { code: "EBADF", reason: "closed" });
    }
    write(s, RESERVED_FILE, "2002");
    expect(s.ports.sysctl.read(RESERVED_FILE)).toBe("2002\n");
  });
});

function write({ ports }: Fixture, name: string, text: string): void {
  ports.sysctl.write(name, text);
}
