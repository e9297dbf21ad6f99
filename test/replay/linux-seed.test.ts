// What Linux' seed-era port picker answered, recorded, and replayed on everything that claims to
// answer the same: Linux2632Ports on both builds, and the reference model.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ReferenceSocket } from "../models/reference-linux.ts";
import { modulesFor } from "../support/builds.ts";
import { LINUX_SEED } from "./counts.ts";
import { replayLinuxFile } from "./files.ts";
import { BadInput } from "./input.ts";
import { openLinuxPorts } from "./linux-ports.ts";
import { openReferenceLinux, ReferenceLinux } from "./linux-reference.ts";
import type { Left, OpenLinux, Outcome } from "./linux-system.ts";
import { type Counts, newCounts } from "./netstack.ts";

const VECTORS = new URL("../vectors/linux-seed/", import.meta.url);

const SYSTEMS: readonly (readonly [name: string, open: OpenLinux])[] = [
  ["Linux2632Ports, release", (hint) => openLinuxPorts(hint, modulesFor("release"))],
  ["the reference model", openReferenceLinux],
];

const openDebug: OpenLinux = (hint) => openLinuxPorts(hint, modulesFor("debug"));

test("the vectors are there: nine files of traces", () => {
  expect(vectors()).toHaveLength(9);
  expect(vectors().every((path) => path.endsWith(".jsonl.gz"))).toBe(true);
});

test.each(SYSTEMS)("%s: every recorded answer is given, and nothing is left", async (_n, open) => {
  const counts = await replayed(open, vectors());
  expect(counts).toEqual(LINUX_SEED);
});

test("Linux2632Ports, debug: every answer of each third file is given, and nothing is left", async () => {
  const counts = await replayed(
    openDebug,
    vectors().filter((_, index) => index % 3 === 0),
  );
  expect(counts).toMatchObject({ traces: LINUX_SEED.traces / 3, mismatching: 0 });
});

