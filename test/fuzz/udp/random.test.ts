// UDP sockets of LinuxPorts against the reference model, in one system with TCP sockets, which are
// compared with the reference model that has never heard of UDP.

import { expect, test } from "vitest";
import { expectPeace } from "./campaign.ts";

test("the release build answers as the reference model does, 40,000 times", () => {
  const { again, exhausted, named, picks, taken } = expectPeace("release", 40_000);
  expect(Math.min(again, exhausted, named, picks, taken)).toBeGreaterThan(150);
});
