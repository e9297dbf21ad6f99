// hostBlocks: names that all programs agree on, what the kernel gives back, and errors that are no
// refusals.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { createServer, Server } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { describe, expect, test, vi } from "vitest";
import { type BlockScope, blockScope } from "../../../bindings/node/blocks/block-store.ts";
import { hostName } from "../../../bindings/node/blocks/host-blocks.ts";
import { parseNames } from "../../../bindings/node/blocks/host-list.ts";
import { type BlockStore, hostBlocks } from "../../../bindings/node/index.ts";
import { firstLine } from "../../support/captured.ts";
import { freshSources, until } from "../../support/connectors.ts";

const BUILD = new URL("../../../build/", import.meta.url);
const HOLDER = fileURLToPath(new URL("test/node/blocks/inside/holder.js", BUILD));
const RACERS = fileURLToPath(new URL("test/node/blocks/inside/racer.js", BUILD));
const [FIRST, LAST] = [640, 655];
const BLOCKS = LAST - FIRST + 1;
const execute = promisify(execFile);

function freshScope(): BlockScope {
  return blockScope(freshSources(1)[0] as string);
}

describe("names of blocks", () => {
  test.each([
    ["::1", 6, "tcp/::1"],
    ["0:0:0:0:0:0:0:1", 6, "tcp/::1"],
    ["0000:0000::0001", 17, "udp/::1"],
    ["::0.0.0.1", 6, "tcp/::1"],
    ["2001:DB8::00A", 6, "tcp/2001:db8::a"],
    ["::ffff:10.0.0.1", 6, "tcp/10.0.0.1"],
    ["10.0.0.1", 6, "tcp/10.0.0.1"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 17, "udp/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ])("%s with transport %i is one scope, however it is spelled", (source, transport, scope) => {
    const name = hostName(blockScope(source, transport), 1023);
    expect(Buffer.byteLength(name)).toBe(108);
    expect(name).toMatch(new RegExp(`^\\0portwarden/1/${scope}/1023/\\.+$`));
  });

  test.each([
    ["fe80::1%eth0", "ERR_INVALID_IP_ADDRESS"],
    ["0.0.0.0", "ERR_INVALID_ARG_VALUE"],
    ["::", "ERR_INVALID_ARG_VALUE"],
    ["eth0", "ERR_INVALID_IP_ADDRESS"],
  ])("%s is no scope", (source, code) => {
    expect(() => blockScope(source)).toThrow(expect.objectContaining({ code }));
  });

  test("names in the kernel's list are read beside those of other programs", () => {
    const text = [
      "Num       RefCount Protocol Flags    Type St Inode Path",
      "00000000b7ab: 00000002 00000000 00010000 0001 01 4711 @portwarden/1/tcp/::1/640/......",
      "00000000b7ac: 00000003 00000000 00000000 0001 03 4712 @portwarden/1/tcp/::1/640/......",
      "00000000b7ad: 00000002 00000000 00010000 0001 01 4713 /run/portwarden/1/tcp/::1/7/...",
      "00000000b7ae: 00000002 00000000 00010000 0001 01 4714 @portwarden/2/tcp/::1/8/...",
      "00000000b7af: 00000002 00000000 00010000 0001 01 4715",
    ].join("\n");
    expect([...parseNames(text)]).toEqual([["tcp/::1", new Map([[640, 4711]])]]);
  });
});

describe.runIf(process.platform === "linux")("on Linux", () => {
  /** How many blocks can be had, once they have been asked for so many times; they go back. */
  async function countFree(scope: BlockScope, tries = 1000): Promise<number> {
    const store = hostBlocks();
    let held = 0;
    for (let left = tries; left > 0 && held < BLOCKS; left--)
      held += (await store.acquire(scope, BLOCKS, FIRST, LAST)).blocks.length;
    await store.close();
    return held;
  }

  test("a process that is killed holds nothing any more", async () => {
    const scope = freshScope();
    const children = [1, 2, 3].map(() =>
      spawn(process.execPath, [HOLDER, scope.source], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    for (const child of children) await firstLine(child.stdout);
    const mine = hostBlocks();
    const refused = await mine.acquire(scope, 1, FIRST, LAST);
    expect(refused).toMatchObject({ blocks: [], retryAfter: expect.any(Number) });
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map((child) => child.exitCode ?? once(child, "exit")));
    expect(await countFree(scope)).toBe(BLOCKS);
    await mine.close();
  });

  test("a worker thread that is terminated, also while it spins, holds nothing any more", async () => {
    const scope = freshScope();
    for (let round = 0; round < 4; round++) {
      const worker = new Worker(HOLDER, {
        argv: [scope.source, round % 2 === 0 ? "spin" : "idle"],
      });
      await once(worker, "message");
      await worker.terminate();
    }
    expect(await countFree(scope)).toBe(BLOCKS);
  });

  test("a block that is lost for good is found", async () => {
    const scope = freshScope();
    const lost = createServer().listen({ path: hostName(scope, LAST), exclusive: true });
    expect(await countFree(scope, 5)).toBe(BLOCKS - 1);
    lost.close();
  });

  test.each([
    ["a name of another spelling of the address is the same", "fd00:0::0:", 6, true],
    ["a name of another transport is another", "fd00::", 17, false],
    ["a name that is not padded is another, and is found", "fd00::", 6, false],
  ])("%s", async (name, prefix, transport, isSame) => {
    const host = (1 + Math.floor(Math.random() * 0xfffe)).toString(16);
    const named = hostName(blockScope(`${prefix}${host}`, transport), FIRST);
    const path = name.includes("padded") ? named.replace(/\.+$/, "") : named;
    const other = createServer().listen({ path, exclusive: true });
    const store = hostBlocks();
    const { blocks } = await store.acquire(blockScope(`fd00::${host}`), 1, FIRST, FIRST);
    expect(blocks).toEqual(isSame ? [] : [FIRST]);
    await store.close();
    other.close();
  });

  test.each([
    ["host", 0],
    ["slice", 1],
  ] as const)(
    "threads that race for blocks hold none twice with %s, or are caught",
    async (store, least) => {
      const { stdout } = await execute(process.execPath, [RACERS, store, freshScope().source]);
      const { acquired, twice } = JSON.parse(stdout) as { acquired: number; twice: number };
      expect(acquired).toBeGreaterThan(1000);
      if (least === 0) expect(twice).toBe(0);
      else expect(twice).toBeGreaterThan(0);
    },
  );

  test("a store that finds no free block signals it, and an idle holder hears it", async () => {
    const scope = freshScope();
    const [idle, other] = [hostBlocks(), hostBlocks()];
    const grant = await idle.acquire(scope, 16, FIRST, LAST);
    const heard: number[] = [];
    idle.onWanted = (_, block) => {
      if (heard.push(block) === 1) void idle.release(scope, new Map([[block, grant.grant]]));
    };
    let got: readonly number[] = [];
    while (got.length === 0) got = (await other.acquire(scope, 1, FIRST, LAST)).blocks;
    expect(got).toEqual([heard[0]]);
    await Promise.all([idle.close(), other.close()]);
  });

  test("a store that finds no free block looks less and less often, until it finds one", async () => {
    const scope = freshScope();
    const [busy, other] = [hostBlocks(), hostBlocks()];
    const { grant } = await busy.acquire(scope, 16, FIRST, LAST);
    const waits: unknown[] = [];
    while (waits.length < 6) waits.push((await other.acquire(scope, 1, FIRST, LAST)).retryAfter);
    expect(waits).toEqual([20, 40, 80, 160, 320, 320]);
    const reads = vi.spyOn(fs, "readFileSync");
    for (let call = 0; call < 1000; call++)
      expect(other.tryAcquire?.(scope, FIRST, LAST)).toBeUndefined();
    expect(reads.mock.calls.length).toBeLessThan(50);
    reads.mockRestore();
    await busy.release(scope, new Map([[FIRST, grant]]));
    expect((await other.acquire(scope, 2, FIRST, LAST)).blocks).toEqual([FIRST]);
    expect((await other.acquire(scope, 1, FIRST, LAST)).retryAfter).toBe(20);
    await Promise.all([busy.close(), other.close()]);
  });

  /** The answer that a holder gets where listening fails with that code. */
  async function toldOf(code: string, store: Pick<BlockStore, "acquire">): Promise<unknown> {
    const listen = vi.spyOn(Server.prototype, "listen").mockImplementation(function (this: Server) {
      process.nextTick(() => this.emit("error", Object.assign(new Error(code), { code })));
      return this;
    });
    const answer = await store.acquire(freshScope(), 1, FIRST, LAST).catch((error) => error.code);
    listen.mockRestore();
    return typeof answer === "string" ? answer : `refused, ${answer.blocks.length} blocks`;
  }

  test.each([
    ["EADDRINUSE", "refused, 0 blocks"],
    ...["EMFILE", "ENFILE", "EACCES", "EINVAL", "ERR_ACCESS_DENIED"].map((code) => [code, code]),
  ])("%s is told as: %s", async (code, told) => {
    expect(await toldOf(code as string, hostBlocks())).toBe(told);
    // The control: a store that takes every error for a refusal.
    const deaf = { acquire: async () => ({ blocks: [], grant: "" }) };
    expect((await toldOf(code as string, deaf)) === told).toBe(code === "EADDRINUSE");
  });

  test("a process without files to open gets an error, not a refusal", async () => {
    const command = `ulimit -n 200; exec "${process.execPath}" "${HOLDER}" ${freshScope().source} files`;
    const { stdout } = await execute("sh", ["-c", command]);
    expect(stdout.trim()).toBe("EMFILE");
  });

  test("a lease keeps no process alive", async () => {
    const { stdout } = await execute(process.execPath, [HOLDER, freshScope().source, "end"]);
    await until(() => stdout.includes("held"), "the process ended by itself");
  });
});
