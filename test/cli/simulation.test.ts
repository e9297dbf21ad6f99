// The simulated load against arithmetic: rate x (lifetime + cooldown) connections hold ports at
// once, and there are sources x destinations x ports.

import { describe, expect, test } from "vitest";
import { Departures } from "../../bindings/cli/plan/departures.ts";
import { COOLDOWN_MOST, type Load, portsOf, shareOf } from "../../bindings/cli/plan/load.ts";
import { highestRate, type Remedy, remediesFor } from "../../bindings/cli/plan/remedies.ts";
import { simulate } from "../../bindings/cli/plan/simulation.ts";
import { SeededRandom } from "../../bindings/core/random.ts";

const UNLIMITED = Number.POSITIVE_INFINITY;
const PORTS = 500;
const LOAD: Load = {
  sources: 2,
  destinations: 3,
  rate: 300,
  lifetime: { kind: "fixed", seconds: 10 },
  cooldown: 0,
  whenCooling: "refuse",
  range: { first: 40_000, last: 40_000 + PORTS - 1 },
  ...{ reserved: "", keptFree: [] },
  files: UNLIMITED,
  seconds: 40,
  seed: 7,
};

describe("a load", () => {
  test("that needs exactly the ports there are fits, and holds as many as arithmetic says", () => {
    const forecast = simulate(LOAD); // 300 x 10 = 2 x 3 x 500
    expect(forecast).toMatchObject({ fits: true, refused: 0, arrivals: 12_000, ports: PORTS });
    expect(forecast.firstRefusal).toBeUndefined();
    expect(forecast.open.peak).toBe(3000);
    expect(forecast.perPool).toEqual({ open: 500, cooling: 0, peak: PORTS });
  });

  test("with one port less is refused when the ports have run out", () => {
    const forecast = simulate({ ...LOAD, range: { first: 40_000, last: 40_000 + PORTS - 2 } });
    expect(forecast).toMatchObject({ fits: false, exhausted: "range" });
    // The 2,995th connection: 2 x 3 x 499 have ports.
    expect(forecast.firstRefusal).toBeCloseTo(2994 / 300, 6);
    expect(forecast.perPool.peak).toBe(PORTS - 1);
  });

  test("has no reserved ports", () => {
    const load = { ...LOAD, reserved: "40000-40009,40100,1-5" };
    expect(portsOf(load)).toBe(PORTS - 11);
    expect(simulate(load)).toMatchObject({ fits: false, ports: PORTS - 11 });
  });

  test("has none where all ports are reserved, however many connections it is of", () => {
    const none = { ...LOAD, reserved: "40000-41000" };
    expect(simulate(none)).toMatchObject({ ports: 0, refused: 12_000, arrivals: 12_000 });
    const many = simulate({ ...none, rate: 1e9 }, 20_000);
    expect(many).toMatchObject({ fits: false, firstRefusal: 0, exhausted: "range" });
    expect(many.refused).toBe(many.arrivals);
    expect(many.arrivals / 40e9).toBeCloseTo(1, 2);
  });

  test("has as many open of each source and destination as all together", () => {
    // A share of one port has one file, which is more than its part of them.
    const rough = simulate({ ...LOAD, sources: 1, destinations: 1, rate: 1e9, files: 300 });
    expect(rough.open.steady).toBe(300);
    expect(rough.perPool).toEqual({ open: 300, cooling: 0, peak: 300 });
  });

  test("that lasts less than it takes to run out fits", () => {
    const short = { ...LOAD, rate: 3000, seconds: 1 };
    expect(simulate(short)).toMatchObject({ fits: true, arrivals: 3000 });
    expect(simulate({ ...short, seconds: 1.1 }).firstRefusal).toBeCloseTo(1, 6);
  });

  test("holds ports for their cooldown at least, and for what a pool adds at most", () => {
    const forecast = simulate({ ...LOAD, rate: 60, cooldown: 20, seconds: 100 });
    expect(forecast.fits).toBe(true);
    expect(forecast.perPool.open).toBeCloseTo(100, 6); // 10 a second for 10 s
    expect(forecast.perPool.cooling).toBeGreaterThanOrEqual(200 - 1);
    expect(forecast.perPool.cooling).toBeLessThanOrEqual(200 * COOLDOWN_MOST + 1);
    expect(forecast.perPool.peak).toBeGreaterThanOrEqual(300);
    expect(forecast.perPool.peak).toBeLessThanOrEqual(100 + 200 * COOLDOWN_MOST + 1);
  });

  test("has ports back to the nanosecond where the cooldown is the kernel's TIME_WAIT", () => {
    const load = { ...LOAD, sources: 1, destinations: 1, rate: 10, cooldown: 40, seconds: 300 };
    const lifetime = { kind: "fixed", seconds: 10 } as const;
    const exact = simulate({ ...load, lifetime, isExact: true });
    expect(exact).toMatchObject({ fits: true, perPool: { cooling: 400, peak: PORTS } });
    const one = { first: 40_000, last: 40_000 + PORTS - 2 };
    const refused = simulate({ ...load, lifetime, isExact: true, range: one });
    expect(refused).toMatchObject({ fits: false, firstRefusal: 49.9 });
  });

  test("is counted whole, however soon it settles", () => {
    const load = { ...LOAD, sources: 1, destinations: 1, rate: 9.5, seconds: 200, cooldown: 1 };
    const forecast = simulate({ ...load, lifetime: { kind: "fixed", seconds: 0.01 } });
    expect(forecast).toMatchObject({ fits: true, arrivals: 1900, seconds: 200 });
  });

  test("is refused because of cooling ports, and not where the oldest may be taken", () => {
    const load = { ...LOAD, rate: 200, cooldown: 10, seconds: 60 };
    const refused = simulate(load);
    expect(refused).toMatchObject({ fits: false, exhausted: "cooling" });
    expect(refused.firstRefusal).toBeCloseTo(15, 6); // 200 x 15 = 3,000
    expect(simulate({ ...load, whenCooling: "oldest" }).fits).toBe(true);
    const full = simulate({ ...load, rate: 301, whenCooling: "oldest" });
    expect(full).toMatchObject({ fits: false, exhausted: "range" });
  });

  test("is refused because of files", () => {
    const forecast = simulate({ ...LOAD, rate: 100, files: 600 });
    expect(forecast).toMatchObject({ fits: false, exhausted: "files", firstRefusal: 6 });
    expect(forecast.open.peak).toBe(600);
    expect(forecast.refused).toBe(1600); // of each ten seconds the first six are served
    expect(simulate({ ...LOAD, rate: 100, files: 1000 }).fits).toBe(true);
  });

  test.each([
    ["uniform", { kind: "uniform", least: 5, most: 15 }],
    ["exponential", { kind: "exponential", mean: 10 }],
  ] as const)("of %s lifetimes holds its average, one for each seed", (_name, lifetime) => {
    const load = { ...LOAD, rate: 150, lifetime, seconds: 200 };
    const forecast = simulate(load);
    expect(forecast.fits).toBe(true);
    expect(forecast.open.steady).toBeGreaterThan(1400);
    expect(forecast.open.steady).toBeLessThan(1600);
    expect(simulate(load)).toEqual(forecast);
    expect(simulate({ ...load, seed: 8 })).not.toEqual(forecast);
  });

  test("asks the next source when one is exhausted", () => {
    // 7 sources and destinations in turn: one source has run out before the others have.
    const load = { ...LOAD, sources: 7, destinations: 1, rate: 350, seconds: 20 };
    expect(simulate(load)).toMatchObject({ fits: true });
    expect(simulate({ ...load, rate: 350.1 }).firstRefusal).toBeCloseTo(10, 1);
  });
});

