// Every ending: whatever happens to thousands of connections, in the end no port is lost: none is
// held, no connection waits, and every port can be taken again, to every destination.

import { expect, test } from "vitest";
import type { Report } from "./inside/every-ending.ts";
import { describeInside, inside, PORTS } from "./inside.ts";

const CONNECTS = 20_000;
const DESTINATIONS = 4;
const ALL = Array.from({ length: PORTS.last - PORTS.first + 1 }, (_, index) => PORTS.first + index);

function expectNothingLost({ after, picks, released, failures, seen }: Report): void {
  expect(after).toEqual({ held: 0, waiting: 0, quarantined: 0 });
  expect(picks).toBe(released);
  expect(failures).toEqual([]);
  const expected = ALL.map((port) => `127.0.0.2:${port}`);
  expect(seen.map((who) => [...who].sort())).toEqual(Array(DESTINATIONS).fill(expected));
}

describeInside("every-ending", () => {
  test("20,000 connects that end in every way, more than there are ports, lose no port", async () => {
    const report = await inside<Report>("every-ending", "1", `${CONNECTS}`);
    const { outcomes, ends, kills, most } = report;
    expectNothingLost(report);
    // All of it did happen.
    expect(Object.values(outcomes).reduce((sum, count) => sum + count)).toBe(CONNECTS);
    expect(kills).toBe(CONNECTS / 2000);
    expect(most.held).toBeGreaterThanOrEqual(0.9 * DESTINATIONS * ALL.length);
    for (const outcome of ["connected", "source", "ECONNREFUSED", "ETIMEDOUT", "AbortError"]) {
      expect(outcomes[outcome], outcome).toBeGreaterThan(100);
    }
    for (const end of ["end", "destroy", "reset", "their end", "their reset", "error"]) {
      expect(ends[end], end).toBeGreaterThan(100);
    }
    expect(ends["error ECONNRESET"]).toBeGreaterThan(100);
  });

  test("3,000 connects with a queue of waiters and a cooldown lose no port", async () => {
    const options = { wait: { timeout: 30, limit: 40 }, cooldown: 20, whenCooling: "wait" };
    const report = await inside<Report>("every-ending", "2", "3000", JSON.stringify(options));
    expectNothingLost(report);
    expect(report.most.waiting).toBe(40);
    expect(report.outcomes.waiters).toBeGreaterThan(0);
    expect(report.outcomes.time).toBeGreaterThan(0);
  });

  test("2,000 connects on ports in the order in which they came back lose no port", async () => {
    const options = { spread: "least-used", selection: "fifo" };
    const report = await inside<Report>("every-ending", "3", "2000", JSON.stringify(options));
    expectNothingLost(report);
  });
});
