// Instances are made with what every host has, and a debug build's abort can be read.

import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { coreOf } from "../../bindings/core/core.ts";
import { caught } from "../invalid-input/fixture.ts";
import { freshModule } from "../support/builds.ts";

const PACKAGE = new URL("../../build/lib/index.js", import.meta.url).href;
const PLAY = `
  const { PortManager, LinuxPorts, TCP } = await import(${JSON.stringify(PACKAGE)});
  const pool = PortManager.open().pool({ networks: [4], transport: TCP, cooldown: 9 });
  if (!(pool.take() > 0 && LinuxPorts.open().socket().bind("", 0) > 0)) throw new Error("none");
  console.log("played");
`;

/** What a process prints that plays with the package. */
function play(flags: readonly string[], before = ""): string {
  const args = [...flags, "--input-type=module", "--eval", before + PLAY];
  return execFileSync(process.execPath, args, { encoding: "utf8" });
}

test("the package works under --frozen-intrinsics", () => {
  expect(play(["--frozen-intrinsics", "--no-warnings"])).toContain("played");
});

test("the package works without TextDecoder, as in jsdom", () => {
  expect(play([], "delete globalThis.TextDecoder;")).toContain("played");
});

test("an abort of a debug build tells the file and the line", () => {
  const core = coreOf(freshModule("debug"));
  const error = caught(() => core.exports.openSelector(0)) as Error;
  expect(error.message).toMatch(/ at assembly\/selection\/selector\.ts:\d+:\d+$/);
});
