// Files: groups as control files, settings as sysctls, and lists of reserved ports as their text.

import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { PortGroups } from "../../../bindings/groups/group.ts";
import { ReservedPorts } from "../../../bindings/groups/reserved.ts";
import { Sysctl, type SysctlHost } from "../../../bindings/linux/sysctl.ts";
import type { PortRange } from "../../../bindings/requests/range.ts";
import { expectError } from "../../invalid-input/fixture.ts";
import { BUILDS, moduleFor } from "../../support/builds.ts";
import { BIND, CONNECT, FILES, openGroups, picture, TREES } from "./fixture.ts";

// ── Control files ─────────────────────────────────────────────────────────────────────────

describe.each(BUILDS)("%s build, control files", (build) => {
  let groups: PortGroups;
  beforeEach(() => {
    groups = openGroups(build);
    return () => groups.close();
  });

  test("every group has the same four, and lists its children behind them, sorted", () => {
    for (const name of ["b", "a", "10", "9", "B"]) groups.create(`/web/${name}`);
    expect(groups.list("/")).toEqual([...FILES, "web/"]);
    expect(groups.list("/web")).toEqual([...FILES, "10/", "9/", "B/", "a/", "b/"]);
    expect(groups.list("/web/a")).toEqual(FILES);
    groups.get("/web/B").remove();
    expect(groups.list("/web")).toEqual([...FILES, "10/", "9/", "a/", "b/"]);
  });

  test("a file says what the property does, and the other way round", () => {
    const group = groups.create("/web", { bindPortRange: { first: 20000, last: 20999 } });
    expect(groups.read(`/web/${BIND}`)).toBe("20000 20999\n");
    expect(groups.read(`/web/${CONNECT}`)).toBe("1 65535\n");
    groups.write(`/web/${CONNECT}`, "30000-30999\n");
    expect(group.connectPortRange).toEqual({ first: 30000, last: 30999 });
    expect(group.bindPortRange).toEqual({ first: 20000, last: 20999 });
    groups.write(`/web/${BIND}`, "1 65535");
    expect(group.bindPortRange).toBe(undefined);
    group.bindPortRange = { first: 80, last: 80 };
    expect(groups.read(`/web/${BIND}`)).toBe("80 80\n");
  });

  test("the root's files are at the top", () => {
    groups.write(`/${BIND}`, "1024 65535");
    expect(groups.read(`/${BIND}`)).toBe("1024 65535\n");
    expect(groups.root.bindPortRange).toEqual({ first: 1024, last: 65535 });
  });

  test("the effective file follows each change, up to an empty range", () => {
    groups.create("/a/b");
    const reads = (): string => groups.read(`/a/b/${BIND}.effective`);
    expect(reads()).toBe("1 65535\n");
    groups.write(`/a/${BIND}`, "100 200");
    expect(reads()).toBe("100 200\n");
    groups.write(`/a/b/${BIND}`, "150 300");
    expect(reads()).toBe("150 200\n");
    groups.write(`/a/${BIND}`, "100 149");
    expect(reads()).toBe("\n");
    expect(groups.read(`/a/b/${BIND}`)).toBe("150 300\n");
    expect(groups.read(`/a/b/${CONNECT}.effective`)).toBe("1 65535\n");
    groups.write(`/a/${BIND}`, "1-65535");
    expect(reads()).toBe("150 300\n");
  });

  test("writing nothing changes nothing", () => {
    groups.create("/a", { bindPortRange: { first: 5, last: 6 } });
    const before = picture(groups);
    groups.write(`/a/${BIND}`, "");
    groups.write(`/${CONNECT}`, "");
    expect(picture(groups)).toEqual(before);
  });

  test("a text that is refused says where to look, and the old range stays", () => {
    groups.create("/a", { bindPortRange: { first: 5, last: 6 } });
    const before = picture(groups);
    const write = (text: string) => (): void => groups.write(`/a/${BIND}`, text);
    expectError(write("6 5"), { code: "EINVAL", reason: "invalid-port-range", says: '"6 5"' });
    expectError(write("a"), { code: "EINVAL", reason: "invalid-text", says: "20000 20999" });
    expectError(write("1".repeat(20)), {
      code: "E2BIG",
      reason: "text-too-long",
      says: "got 20",
    });
    expect(picture(groups)).toEqual(before);
  });
});

