// Chaos, for some seconds: processes that are stopped, stalled and killed, on a store that is
// restarted, frozen and slow, never have one block at one time. `npm run chaos` runs for as long as
// its options say.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { judge } from "../../chaos/uses.ts";
import { isInstalled } from "../../support/servers.ts";

const MAIN = fileURLToPath(new URL("../../../build/test/chaos/main.js", import.meta.url));
/** The control is a matter of chance. */
const TRIES = 5;

interface Run {
  readonly code: number;
  readonly told: Readonly<Record<string, number>>;
}

function chaos(...args: string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [MAIN, ...args], (error, out, errors) => {
      const [first = ""] = out.split("\n");
      if (first.startsWith("{"))
        resolve({ code: Number(error?.code ?? 0), told: JSON.parse(first) });
      else reject(new Error(`chaos told nothing: ${out} ${errors}`));
    });
  });
}

describe.runIf(isInstalled("redis-server"))("on Redis", () => {
  test("no block has two holders at one time, whatever happens", async () => {
    const { code, told } = await chaos("--store", "redis", "--minutes", "0.1");
    expect(told).toMatchObject({ twice: 0, sameTuple: 0, failed: 0 });
    expect(told.uses).toBeGreaterThan(100);
    expect(code).toBe(0);
  });

  test("holders that do not look at their clocks are found", async () => {
    let found = 0;
    for (let tries = 0; tries < TRIES && found === 0; tries++) {
      const { code, told } = await chaos("--store", "redis", "--minutes", "0.08", "--broken");
      found = told.twice ?? 0;
      expect(code).toBe(found > 0 ? 1 : code);
    }
    expect(found).toBeGreaterThan(0);
  });
});

describe("uses of blocks that were written down", () => {
  test.each([
    ["one after the other are in order", ["7 a 1 2", "7 a 3 4", "7 b 5 6"], 0],
    ["a last use that began before the next holder's first is in order", ["7 a 3 9", "7 b 4 5"], 0],
    ["a use that began after another holder's is found", ["7 a 1 2", "7 b 3 4", "7 a 5 6"], 1],
    ["of different blocks do not matter to each other", ["7 a 1 2", "8 b 3 4", "7 a 5 6"], 0],
    ["one whose beginning is not known ends nothing", ["7 a 1 2", "7 b 3 4", "7 a 0 6"], 0],
    ["a line that was cut short is passed over", ["7 a 1 2", "7 b 3"], 0],
  ])("%s", (_name, lines, count) => {
    expect(judge(lines).twice).toHaveLength(count);
  });
});
