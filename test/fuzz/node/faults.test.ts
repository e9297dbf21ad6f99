// Faults: connections of a connector with faults at every stage; and that what is broken on purpose
// is found.

import { expect, test } from "vitest";
import { runConnector } from "./run.ts";
import type { Sabotage } from "./session.ts";

const SESSIONS = 12;

test("a connector under faults calls each callback once, and every port comes back", async () => {
  const result = await runConnector({ seed: 1, isOver: ({ sessions }) => sessions >= SESSIONS });
  expect(result.mismatch).toBeUndefined();
  expect(result).toMatchObject({ sessions: SESSIONS, connections: 40 * SESSIONS });
});

test.each<[Sabotage, RegExp]>([
  ["a lost port", /1 ports are held/],
  ["a callback that is called twice", /callbacks that were not called once: 7: 2/],
])("the fuzzer of connectors finds %s", async (sabotage, what) => {
  // Where there is no port for it, none is lost.
  const isOver = ({ sessions }: { sessions: number }): boolean => sessions >= 20;
  const { mismatch } = await runConnector({ seed: 1, isOver, sabotage });
  expect(mismatch?.what).toMatch(what);
});
