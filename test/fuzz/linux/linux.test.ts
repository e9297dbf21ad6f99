// Linux2632Ports against its reference model. The debug build checks its invariants after each
// operation.

import { expect, test } from "vitest";
import { linuxModule } from "../../support/builds.ts";
import { expectNoMismatch } from "../expect.ts";
import { linux } from "./subject.ts";

test("Linux2632Ports answers as its reference model does, 40,000 times, whatever is asked", async () => {
  const { expired, picks, retried, wrapped } = await expectNoMismatch(linux("mixed"), 40_000);
  expect(picks).toBeGreaterThan(2000);
  expect(expired).toBeGreaterThan(100);
  expect(retried).toBeGreaterThan(0);
  expect(wrapped).toBeGreaterThan(60);
});

test("Linux2632Ports answers as its reference model does, 25,000 times, where sockets crowd on few ports", async () => {
  const { exhausted, retried } = await expectNoMismatch(linux("binding", "release"), 25_000);
  expect(exhausted).toBeGreaterThan(300);
  expect(retried).toBeGreaterThan(30);
});

test("Linux2632Ports answers as its reference model does, 25,000 times, where connections come and go", async () => {
  const subject = linux("connecting", "release");
  const { exhausted, expired, wrapped } = await expectNoMismatch(subject, 25_000);
  expect(exhausted).toBeGreaterThan(300);
  expect(expired).toBeGreaterThan(300);
  expect(wrapped).toBeGreaterThan(150);
});

test.each([
  ["wide", "release", 6000],
  ["wide binding", "release", 6000],
  ["wide", "debug", 1500],
] as const)(
  "Linux2632Ports answers as its reference model does in hundreds of sockets (%s, %s, %i times)",
  async (theme, build, operations) => {
    const { picks } = await expectNoMismatch(linux(theme, build), operations);
    expect(picks).toBeGreaterThan(operations / 50);
  },
);

test("Linux2632Ports with little memory changes as a whole or not at all, 12,000 times", async () => {
  const { refusals } = await expectNoMismatch(linux("tight"), 12_000);
  expect(refusals).toBeGreaterThan(10);
});

test("the debug build of the linux module is the one that can check its invariants", () => {
  const exports = WebAssembly.Module.exports(linuxModule("debug")).map(({ name }) => name);
  expect(exports).toContain("verify2632");
});
