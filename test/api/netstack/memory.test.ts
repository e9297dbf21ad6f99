// Memory that pools leave when their ports come back: bitmaps and pages of extra counts are freed
// where memory is limited, and where few ports are held.

import { describe, expect, test } from "vitest";
import { UDP } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, openOn } from "../../support/builds.ts";

const KEY = { networks: [4], transport: UDP };

describe.each(BUILDS)("%s build", (build) => {
  test("where memory is limited an empty pool leaves its bitmap to others", () => {
    using manager = openOn(build, { memoryLimit: 12000 });
    const idle = manager.pool({ ...KEY, destination: { address: "9.9.9.9", port: 1 } });
    const busy = manager.pool({ ...KEY, networks: [6] });
    const ports = new Uint16Array(100);
    for (const give of [
      () => idle.freeMany(ports),
      () => ports.forEach((port) => void idle.free(port)),
    ]) {
      const { used } = manager.stats().memory;
      expect(idle.takeMany(ports)).toBe(100);
      give();
      expect(manager.stats().memory.used).toBe(used);
    }
    expect(busy.takeMany(ports)).toBe(100);
  });

  test("where memory is limited the aggregate of several addresses leaves its bitmap to others", () => {
    using manager = openOn(build, { memoryLimit: 60000 });
    const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    const pools = addresses.map((address) => manager.pool({ ...KEY, address }));
    const ports = new Uint16Array(100);
    for (const pool of pools) pool.take();
    const { used } = manager.stats().memory;
    for (const pool of pools) {
      expect(pool.takeMany(ports)).toBe(100);
      for (const port of ports) expect(pool.free(port)).toBe(true);
      expect(manager.stats().memory.used).toBeLessThan(used + 1000);
    }
    verify(manager);
  });

  test("several addresses that hold one port after the other leave no pages behind", () => {
    using manager = openOn(build);
    const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    const pools = addresses.map((address) => manager.pool({ ...KEY, address }));
    for (const pool of pools) pool.takeAt(60_000);
    const { used } = manager.stats().memory;
    for (let port = 1024; port < 60_000; port += 64) {
      for (const pool of pools) pool.takeAt(port);
      for (const pool of pools) expect(pool.free(port)).toBe(true);
    }
    // 4,104 bytes are the page table, which came with the second page and stays with the first.
    expect(manager.stats().memory.used).toBeLessThan(used + 5000);
    verify(manager);
  });
});