describe("a share of a load", () => {
  const large: Load = {
    ...LOAD,
    sources: 4,
    destinations: 50,
    rate: 100_000,
    range: { first: 20_000, last: 24_999 },
  };

  test("is as small as asked for, and tells the same", () => {
    const share = shareOf(large, 50_000);
    expect(share).toMatchObject({ sources: 2, destinations: 1, ports: 1 });
    const forecast = simulate(large, 50_000);
    expect(forecast).toMatchObject({ fits: true, arrivals: 4_000_000 });
    expect(forecast.perPool).toEqual({ open: 5000, cooling: 0, peak: 5000 });
    expect(forecast.open).toEqual({ steady: 1_000_000, peak: 1_000_000 });
    expect(simulate({ ...large, rate: 101_000 }, 50_000).fits).toBe(false);
  });

  test("has fewer ports where one pool is too much", () => {
    const one = { ...LOAD, sources: 1, destinations: 1, rate: 50_000, seconds: 1 };
    const busy = { ...one, range: { first: 1, last: 50_000 }, seconds: 2 };
    const lasting = { ...busy, lifetime: { kind: "fixed", seconds: 1 } } as const;
    const forecast = simulate(lasting, 10_000);
    expect(forecast.share.ports).toBe(10);
    expect(forecast).toMatchObject({ fits: true, arrivals: 100_000 });
    expect(forecast.open.peak).toBe(50_000);
    expect(simulate({ ...lasting, rate: 50_100 }, 10_000).fits).toBe(false);
  });

  test("ends when nothing changes any more", () => {
    expect(simulate({ ...LOAD, seconds: 1e6 })).toMatchObject({ fits: true, seconds: 100 });
  });
});

