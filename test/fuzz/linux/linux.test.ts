// Linux2632Ports against its reference model. The debug build checks its invariants after each
// operation.

import { expect, test } from "vitest";
import { linuxModule } from "../../support/builds.ts";
import { expectNoMismatch } from "../expect.ts";
import { linux } from "./subject.ts";

test("Linux2632Ports answers as its reference model does, 25,000 times, whatever is asked", async () => {
  const wanted = { expired: 100, picks: 2000, retried: 1, wrapped: 60 };
  await expectNoMismatch(linux("mixed"), 25_000, wanted);
});

test("Linux2632Ports answers as its reference model does, 25,000 times, with many sockets on few ports", async () => {
  await expectNoMismatch(linux("binding", "release"), 25_000, { exhausted: 300, retried: 30 });
});

test("Linux2632Ports answers as its reference model does, 25,000 times, where connections come and go", async () => {
  const wanted = { exhausted: 300, expired: 300, wrapped: 150 };
  await expectNoMismatch(linux("connecting", "release"), 25_000, wanted);
});

test.each([
  ["wide", "release", 6000],
  ["wide binding", "release", 6000],
  ["wide", "debug", 1500],
] as const)(
  "Linux2632Ports answers as its reference model does in hundreds of sockets (%s, %s, %i times)",
  async (theme, build, operations) => {
    await expectNoMismatch(linux(theme, build), operations, { picks: operations / 50 });
  },
);

test("Linux2632Ports with little memory changes as a whole or not at all, 6,000 times", async () => {
  await expectNoMismatch(linux("tight"), 6000, { refusals: 10 });
});

test("the debug build of the linux module is the one that can check its invariants", () => {
  const exports = WebAssembly.Module.exports(linuxModule("debug")).map(({ name }) => name);
  expect(exports).toContain("verify2632");
});