test.each(TREES)("what is read is written back unchanged, %s build, %s", (build, inherit) => {
  const port = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom(1, 2, 65534, 65535));
  const pair = fc.tuple(port, port).map(([a, b]) => `${Math.min(a, b)} ${Math.max(a, b)}`);
  const writes = fc.array(fc.tuple(fc.constantFrom("", "/a", "/a/b", "/c"), fc.boolean(), pair));
  fc.assert(
    fc.property(writes, (all) => {
      using groups = openGroups(build, { inherit });
      groups.create("/a/b");
      groups.create("/c");
      for (const [at, isBind, text] of all) groups.write(`${at}/${isBind ? BIND : CONNECT}`, text);
      const before = picture(groups);
      for (const at of ["", "/a", "/a/b", "/c"]) {
        for (const file of [BIND, CONNECT]) {
          groups.write(`${at}/${file}`, groups.read(`${at}/${file}`));
          expect(picture(groups)).toEqual(before);
        }
      }
    }),
    { numRuns: 40 },
  );
});

// ── Reserved ports ────────────────────────────────────────────────────────────────────────

describe.each(BUILDS)("%s build, reserved ports", (build) => {
  const open = (text?: string): ReservedPorts => new ReservedPorts(text, moduleFor(build));

  test("are none at first", () => {
    const reserved = open();
    expect([reserved.text, reserved.size, reserved.has(0), reserved.has(80)]).toEqual([
      ...["", 0],
      ...[false, false],
    ]);
  });

  test("are merged and sorted, and each is counted once", () => {
    const reserved = open("9000-9010,8080,9005-9020,8080\n");
    expect(reserved.text).toBe("8080,9000-9020");
    expect(reserved.size).toBe(22);
    expect([8079, 8080, 8081, 8999, 9000, 9020, 9021].map((port) => reserved.has(port))).toEqual([
      ...[false, true, false],
      ...[false, true, true, false],
    ]);
  });

  test("are replaced as a whole, and cleared by the empty text", () => {
    const reserved = open("1-100");
    reserved.text = "50,";
    expect([reserved.text, reserved.size, reserved.has(1)]).toEqual(["50", 1, false]);
    reserved.text = "\n";
    expect([reserved.text, reserved.size]).toEqual(["", 0]);
    reserved.text = "7";
    reserved.text = "";
    expect([reserved.text, reserved.size]).toEqual(["", 0]);
  });

  test.each(["0", "65535", "0,65535", "0-65535", "65534-65535", "1-65534", "0-65534", "63-64,127"])(
    "reach both ends: %s",
    (text) => {
      const reserved = open(text);
      expect(reserved.text).toBe(text);
      const read = reserved.text;
      reserved.text = read;
      expect(reserved.text).toBe(text);
    },
  );

  test("stay as they were when a text is refused", () => {
    const reserved = open("5,7-9");
    const set = (text: string) => (): void => {
      reserved.text = text;
    };
    expectError(set("1,,2"), { code: "EINVAL", reason: "invalid-text" });
    expectError(set("1,70000"), { code: "EINVAL", reason: "invalid-port-range" });
    expect([reserved.text, reserved.size]).toEqual(["5,7-9", 4]);
  });

  test("are what the text says, port by port", () => {
    const port = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 65400, max: 65535 }));
    const span = fc.tuple(port, fc.nat(20)).map(([a, n]) => [a, Math.min(a + n, 65535)] as const);
    const reserved = open();
    fc.assert(
      fc.property(fc.array(span, { maxLength: 20 }), (spans) => {
        reserved.text = spans.map(([first, last]) => `${first}-${last}`).join(",");
        const ports = new Set<number>();
        for (const [first, last] of spans) {
          for (let each = first; each <= last; each++) ports.add(each);
        }
        expect(reserved.size).toBe(ports.size);
        for (const each of ports) expect(reserved.has(each)).toBe(true);
        const { text } = reserved;
        reserved.text = text;
        expect([reserved.text, reserved.size]).toEqual([text, ports.size]);
      }),
      { numRuns: 100 },
    );
  });
});

