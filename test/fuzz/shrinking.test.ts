// The fuzzer itself: does it find a fault, and does it say so in few words? Each test plants one
// into the oracle, in a case that is rare among all that is asked.

import { describe, expect, test } from "vitest";
import { IN_USE } from "../../assembly/abi.ts";
import { ReferencePortManager, type ReferenceRequest } from "../models/reference-manager.ts";
import { freshModule } from "../support/builds.ts";
import type { BattleOptions } from "./battle.ts";
import { type Campaign, wage } from "./campaign.ts";
import { mixed } from "./world.ts";

const OPERATIONS_MAX = 100_000;
const SEED = 20210701;

/** Refuses an explicit port that one flag set asks for on one device. */
class Stubborn extends ReferencePortManager {
  override reservePort(
    request: ReferenceRequest,
    offset: number,
    test?: (port: number) => boolean,
  ): number {
    const { flags, device, port, transport } = request;
    if (flags === 5 && device === 2 && port !== 0 && transport === 6) return IN_USE;
    return super.reservePort(request, offset, test);
  }
}

/** Forgets to release on the second network when a tuple goes. */
class Forgetful extends ReferencePortManager {
  override releasePort(request: ReferenceRequest): boolean {
    const isRare = request.networks.length === 2 && request.destination.port === 443;
    return super.releasePort(isRare ? { ...request, networks: [4] } : request);
  }
}

/** Grants no tuple more than twice. */
class Jealous extends ReferencePortManager {
  readonly #granted = new Map<string, number>();

  override reserveTuple(request: ReferenceRequest): boolean {
    const key = JSON.stringify(request);
    const granted = this.#granted.get(key) ?? 0;
    this.#granted.set(key, granted + 1);
    return granted < 2 && super.reserveTuple(request);
  }
}

describe("a planted fault is found and shrunk to the operations that it needs", () => {
  test("a wrong answer to one kind of request: that request", () => {
    expect(campaignAgainst(() => new Stubborn()).failure?.operations).toBe(1);
  });

  test("a release that forgets a network: what holds, the release, and a look", () => {
    expect(campaignAgainst(() => new Forgetful()).failure?.operations).toBeLessThanOrEqual(4);
  });

  test("a tuple refused to its third holder: the three, and perhaps one that is named", () => {
    expect(campaignAgainst(() => new Jealous()).failure?.operations).toBeLessThanOrEqual(4);
  });
});

test("the report tells the seed, the world, each operation and the two answers", () => {
  const { failure, roundSeed } = campaignAgainst(() => new Jealous());
  const lines = failure?.report.split("\n").map((line) => line.trim()) ?? [];
  expect(lines[0]).toMatch(new RegExp(`^seed ${roundSeed}, shrunk [0-9]+ times$`));
  expect(lines[1]).toMatch(/^Defeat: \{"seed":0,"managers":1,/);
  const [one, other, answers] = lines.slice(failure?.operations);
  expect(one).toMatch(/^0: tuple \[4\] 17 \*:[0-9]+ flags [1-7]$/);
  expect(other).toBe(one);
  expect(answers).toMatch(/^expected -1, got [0-9]+$/);
});

test("the same seed fights the same battles", () => {
  const [one, other] = [SEED, SEED].map((seed) =>
    wage({ seed, worlds: mixed, options: release, isOver: ({ battles }) => battles >= 10 }),
  );
  expect(one).toEqual(other);
});

/** Without the invariant check, which has nothing to say about faults of the oracle. */
function campaignAgainst(oracle: () => ReferencePortManager): Campaign {
  return wage({
    seed: SEED,
    worlds: mixed,
    commandsMax: 400,
    options: () => ({ ...release(), oracle }),
    isOver: ({ operations }) => operations >= OPERATIONS_MAX,
  });
}

function release(): BattleOptions {
  return { open: { module: freshModule("release") }, verifies: false };
}
