// LinuxPorts against the reference model where sockets crowd on few ports: sharing, the shortcut, and
// the searches that draw again.

import { expect, test } from "vitest";
import { expectPeace } from "./expect.ts";

test("the release build answers as the reference model does, 70,000 times, to those who bind", () => {
  const { exhausted, retried } = expectPeace("release", "binding", 70_000);
  expect(exhausted).toBeGreaterThan(1000);
  expect(retried).toBeGreaterThan(100);
});