// ── Sysctls ───────────────────────────────────────────────────────────────────────────────

/** What has the settings, without any sockets. */
class Host implements SysctlHost {
  readonly reserved: ReservedPorts = new ReservedPorts();
  unprivilegedPortStart = 1024;
  tcpTwReuse = 0;
  #range: PortRange = { first: 32768, last: 60999 };

  portRange(): PortRange {
    return this.#range;
  }

  setPortRange(first: number, last: number): void {
    this.#range = { first, last };
  }
}

describe("sysctls", () => {
  const RANGE = "net.ipv4.ip_local_port_range";
  const RESERVED = "net.ipv4.ip_local_reserved_ports";
  const START = "net.ipv4.ip_unprivileged_port_start";
  const REUSE = "net.ipv4.tcp_tw_reuse";
  const NAMES = [RANGE, RESERVED, START, REUSE];
  let host: Host;
  let sysctl: Sysctl;
  const all = (): string[] => sysctl.list().map((name) => sysctl.read(name));

  beforeEach(() => {
    host = new Host();
    sysctl = new Sysctl(host);
  });

  test("are four, with Linux's values at first", () => {
    expect(sysctl.list()).toEqual(NAMES);
    expect(all()).toEqual(["32768\t60999\n", "\n", "1024\n", "0\n"]);
  });

  test("show and change what the host has", () => {
    sysctl.write(RANGE, "40000 50000\n");
    sysctl.write(RESERVED, "45000-45010,44000\n");
    sysctl.write(START, "80\n");
    sysctl.write(REUSE, "1\n");
    expect(host.portRange()).toEqual({ first: 40000, last: 50000 });
    expect(host.reserved.text).toBe("44000,45000-45010");
    expect([host.unprivilegedPortStart, host.tcpTwReuse]).toEqual([80, 1]);
    expect(all()).toEqual(["40000\t50000\n", "44000,45000-45010\n", "80\n", "1\n"]);
    host.tcpTwReuse = 0;
    host.setPortRange(5, 6);
    expect(all()).toEqual(["5\t6\n", "44000,45000-45010\n", "80\n", "0\n"]);
  });

  test("are written back as they were read, without any change", () => {
    sysctl.write(RANGE, "1024 1024");
    sysctl.write(RESERVED, "0,65535");
    const before = all();
    for (const name of NAMES) sysctl.write(name, sysctl.read(name));
    expect(all()).toEqual(before);
  });

  test("change nothing when nothing is written", () => {
    sysctl.write(RESERVED, "80");
    for (const name of NAMES) sysctl.write(name, "");
    expect(all()).toEqual(["32768\t60999\n", "80\n", "1024\n", "0\n"]);
  });

  test("keep the start of unprivileged ports at or below the range", () => {
    sysctl.write(RANGE, "2000 3000");
    const range = { code: "EINVAL", reason: "invalid-port-range" };
    expectError(() => sysctl.write(START, "2001"), { ...range, says: "up to 2000" });
    sysctl.write(START, "2000");
    expectError(() => sysctl.write(RANGE, "1999"), { ...range, says: "at least 2000" });
    sysctl.write(START, "0");
    sysctl.write(RANGE, "1");
    expect(all()).toEqual(["1\t3000\n", "\n", "0\n", "0\n"]);
  });

  test("are known by these names alone", () => {
    const missing = { code: "ENOENT", reason: "not-found" };
    for (const name of [
      "ip_local_port_range",
      "net/ipv4/tcp_tw_reuse",
      "",
      "__proto__",
      `${REUSE} `,
    ]) {
      expectError(() => sysctl.read(name), { ...missing, says: NAMES.join(", ") });
      expectError(() => sysctl.write(name, "1"), missing);
    }
  });
});
