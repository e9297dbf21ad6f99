// LinuxPorts against the reference model with all that sockets and administrators can do, on the debug
// build, its invariants checked after each operation.

import { expect, test } from "vitest";
import { linuxModule } from "../../support/builds.ts";
import { expectPeace } from "./expect.ts";

test("the debug build answers as the reference model does, 60,000 times, whatever is asked", () => {
  const { expired, picks, retried, wrapped } = expectPeace("debug", "all", 60_000);
  expect(picks).toBeGreaterThan(8000);
  expect(expired).toBeGreaterThan(300);
  expect(retried).toBeGreaterThan(0);
  expect(wrapped).toBeGreaterThan(200);
});

test("the debug build is the one that can check its invariants", () => {
  const exports = WebAssembly.Module.exports(linuxModule("debug")).map(({ name }) => name);
  expect(exports).toContain("verifyLinux");
});
