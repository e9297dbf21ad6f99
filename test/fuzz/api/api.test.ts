// The public API, called at random: what is valid is answered as the reference model foresees, and
// what is hostile is refused by a PortError and changes nothing.

import { expect, test } from "vitest";
import { PortPool } from "../../../bindings/pool.ts";
import { expectNoMismatch } from "../expect.ts";
import { fuzz } from "../fuzz.ts";
import { api } from "./subject.ts";

test("the public API answers valid calls as foreseen and refuses hostile ones, 20,000 times", async () => {
  await expectNoMismatch(api(), 20_000, { refused: 5000, accepted: 500 });
});

test.each<[string, (port: number) => number]>([
  ["answers a port that is held", (port) => port],
  ["throws an error of its own", () => JSON.parse("{")],
])("the API fuzzer finds a takeAt() that %s", async (_name, takeAt) => {
  const before = PortPool.prototype.takeAt;
  PortPool.prototype.takeAt = takeAt;
  try {
    const isOver = ({ figures }: { figures: { operations: number } }): boolean =>
      figures.operations > 50_000;
    const { failure } = await fuzz(api(), { seed: 1, isOver });
    expect(failure?.report).toMatch(/expected|SyntaxError/);
  } finally {
    PortPool.prototype.takeAt = before;
  }
});