describe("a system that answers otherwise is found out", () => {
  /** Grants nothing to one bind in twenty. */
  class Moody extends ReferenceLinux {
    #binds = 0;

    override bind(
      socket: ReferenceSocket,
      address: string,
      port: number,
      random: readonly number[],
    ): Outcome {
      this.#binds += 1;
      return this.#binds % 20 === 0 ? "EADDRINUSE" : super.bind(socket, address, port, random);
    }
  }

  /** Says that it drew one value where it drew more. */
  class Modest extends ReferenceLinux {
    override get drawn(): number {
      return Math.min(1, super.drawn);
    }
  }

  /** Keeps one socket in ten although it was closed. */
  class Sticky extends ReferenceLinux {
    #closes = 0;

    override close(socket: ReferenceSocket): void {
      this.#closes += 1;
      if (this.#closes % 10 !== 0) super.close(socket);
    }
  }

  /** Loses memory. */
  class Leaky extends ReferenceLinux {
    override end(): Left {
      return { bytes: 48, uses: 0 };
    }
  }

  test("by its results", async () => {
    const counts = await replayed((hint) => new Moody(hint), vectors().slice(0, 2));
    expect(counts.mismatching).toBeGreaterThan(10);
    expect(counts.mismatches).toHaveLength(5);
  });

  test("by what it draws", async () => {
    const counts = await replayed((hint) => new Modest(hint), vectors().slice(1, 2));
    expect(counts.mismatching).toBeGreaterThan(5);
    const [mismatch] = counts.mismatches;
    expect(mismatch).toMatchObject({ got: { drawn: 1 } });
  });

  test("by what it keeps", async () => {
    const counts = await replayed((hint) => new Sticky(hint), vectors().slice(0, 1));
    expect(counts.mismatching).toBeGreaterThan(5);
  });

  test("by the hint that it ignores", async () => {
    const counts = await replayed(() => openReferenceLinux(0), vectors().slice(-1));
    expect(counts.mismatching).toBe(10);
  });

  test("by the memory that it does not give back", async () => {
    const counts = await replayed((hint) => new Leaky(hint), vectors().slice(0, 1));
    expect(counts.mismatching).toBe(40);
    const [mismatch] = counts.mismatches;
    expect(mismatch).toMatchObject({ at: "end", got: { bytes: 48 }, expected: { bytes: 0 } });
  });
});

describe("a replay refuses a file with", () => {
  let scratch: string;
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "portwarden-"));
  });
  afterAll(() => {
    rmSync(scratch, { recursive: true });
  });

  const socket =
    '{"op":"socket","sock":1,"reuse":true,"device":0,"group":"/","expect":{"ok":true}}';
  const stats = '{"op":"stats","expect":{"buckets":0,"bsockets":0,"hint":0}}';

  test.each([
    ["no JSON", "{", "not JSON"],
    ["no trace", '{"name":"x"}', "not a trace"],
    ["a hint that is none", '{"name":"x","hint":-1,"ops":[]}', "not a trace"],
    ["no operation", traceOf("7"), "expected an operation, got 7"],
    ["an unknown operation", traceOf('{"op":"fly","expect":{}}'), 'unknown operation "fly"'],
    ["no operation of its own", traceOf('{"op":"toString","expect":{}}'), "unknown operation"],
    ["no answer", traceOf('{"op":"stats"}'), "stats: expect must be an object or null"],
    ["a field too many", traceOf('{"op":"stats","port":1,"expect":{}}'), "no field port"],
    ["a field too few", traceOf('{"op":"bucket","expect":{}}'), "port must be an integer 1..65535"],
    ["a port too high", traceOf('{"op":"bucket","port":65536,"expect":{}}'), "got 65536"],
    ["a socket from nowhere", traceOf('{"op":"close","sock":9,"expect":{}}'), "9 is not open"],
    ["a socket twice", traceOf(socket, socket), "socket 1 is not a new one"],
    [
      "a TIME_WAIT from nowhere",
      traceOf(
        socket,
        '{"op":"closeToTimeWait","sock":1,"stamp":0,"hasTimestamp":true,"expect":{}}',
      ),
      "socket 1 is closed, not connected",
    ],
    [
      "a range upside down",
      traceOf('{"op":"setGroup","group":"/a","bind":[9,8],"expect":{"ok":true}}'),
      "setGroup: bind must be [low, high] or null",
    ],
    [
      "time that goes back",
      traceOf(
        '{"op":"setNow","now":9,"expect":{"ok":true}}',
        '{"op":"setNow","now":8,"expect":{"ok":true}}',
      ),
      "time goes back from 9 to 8",
    ],
  ])("%s", async (_name, line, message) => {
    const path = join(scratch, "odd.jsonl");
    writeFileSync(path, `${traceOf(stats)}\n${line}\n`);
    const error = await replayed(openReferenceLinux, [path]).then(undefined, (error) => error);
    expect(error).toBeInstanceOf(BadInput);
    expect(error.message).toContain(`${path}:2`);
    expect(error.message).toContain(message);
  });

  test("another kind of file is refused", async () => {
    await expect(replayed(openReferenceLinux, ["table.json"])).rejects.toThrow(BadInput);
    await expect(replayed(openReferenceLinux, ["nowhere.jsonl"])).rejects.toThrow(BadInput);
  });
});

function traceOf(...operations: string[]): string {
  return `{"name":"x","ops":[${operations}]}`;
}

async function replayed(open: OpenLinux, paths: readonly string[]): Promise<Counts> {
  const counts = newCounts();
  for (const path of paths) await replayLinuxFile(path, open, counts);
  return counts;
}

function vectors(): string[] {
  const names = readdirSync(VECTORS).filter((name) => !name.endsWith(".md"));
  return names.sort().map((name) => new URL(name, VECTORS).pathname);
}