describe("remedies", () => {
  async function remedies(load: Load): Promise<Map<string, Remedy>> {
    const found = new Map<string, Remedy>();
    for await (const remedy of remediesFor(load)) found.set(remedy.change, remedy);
    return found;
  }

  test("of too few ports are what arithmetic says, and no less", async () => {
    const found = await remedies({ ...LOAD, rate: 900 });
    expect([...found.keys()]).toEqual(["sources", "range", "lifetime", "rate"]);
    expect(found.get("sources")?.value).toBe(6);
    expect(found.get("range")?.value).toEqual({ first: 40_000, last: 41_499 });
    expect(found.get("rate")?.value).toBeCloseTo(299.7, 6); // in thousandths of 900
    expect(found.get("lifetime")?.value).toEqual({ kind: "fixed", seconds: 3.33 });
    expect([...found.values()].every(({ forecast }) => forecast.fits)).toBe(true);
  });

  test("of too few files are files", async () => {
    const found = await remedies({ ...LOAD, rate: 100, files: 600 });
    expect([...found.keys()]).toEqual(["lifetime", "rate", "files"]);
    expect(found.get("files")?.value).toBe(1000);
  });

  test("of both say how many connections are going to be open", async () => {
    const found = await remedies({ ...LOAD, rate: 900, files: 600 });
    expect(found.get("sources")).toMatchObject({ value: 6, forecast: { open: { peak: 9000 } } });
    expect(found.has("files")).toBe(false);
  });

  test("of ports that are cooling are a shorter cooldown", async () => {
    const rest = (await remedies({ ...LOAD, rate: 100, cooldown: 60, seconds: 160 })).get(
      "cooldown",
    );
    // 100 x (10 + cooldown) = 3,000, with what a pool adds at most; in thousandths of 60 s.
    expect(rest?.value).toBeGreaterThanOrEqual(20 / COOLDOWN_MOST - 0.06);
    expect(rest?.value).toBeLessThanOrEqual(20);
  });

  test("downwards, where there are no ports above", async () => {
    const found = await remedies({ ...LOAD, rate: 900, range: { first: 65_036, last: 65_535 } });
    expect(found.get("range")?.value).toEqual({ first: 64_036, last: 65_535 });
  });

  test("a load that fits is told the highest rate", () => {
    expect(highestRate({ ...LOAD, rate: 30 })?.rate).toBeCloseTo(300, 6);
  });
});

test("departures come soonest first", () => {
  const random = new SeededRandom(3);
  const departures = new Departures();
  const expected: [number, number, number][] = [];
  const got: [number, number, number][] = [];
  for (let index = 0; index < 3000; index++) {
    const time = random.next() % 1000;
    departures.add(time, index, index % 65_536);
    expected.push([time, index, index % 65_536]);
  }
  expect(departures.next).toBe(Math.min(...expected.map(([time]) => time)));
  while (departures.next !== UNLIMITED) {
    got.push([departures.next, departures.owner, departures.port]);
    departures.drop();
  }
  expect(got.map(([time]) => time)).toEqual(expected.map(([time]) => time).sort((a, b) => a - b));
  const byOwner = (a: readonly number[], b: readonly number[]): number =>
    (a[1] as number) - (b[1] as number);
  expect(got.sort(byOwner)).toEqual(expected);
});
