// `portwarden show`: the programs that have connections, and the remedy where a limit is reached.

import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { endianness, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { blockHolders, blocksText } from "../../bindings/cli/show/blocks.ts";
import { sharingOf } from "../../bindings/cli/show/port.ts";
import { programsOf } from "../../bindings/cli/show/programs.ts";
import { remediesFor } from "../../bindings/cli/show/remedies.ts";
import { type HostState, readHostState } from "../../bindings/node/host/host-state.ts";
import type { LimitUse } from "../../bindings/node/host/use.ts";
import { blockScope, hostBlocks, listenOn } from "../../bindings/node/index.ts";
import { json, run } from "./run.ts";

const isTold = process.platform === "linux" && endianness() === "LE";

test.each([
  ["tcp", [], "yes yes yes"],
  ["tcp", [["0.0.0.0", "LISTEN"]], "if if no"],
  ["tcp", [["10.0.0.1", "ESTABLISHED"]], "if yes if"],
  ["tcp", [["::", "TIME_WAIT"]], "if if if"],
  ["udp", [["10.0.0.1", "CLOSE"]], "if yes if"],
] as const)("a %s port with sockets %j may be shared: %s", (transport, sockets, expected) => {
  const rows = sockets.map(([address, state]) => {
    const isOpen = state === "LISTEN" || state === "CLOSE";
    return { address, port: 80, remoteAddress: "10.0.0.9", remotePort: isOpen ? 0 : 9, state };
  });
  const answers = sharingOf(transport, rows).map(({ allowed }) => allowed);
  expect(answers.join(" ")).toBe(expected);
});

test.runIf(isTold)(
  "a socket counts once where the kernel repeats its line, with others between",
  () => {
    const root = mkdtempSync(join(tmpdir(), "portwarden-"));
    onTestFinished(() => rmSync(root, { recursive: true }));
    // Their inodes are 700, 701 and 702: three sockets of one source and destination.
    const line = (place: number): string => {
      const ends = `0100007F:${9000 + place} 0100007F:0050`;
      return `   ${place}: ${ends} 01 00000000:00000000 00:00000000 00000000 0 0 70${place} 1\n`;
    };
    const [first, second, third] = [line(0), line(1), line(2)];
    mkdirSync(join(root, "net"));
    writeFileSync(join(root, "net", "tcp"), first + second + first + third + second);
    mkdirSync(join(root, "7", "fd"), { recursive: true });
    writeFileSync(join(root, "7", "comm"), "loader\n");
    for (const inode of [700, 701, 702]) {
      symlinkSync(`socket:[${inode}]`, join(root, "7", "fd", `${inode}`));
    }
    const ends = { source: "127.0.0.1", destination: "127.0.0.1", destinationPort: 80 };
    const pair = { transport: "tcp", ...ends, sockets: 3, timeWait: 0 } as const;
    expect(programsOf([{ ...pair, usedInRange: 3, left: 0, leftToKernel: 0 }], root)).toEqual([
      [{ pid: 7, name: "loader", sockets: 3 }],
    ]);
  },
);

describe.runIf(isTold)("show", () => {
  test("names the sockets and the program that have a port, and what may share it", async () => {
    const server = createServer((socket) => void socket.on("error", () => undefined));
    // Below the system's range: no connection of another program has the port at another address.
    const range = { first: 12_400, last: 12_499 };
    const port = await listenOn(server, { address: "127.0.0.1", range });
    try {
      const { value } = await json(`show --port ${port}`);
      const [tcp, udp] = value.uses as { sockets: object[]; mayShare: { allowed: string }[] }[];
      expect(tcp?.sockets).toEqual([
        expect.objectContaining({ address: "127.0.0.1", port, state: "LISTEN", pid: process.pid }),
      ]);
      expect(tcp?.mayShare.map(({ allowed }) => allowed)).toEqual(["if", "yes", "if"]);
      const other = connect({
        host: "127.0.0.1",
        port,
        localAddress: "127.0.0.9",
        localPort: port,
      });
      await once(other, "connect");
      other.resetAndDestroy();
      expect(udp?.mayShare.map(({ allowed }) => allowed)).toEqual(["yes", "yes", "yes"]);
      const { out } = await run(`show --port ${port}`);
      expect(out).toMatch(new RegExp(`127\\.0\\.0\\.1 +LISTEN +\\S.* \\(${process.pid}\\)`));
    } finally {
      server.close();
    }
    expect((await run("show --port 0")).code).toBe(2);
    const both = await run("show --blocks --port 8080");
    expect([both.code, both.errors]).toEqual([
      2,
      expect.stringContaining("left out beside --blocks"),
    ]);
    expect((await run("show --port 80 --destination 127.0.0.1:80")).code).toBe(2);
  });

  test("names the program that has leased blocks", async () => {
    const store = hostBlocks();
    const scope = blockScope(`127.9.${process.pid % 250}.${(process.pid >> 8) % 250}`);
    await store.acquire(scope, 2, 640, 641);
    try {
      const { value } = await json("show --blocks");
      expect(value.blocks).toContainEqual({
        ...{ transport: "tcp", source: scope.source, pid: process.pid },
        ...{ program: expect.any(String), blocks: [640, 641], ports: "40960-41087" },
      });
      const { out } = await run("show --blocks");
      expect(out).toMatch(new RegExp(`tcp ${scope.source} .*\\(${process.pid}\\) +2  40960-41087`));
    } finally {
      await store.close();
    }
    expect(blocksText(blockHolders("/nowhere"))).toBe(
      "No block of ports is leased in this network namespace.",
    );
  });

  test("says what one source carries with TIME_WAIT, in one line", async () => {
    const { out } = await run("show");
    expect(out).toMatch(
      /\n {2}With TIME_WAIT of 60 s after each, one source has [\d,]+ connections/,
    );
  });
});

describe("the remedies of a limit", () => {
  const host: HostState = {
    ...readHostState("/nowhere"),
    portRange: { first: 32_768, last: 60_999 },
    reserved: "40000-40009,1",
    tcpTimestamps: 1,
    tcpTwReuse: 2,
    fileLimits: { soft: 1000, hard: 5000 },
  };
  const limit = (name: LimitUse["name"], used: number, most: number): LimitUse => {
    return { name, used, limit: most, left: most - used };
  };

  test("are said where all is used, or nine tenths, and nowhere else", () => {
    const limits = [limit("ports", 28_222, 28_222), limit("files", 900, 1000)];
    expect(remediesFor(host, limits).map(({ limit }) => limit)).toEqual(["ports", "files"]);
    expect(remediesFor(host, [limit("ports", 25_399, 28_222)])).toEqual([]);
  });

  test("of ports are those of a plan, and what the kernel can be told", () => {
    const [{ changes } = { changes: [] }] = remediesFor(host, [limit("ports", 28_222, 28_222)]);
    expect(changes.join("\n")).toMatch(/^more sources: .*\nmore destinations: /);
    expect(changes).toContainEqual(expect.stringContaining('ip_local_port_range="1024 65535"'));
    expect(changes).toContainEqual(expect.stringContaining("10 ports of the range back"));
    expect(changes).toContainEqual(expect.stringContaining("tcp_tw_reuse=1"));
    expect(changes.at(-1)).toContain("portwarden plan");
    const reusing = {
      ...host,
      tcpTwReuse: 1,
      reserved: "",
      portRange: { first: 1024, last: 65_535 },
    };
    const [least] = remediesFor(reusing, [limit("ports", 64_512, 64_512)]);
    expect(least?.changes).toHaveLength(3);
  });

  test("of files are the hard limit, or the user that may raise it", () => {
    const of = (hard: number): string | undefined =>
      remediesFor({ ...host, fileLimits: { soft: 1000, hard } }, [limit("files", 1000, 1000)])[0]
        ?.changes[0];
    expect(of(5000)).toBe("more open files: ulimit -n 5000");
    expect(of(Number.POSITIVE_INFINITY)).toBe("more open files: ulimit -n unlimited");
    expect(of(1000)).toContain("only by root");
  });

  test("of TIME_WAIT are more buckets", () => {
    const [found] = remediesFor(host, [limit("timeWait", 4096, 4096)]);
    expect(found?.changes).toEqual([expect.stringContaining("tcp_max_tw_buckets=8192")]);
  });
});
