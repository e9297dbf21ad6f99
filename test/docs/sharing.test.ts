// The table of docs/guide/linux.md is what the model answers.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { PAGE, renewed } from "./sharing.ts";

test("the guide's table of who shares a port is the one made from LinuxPorts", () => {
  const page = readFileSync(PAGE, "utf8");
  expect(renewed(page)).toBe(page);
});

test("a table with another answer is found out", () => {
  const page = readFileSync(PAGE, "utf8");
  const other = page.replace(
    "| 127.0.0.1 | 127.0.0.1 | EADDRINUSE |",
    "| 127.0.0.1 | 127.0.0.1 | ok |",
  );
  expect(other).not.toBe(page);
  expect(renewed(other)).not.toBe(other);
});
