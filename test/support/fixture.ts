// Fixtures: where a story is played. The same story runs on the reference model, and on both builds
// of the core through reservations and through pools.

import { PoolSystem, ReservationSystem } from "../replay/manager.ts";
import { ReferenceSystem } from "../replay/reference.ts";
import type { System } from "../replay/system.ts";
import { openOn } from "./builds.ts";

/** Every way to play a story, by name. */
export const FIXTURES: readonly (readonly [name: string, open: () => System])[] = [
  ["the reference model", () => new ReferenceSystem()],
  ["reservations, release build", () => new ReservationSystem(openOn("release"))],
  ["reservations, debug build", () => new ReservationSystem(openOn("debug"))],
  ["pools, release build", () => new PoolSystem(openOn("release"))],
  ["pools, debug build", () => new PoolSystem(openOn("debug"))],
];
