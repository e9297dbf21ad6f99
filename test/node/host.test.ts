// The host's state: recorded texts, a machine of files that are there or not, and this one
// with real sockets on loopback.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { endianness, networkInterfaces, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type HostState,
  type HostTransport,
  readHostState,
  socketsAt,
  usedPorts,
} from "../../bindings/node/host/host-state.ts";
import {
  type FileLimits,
  parseCount,
  parseFileLimits,
  parsePortRange,
  parseReservedList,
  parseSocketRows,
  type SocketRow,
  type SocketRowState,
} from "../../bindings/node/host/proc.ts";
import { parseAddress } from "../../bindings/requests/address.ts";

const TAIL =
  " 00000000:00000000 00:00000000 00000000  1000        0 43291 1 0000000000000000 100 0 0 10 0\n";
const TIME_WAIT_TAIL =
  " 00000000:00000000 03:00001763 00000000     0        0 0 3 0000000000000000\n";

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A${TAIL}   1: 0100007F:1F90 00000000:0000 0A${TAIL}\
   2: 0100000A:8235 0200090A:01BB 01${TAIL}   3: 0100007F:C350 0100007F:1F90 06${TIME_WAIT_TAIL}\
12345: 0100007F:EA60 0100007F:1F90 02${TAIL}`;

const TCP6 = `  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A${TAIL}\
   1: 0000000000000000FFFF00000100007F:A1B2 0000000000000000FFFF00000200007F:0050 06${TIME_WAIT_TAIL}\
   2: 000080FE00000000FF005450123456FE:1BB0 000080FE000000000000000002000000:0035 01${TAIL}\
   3: B80D0120000000000000000001000000:D431 B80D01200100000000000000FFFF0000:0FA0 08${TAIL}\
   4: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A${TAIL}`;

const UDP = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  423: 00000000:0044 00000000:0000 07${TAIL} 1711: 0100000A:CF08 0200090A:0035 01${TAIL}`;

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max processes             127392               127392               processes
Max open files            1024                 524288               files
Max locked memory         8388608              8388608              bytes
`;

function row(local: string, remote: string, state: SocketRowState): SocketRow {
  const [address, port] = endOf(local);
  const [remoteAddress, remotePort] = endOf(remote);
  return { address, port, remoteAddress, remotePort, state };
}

function endOf(text: string): [string, number] {
  const at = text.lastIndexOf(":");
  return [text.slice(0, at), Number(text.slice(at + 1))];
}

describe("a list of sockets", () => {
  test("reads IPv4", () => {
    expect(parseSocketRows(TCP)).toEqual([
      row("0.0.0.0:22", "0.0.0.0:0", "LISTEN"),
      row("127.0.0.1:8080", "0.0.0.0:0", "LISTEN"),
      row("10.0.0.1:33333", "10.9.0.2:443", "ESTABLISHED"),
      row("127.0.0.1:50000", "127.0.0.1:8080", "TIME_WAIT"),
      row("127.0.0.1:60000", "127.0.0.1:8080", "SYN_SENT"),
    ]);
  });

  test("reads IPv6: any, mapped, link-local, and runs of zeros", () => {
    expect(parseSocketRows(TCP6)).toEqual([
      row(":::80", ":::0", "LISTEN"),
      row("127.0.0.1:41394", "127.0.0.2:80", "TIME_WAIT"),
      row("fe80::5054:ff:fe56:3412:7088", "fe80::2:53", "ESTABLISHED"),
      row("2001:db8::1:54321", "2001:db8:0:1::ffff:4000", "CLOSE_WAIT"),
      row("::1:631", ":::0", "LISTEN"),
    ]);
  });

  test("reads UDP", () => {
    expect(parseSocketRows(UDP)).toEqual([
      row("0.0.0.0:68", "0.0.0.0:0", "CLOSE"),
      row("10.0.0.1:53000", "10.9.0.2:53", "ESTABLISHED"),
    ]);
  });

  test("says every IPv6 address as the address parser does", () => {
    const word = fc.oneof(fc.constant(0), fc.constantFrom(1, 0xffff, 0x10000), fc.nat(0xffffffff));
    fc.assert(
      fc.property(fc.tuple(word, word, word, word), (words) => {
        const digits = words.map((each) => each.toString(16).toUpperCase().padStart(8, "0"));
        const line = `   0: ${digits.join("")}:0050 ${"0".repeat(32)}:0000 0A${TAIL}`;
        const address = parseSocketRows(line)[0]?.address as string;
        const { text, words: parsed } = parseAddress("address", address);
        expect(parsed).toEqual(address === "0.0.0.0" ? [0, 0, 0, 0] : words);
        expect(address).toBe(text || (address === "0.0.0.0" ? "0.0.0.0" : "::"));
      }),
    );
  });

  test("leaves out a last line that is cut short, wherever the cut is", () => {
    const whole = parseSocketRows(TCP);
    const start = TCP.indexOf("12345:");
    const enough = TCP.indexOf(" 02 ", start) + " 02 ".length;
    for (let end = start; end <= TCP.length; end++) {
      const rows = parseSocketRows(TCP.slice(0, end));
      expect(rows).toEqual(end >= enough ? whole : whole.slice(0, -1));
    }
  });

  test("is empty where there is a heading only, or nothing, or something else", () => {
    const heading = TCP.slice(0, TCP.indexOf("\n") + 1);
    for (const text of ["", "\n", heading, heading.trimEnd(), "a: b\n", "tcp: 0 Recv-Q\n\n"]) {
      expect(parseSocketRows(text)).toEqual([]);
    }
  });

  test("keeps a state that it does not know", () => {
    const line = TCP.slice(TCP.indexOf("12345:")).replace(" 02 ", " 1F ");
    expect(parseSocketRows(line).map(({ state }) => state)).toEqual(["UNKNOWN"]);
  });

  test("leaves out a line that the kernel repeats, but no other socket of the same ends", () => {
    const line = TCP.slice(TCP.indexOf("   2:"), TCP.indexOf("   3:"));
    const inode = line.trim().split(/\s+/)[9] as string;
    const other = line.replace(` ${inode} `, " 987654 ");
    expect(other).not.toBe(line);
    const again = (text: string) =>
      text.replace("   2:", "   3:").replace(" 00:00000000 ", " 03:0000176F ");
    expect(parseSocketRows(line + again(line))).toHaveLength(1);
    expect(parseSocketRows(line + other)).toHaveLength(2);
    expect(parseSocketRows(line + other + again(line) + again(other))).toHaveLength(2);
  });

  test("reads thirty thousand lines", () => {
    const line = TCP.slice(TCP.indexOf("   2:"), TCP.indexOf("   3:"));
    const lineOf = (port: number): string =>
      line.replace(":8235", `:${port.toString(16).toUpperCase().padStart(4, "0")}`);
    const more = Array.from({ length: 30_000 }, (_, index) => lineOf(33_332 - index));
    const rows = parseSocketRows(TCP + more.join(""));
    expect(rows).toHaveLength(30_005);
    expect(rows.at(-1)).toEqual(row("10.0.0.1:3333", "10.9.0.2:443", "ESTABLISHED"));
  });
});

describe("the other texts of the host", () => {
  test.each([
    ["32768\t60999\n", { first: 32768, last: 60999 }],
    ["1024 1024", { first: 1024, last: 1024 }],
    ["60999\t32768\n", undefined],
    ["0\t70000\n", undefined],
    ["32768\n", undefined],
    ["", undefined],
  ])("%j is read as a range, or as none", (text, range) => {
    expect(parsePortRange(text)).toEqual(range);
  });

  test.each([
    ["\n", ""],
    ["8080,9000-9010\n", "8080,9000-9010"],
    ["8080;9000\n", undefined],
  ])("%j is read as reserved ports, or as none", (text, list) => {
    expect(parseReservedList(text)).toBe(list);
  });

  test.each([
    ["1\n", 1],
    ["0\n", 0],
    ["", undefined],
    ["-1\n", undefined],
    ["1 2\n", undefined],
  ])("%j is read as a count, or as none", (text, count) => {
    expect(parseCount(text)).toBe(count);
  });

  test.each<[string, FileLimits | undefined]>([
    [LIMITS, { soft: 1024, hard: 524288 }],
    [
      LIMITS.replace("1024  ", "unlimited").replace("524288", "unlimited"),
      { soft: Number.POSITIVE_INFINITY, hard: Number.POSITIVE_INFINITY },
    ],
    ["Max open things 1 2\n", undefined],
    ["", undefined],
  ])("%j is read as limits of open files, or as none", (text, limits) => {
    expect(parseFileLimits(text)).toEqual(limits);
  });
});

describe("a recorded host", () => {
  const FILES: Record<string, string> = {
    "sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "sys/net/ipv4/ip_local_reserved_ports": "8080,9148-9150\n",
    "sys/net/ipv4/tcp_timestamps": "1\n",
    "sys/net/ipv4/tcp_tw_reuse": "2\n",
    "sys/net/ipv4/tcp_fin_timeout": "60\n",
    "sys/net/ipv4/tcp_max_tw_buckets": "131072\n",
    "sys/net/ipv4/ip_unprivileged_port_start": "1024\n",
    "net/tcp": TCP,
    "net/tcp6": TCP6,
    "net/udp": UDP,
    "net/udp6": "  sl  local_address                         remote_address\n",
    "self/limits": LIMITS,
    "self/fd/0": "",
    "self/fd/1": "",
    "self/fd/2": "",
  };

  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "portwarden-"));
  });
  afterAll(() => {
    rmSync(root, { recursive: true });
  });

  /** A folder like /proc, with some files otherwise; `undefined`: not there. */
  function hostWith(changes: Record<string, string | undefined> = {}): HostState {
    const folder = mkdtempSync(join(root, "proc-"));
    for (const [path, text] of Object.entries({ ...FILES, ...changes })) {
      if (text === undefined) continue;
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return readHostState(folder);
  }

  test("is known whole", () => {
    const { tcp, udp, ...rest } = hostWith();
    expect(rest).toEqual({
      portRange: { first: 32768, last: 60999 },
      reserved: "8080,9148-9150",
      tcpTimestamps: 1,
      tcpTwReuse: 2,
      tcpFinTimeout: 60,
      tcpMaxTwBuckets: 131072,
      unprivilegedPortStart: 1024,
      fileLimits: { soft: 1024, hard: 524288 },
      openFiles: 2,
      unknown: [],
    });
    expect(tcp).toEqual([...parseSocketRows(TCP), ...parseSocketRows(TCP6)]);
    expect(udp).toEqual(parseSocketRows(UDP));
  });

  const missing: [string, keyof HostState, RegExp][] = [
    [
      "sys/net/ipv4/ip_local_port_range",
      "portRange",
      /^The kernel's own port range is not known: /,
    ],
    ["sys/net/ipv4/ip_local_reserved_ports", "reserved", /^The reserved ports are not known: /],
    ["sys/net/ipv4/tcp_tw_reuse", "tcpTwReuse", /^Tcp_tw_reuse is not known: /],
    ["net/tcp", "tcp", /^The TCP ports in use are not known: .*\/net\/tcp is not there\.$/],
    ["net/udp", "udp", /^The UDP ports in use are not known: /],
    ["self/limits", "fileLimits", /^The limit of open files is not known: /],
  ];

  test.each(missing)("without %s does not know %s, and says so", (path, field, sentence) => {
    const host = hostWith({ [path]: undefined });
    expect(host[field]).toBeUndefined();
    expect(host.unknown).toEqual([expect.stringMatching(sentence)]);
    expect(host.unknown[0]).toMatch(/ is not there\.$/);
  });

  test("does not believe a text that makes no sense", () => {
    const host = hostWith({ "sys/net/ipv4/ip_local_port_range": "many\n" });
    expect(host.portRange).toBeUndefined();
    expect(host.unknown).toEqual([expect.stringMatching(/ does not read as expected\.$/)]);
  });

  test.each([
    ["TCP6: inuse 0\n", "TCP: inuse 3 orphan 0 tw 0 alloc 3 mem 0\n", false],
    ["TCP6: inuse 1\n", "TCP: inuse 3 orphan 0 tw 0 alloc 3 mem 0\n", true],
    ["TCP6: inuse 10\n", "TCP: inuse 3 orphan 0 tw 0 alloc 3 mem 0\n", true],
    ["TCP6: inuse 0\n", "TCP: inuse 3 orphan 0 tw 10 alloc 3 mem 0\n", true],
    ["TCP6: inuse 0\n", "TCP: inuse\n", true],
    ["TCP6: inuse 0\n", undefined, true],
    [undefined, "TCP: inuse 3 orphan 0 tw 0 alloc 3 mem 0\n", true],
  ])("with %j and %j looks at the list of TCP over IPv6: %s", (six, both, isRead) => {
    const counts = { "net/sockstat6": six, "net/sockstat": both && `sockets: used 9\n${both}` };
    const { tcp, unknown } = hostWith(counts);
    expect(tcp).toEqual([...parseSocketRows(TCP), ...(isRead ? parseSocketRows(TCP6) : [])]);
    expect(unknown).toEqual([]);
  });

  test("without IPv6 has the sockets of IPv4", () => {
    const host = hostWith({ "net/tcp6": undefined, "net/udp6": undefined });
    expect(host.tcp).toEqual(parseSocketRows(TCP));
    expect(host.unknown).toHaveLength(2);
    expect(host.unknown[0]).toContain("The TCP ports in use by IPv6 are not known");
  });

  test("that has nothing at all does not throw", () => {
    const { unknown, ...rest } = readHostState(join(root, "nothing-here"));
    expect(Object.values(rest).every((value) => value === undefined)).toBe(true);
    expect(unknown).toHaveLength(11);
  });

  test("a file that may not be read is not known", () => {
    const folder = mkdtempSync(join(root, "proc-"));
    writeFileSync(join(folder, "net"), ""); // a file where a folder should be
    mkdirSync(join(folder, "self/limits"), { recursive: true }); // and the other way round
    mkdirSync(join(folder, "sys"));
    chmodSync(join(folder, "sys"), 0);
    const { unknown } = readHostState(folder);
    expect(unknown).toHaveLength(11);
    expect(unknown).toContainEqual(expect.stringMatching(/self\/limits cannot be read \(EISDIR\)/));
    chmodSync(join(folder, "sys"), 0o700);
  });

  test.each<[string, HostTransport, number[]]>([
    ["127.0.0.1", "tcp", [22, 80, 8080, 41394, 50000, 60000]],
    ["::ffff:127.0.0.1", "tcp", [22, 80, 8080, 41394, 50000, 60000]],
    ["127.0.0.9", "tcp", [22, 80]],
    ["10.0.0.1", "tcp", [22, 80, 33333]],
    ["::1", "tcp", [80, 631]],
    ["0:0::1", "tcp", [80, 631]],
    ["0.0.0.0", "tcp", [22, 80, 8080, 33333, 41394, 50000, 60000]],
    ["::", "tcp", [22, 80, 631, 7088, 8080, 33333, 41394, 50000, 54321, 60000]],
    ["10.0.0.1", "udp", [68, 53000]],
    ["10.0.0.2", "udp", [68]],
  ])("knows which ports are in use for %s, %s", (address, transport, ports) => {
    expect(usedPorts(hostWith(), address, transport)).toEqual(ports);
  });

  test("knows what uses them", () => {
    expect(socketsAt(hostWith(), "127.0.0.9", "tcp")).toEqual([
      row("0.0.0.0:22", "0.0.0.0:0", "LISTEN"),
      row(":::80", ":::0", "LISTEN"),
    ]);
  });

  test("does not know the ports in use without a list, and refuses what is no address", () => {
    const host = hostWith({ "net/udp": undefined });
    expect(usedPorts(host, "10.0.0.1", "udp")).toBeUndefined();
    expect(() => usedPorts(host, "localhost", "tcp")).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_IP_ADDRESS" }),
    );
  });
});

describe("this host", () => {
  const isTold = process.platform === "linux" && endianness() === "LE";

  test("says what it does not know elsewhere than on Linux", () => {
    const { unknown, tcp } = readHostState();
    if (process.platform === "linux") {
      expect(tcp).toBeDefined();
      return;
    }
    expect(tcp).toBeUndefined();
    expect(unknown[0]).toContain(process.platform);
  });

  test.for(["127.0.0.1", "::1"])(
    "shows a listener of %s, both ends of a connection, TIME_WAIT and a UDP socket",
    async (host, context) => {
      const isOurs = Object.values(networkInterfaces())
        .flat()
        .some((at) => at?.address === host);
      if (!isTold || !isOurs) {
        const why = isTold ? `no ${host} here` : "read on little-endian Linux only";
        console.warn(`ports in use are not tested: ${why}`);
        await context.annotate(why);
        return;
      }
      const server = createServer((socket) => void socket.on("error", () => undefined));
      const udp = createSocket("udp4");
      const sockets: Socket[] = [];
      try {
        const port = await listening(server, host);
        const kept = await connected(host, port, sockets);
        const closed = await connected(host, port, sockets);
        const waiting = closed.localPort as number;
        closed.end(); // the side that ends first is the one that waits
        await once(closed, "close");
        udp.bind(0, "127.0.0.1");
        await once(udp, "listening");

        const state = readHostState();
        const states = (local: number, remote: number): string[] =>
          (state.tcp ?? [])
            .filter((each) => each.port === local && each.remotePort === remote)
            .filter(({ address }) => address === host)
            .map(({ state }) => state);
        expect(states(port, 0)).toEqual(["LISTEN"]);
        expect(states(kept.localPort as number, port)).toEqual(["ESTABLISHED"]);
        expect(states(port, kept.localPort as number)).toEqual(["ESTABLISHED"]);
        expect(states(waiting, port)).toEqual(["TIME_WAIT"]);
        expect(usedPorts(state, host, "tcp")).toEqual(
          expect.arrayContaining([port, kept.localPort, waiting]),
        );
        expect(usedPorts(state, "127.0.0.1", "udp")).toContain(udp.address().port);
        expect(state.openFiles).toBeGreaterThan(4);
        expect(state.fileLimits?.soft).toBeGreaterThan(state.openFiles as number);
      } finally {
        for (const socket of sockets) socket.destroy();
        server.close();
        udp.close();
      }
    },
  );

  async function listening(server: Server, host: string): Promise<number> {
    server.listen(0, host);
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  async function connected(host: string, port: number, sockets: Socket[]): Promise<Socket> {
    const socket = connect({ host, port });
    sockets.push(socket);
    await once(socket, "connect");
    socket.resume();
    return socket;
  }
});
