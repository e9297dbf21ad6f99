// Ports held by another program: a process without portwarden holds a third of the ports. All
// connections succeed on the other ports, whether the connector knew or met conflicts, and it uses
// that third, too, when the process has gone.

import { expect, test } from "vitest";
import type { Foreign } from "./inside/foreign.ts";
import { describeInside, inside, PORTS } from "./inside.ts";

const DESTINATIONS = 4;
const ALL = Array.from({ length: PORTS.last - PORTS.first + 1 }, (_, index) => PORTS.first + index);

// The clock jumps to the end of the quarantine. Side by side, as each waits for its connections.
describeInside("another program holds a third of the ports", () => {
  test.concurrent.each(["open", "refresh"])(
    "ports that it listens on are known by %s, and none is a conflict",
    async (learning) => {
      const { ours, failures, further, conflicts, later, ...rest } = await ran(
        "listening",
        learning,
      );
      const free = ALL.filter((port) => !rest.foreign.includes(port));
      expect(failures).toEqual([]);
      expect(ours).toEqual(Array(DESTINATIONS).fill(free));
      expect(further).toEqual(Array(DESTINATIONS).fill("source"));
      expect(conflicts).toBe(0);
      expect(later).toEqual(Array(DESTINATIONS).fill(ALL.length));
    },
  );

  test.concurrent("ports that it listens on are found out by conflicts, each counted, and quarantined", async () => {
    const { foreign, ours, failures, further, conflicts, quarantined, later } = await ran(
      "listening",
      "conflicts",
    );
    const free = ALL.filter((port) => !foreign.includes(port));
    expect(failures).toEqual([]);
    expect(ours).toEqual(Array(DESTINATIONS).fill(free));
    expect(further).toEqual(Array(DESTINATIONS).fill("source"));
    // At least once each; at most once for each destination, as these connect at the same time.
    expect(conflicts).toBeGreaterThanOrEqual(foreign.length);
    expect(conflicts).toBeLessThanOrEqual(DESTINATIONS * foreign.length);
    expect(quarantined).toBe(DESTINATIONS * foreign.length);
    expect(later).toEqual(Array(DESTINATIONS).fill(ALL.length));
  });

  test.concurrent("ports that it connects to one destination conflict there, and serve the others", async () => {
    const { foreign, ours, failures, further, conflicts, quarantined, later } = await ran(
      "connected",
      "conflicts",
    );
    const free = ALL.filter((port) => !foreign.includes(port));
    expect(failures).toEqual([]);
    expect(ours).toEqual([free, ALL, ALL, ALL]);
    expect(further).toEqual(Array(DESTINATIONS).fill("source"));
    // A tuple is tried again, less and less often: after a second for the seventh time.
    expect(conflicts).toBeGreaterThanOrEqual(foreign.length);
    expect(conflicts).toBeLessThanOrEqual(10 * foreign.length);
    expect(quarantined).toBe(foreign.length);
    expect(later).toEqual(Array(DESTINATIONS).fill(ALL.length));
  });

  test.concurrent("connected to one destination, known at open: quarantined for all", async () => {
    const { foreign, ours, failures, conflicts, later } = await ran("connected", "open");
    const free = ALL.filter((port) => !foreign.includes(port));
    expect(failures).toEqual([]);
    expect(ours).toEqual(Array(DESTINATIONS).fill(free));
    expect(conflicts).toBe(0);
    expect(later).toEqual(Array(DESTINATIONS).fill(ALL.length));
  });
});

function ran(holding: string, learning: string): Promise<Foreign> {
  return inside<Foreign>("foreign", holding, learning);
}
