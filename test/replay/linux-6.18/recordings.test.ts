// What Linux 6.18 answered, recorded, and the cases of others' test suites, replayed on everything
// that claims to answer the same.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bucket } from "../../models/linux-6.18/bucket.ts";
import type { Socket } from "../../models/linux-6.18/kernel.ts";
import { modulesFor } from "../../support/builds.ts";
import { BadInput } from "../input.ts";
import { type Counts, newCounts } from "../netstack.ts";
import { type Case, replayCase } from "./cases.ts";
import { replayKernelFile } from "./files.ts";
import { ModelSystem, openModel } from "./model-system.ts";
import { openPorts } from "./ports-system.ts";
import type { OpenSystem } from "./system.ts";

const VECTORS = new URL("../../vectors/", import.meta.url);
const PEERS = new URL("peers/linux.json.gz", VECTORS).pathname;

const SYSTEMS: readonly (readonly [name: string, open: OpenSystem])[] = [
  ["LinuxPorts, release,", (setup) => openPorts(setup, modulesFor("release"))],
  ["the reference model", openModel],
];

test("the recordings of Linux 6.18 are there: twelve files", () => {
  expect(recordings()).toHaveLength(12);
});

describe.each(SYSTEMS)("%s answers as Linux 6.18", (_name, open) => {
  test("in every recorded sequence, and keeps every claim about full ranges", async () => {
    expect(await replayed(open, recordings())).toEqual({
      traces: 2359,
      operations: 47_608,
      mismatching: 0,
      mismatches: [],
      skipped: new Map(),
    });
  });

  test("in all cases of the suites of gVisor and the kernel, 289", async () => {
    expect(await replayed(open, [PEERS])).toEqual({
      traces: 289,
      operations: 9747,
      mismatching: 0,
      mismatches: [],
      skipped: new Map(),
    });
  });
});

test("LinuxPorts, debug, answers as Linux 6.18 in each third file of sequences, and all cases", async () => {
  const open: OpenSystem = (setup) => openPorts(setup, modulesFor("debug"));
  const some = recordings().filter((_, index) => index % 3 === 0);
  const counts = await replayed(open, [...some, PEERS]);
  expect(counts).toMatchObject({ mismatching: 0, mismatches: [] });
  expect(counts.traces).toBeGreaterThan(700);
});

const cases = JSON.parse(gunzipSync(readFileSync(PEERS)).toString()) as Case[];

test.each(cases.map((one) => [one.source, one.id, one] as const))(
  "LinuxPorts answers as %s expects it: %s",
  (_source, _id, one) => {
    const open: OpenSystem = (setup) => openPorts(setup, modulesFor("release"));
    expect(replayCase(one, open)).toBe(undefined);
  },
);

describe("a system that does not answer as Linux 6.18 is found out", () => {
  /** Refuses every fifth bind(). */
  class Moody extends ModelSystem {
    #binds = 0;

    override bind(socket: Socket, address: string, port: number, uid: number): string {
      this.#binds += 1;
      if (this.#binds % 5 === 0) return "EADDRINUSE";
      return super.bind(socket, address, port, uid);
    }
  }

  /** Leaves a byte behind. */
  class Leaky extends ModelSystem {
    override end(): { readonly bytes: number } {
      return { bytes: 1 };
    }
  }

  test("when it refuses too much", async () => {
    const counts = await replayed((setup) => new Moody(setup), [vector("tcp-bind-v4")]);
    expect(counts.mismatching).toBeGreaterThan(10);
    expect(counts.mismatches).toHaveLength(5);
  });

  test("when it leaves memory behind", async () => {
    const counts = await replayed((setup) => new Leaky(setup), [vector("privileged")]);
    expect(counts.mismatching).toBe(75);
  });

  test("when its ranges are filled in another order", async () => {
    const open: OpenSystem = (setup) => {
      const system = new ModelSystem(setup);
      system.host.random = () => 0;
      const { range } = system.host.settings;
      // One port less than there is.
      system.host.settings.range = {
        ...range,
        last: Math.max(range.first, range.last - 1),
      };
      return system;
    };
    expect((await replayed(open, [vector("range-fill")])).mismatching).toBeGreaterThan(50);
  });

  test("when the state of a port's bucket stays as it was although an owner has left", async () => {
    const { remove } = Bucket.prototype;
    try {
      Bucket.prototype.remove = function (owner) {
        const { reuse, reusePort } = this;
        remove.call(this, owner);
        Object.assign(this, { reuse, reusePort });
      };
      const counts = await replayed(openModel, [vector("tcp-auto-tiny")]);
      expect(counts.mismatching).toBeGreaterThan(0);
    } finally {
      Bucket.prototype.remove = remove;
    }
  });
});

describe("a file that is no recording of Linux is refused", () => {
  let scratch: string;
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "portwarden-"));
  });
  afterAll(() => {
    rmSync(scratch, { recursive: true });
  });

  test.each([
    ["without JSON", "{", "not JSON"],
    ["with something else", '{"traces":[]}', "expected cases"],
    ["with an unknown call", sequence('["fly",0]'), 'unknown call "fly"'],
    ["with a socket from nowhere", sequence('["listen",7]'), "socket 7 is not open"],
  ])("%s", async (_name, text, message) => {
    const path = join(scratch, "odd.json");
    writeFileSync(path, text);
    const error = await replayed(openModel, [path]).then(undefined, (error) => error);
    expect(error).toBeInstanceOf(BadInput);
    expect(error.message).toContain(message);
  });

  test("that is not there", async () => {
    await expect(replayed(openModel, [join(scratch, "none.json")])).rejects.toThrow(BadInput);
  });
});

function sequence(call: string): string {
  const calls = `[["socket",0,"tcp4",0],${call}]`;
  return `{"suite":"odd","sequences":[{"id":0,"ops":${calls},"r":["ok","ok"]}]}`;
}

async function replayed(open: OpenSystem, paths: readonly string[]): Promise<Counts> {
  const counts = newCounts();
  for (const path of paths) await replayKernelFile(path, open, counts);
  return counts;
}

function recordings(): string[] {
  const names = readdirSync(new URL("linux/", VECTORS)).filter((name) => name.endsWith(".gz"));
  return names.sort().map((name) => vector(name.replace(".json.gz", "")));
}

function vector(name: string): string {
  return new URL(`linux/${name}.json.gz`, VECTORS).pathname;
}
