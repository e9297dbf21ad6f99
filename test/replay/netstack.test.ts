// What gVisor answered, recorded, and replayed on everything that claims to answer the same: both
// builds through reservations and through pools, and the reference model.

import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { openOn } from "../support/builds.ts";
import { NETSTACK } from "./counts.ts";
import { replayFile } from "./files.ts";
import { PoolSystem, ReservationSystem } from "./manager.ts";
import { newCounts } from "./netstack.ts";
import { ReferenceSystem } from "./reference.ts";
import type { System } from "./system.ts";

const VECTORS = new URL("../vectors/netstack/", import.meta.url);

let opened = 0;

const SYSTEMS: readonly (readonly [name: string, open: () => System])[] = [
  ["reservations, release build", () => new ReservationSystem(openOn("release"))],
  ["pools, release build", () => new PoolSystem(openOn("release"))],
];
/** What is slow replays every fourth trace; all of them by `npm run replay`. */
const SLOW: typeof SYSTEMS = [
  ["reservations and pools in turn, debug build", openInTurn],
  ["the reference model", () => new ReferenceSystem()],
];
const EVERY = 4;

/** For one trace reservations, for the next pools: each has the asserts of the debug build. */
function openInTurn(): System {
  const Opened = ++opened % 2 === 0 ? ReservationSystem : PoolSystem;
  return new Opened(openOn("debug"));
}

test("the vectors are there: nine files of traces, and a table", () => {
  expect(vectors()).toHaveLength(10);
  expect(vectors().filter((path) => path.endsWith(".jsonl.gz"))).toHaveLength(9);
  expect(vectors().filter((path) => path.endsWith("/table.json"))).toHaveLength(1);
});

test.each(SYSTEMS)("%s: every recorded answer is given, and nothing is left", async (_n, open) => {
  const counts = newCounts();
  for (const path of vectors()) await replayFile(path, open, counts);
  expect(counts).toEqual(NETSTACK);
});

test.each(SLOW)(
  "%s: every answer of each fourth trace is given, nothing is left",
  async (_n, open) => {
    const counts = newCounts();
    for (const path of vectors()) await replayFile(path, open, counts, EVERY);
    expect(counts).toMatchObject({ mismatching: 0, mismatches: [] });
    expect(counts.traces).toBeGreaterThan(130);
  },
);

test("a system that answers otherwise is found out", async () => {
  const counts = newCounts();
  const stubborn = (): System => {
    const system = new ReferenceSystem();
    const release = system.release.bind(system);
    let releases = 0;
    // Forgets one release in a hundred.
    system.release = (ask, port) => ++releases % 100 === 0 || release(ask, port);
    return system;
  };
  for (const path of vectors().slice(0, 2)) await replayFile(path, stubborn, counts);
  expect(counts.mismatching).toBeGreaterThan(10);
  expect(counts.mismatches).toHaveLength(5);
});

function vectors(): string[] {
  const names = readdirSync(VECTORS).filter((name) => !name.endsWith(".md"));
  return names.sort().map((name) => new URL(name, VECTORS).pathname);
}
