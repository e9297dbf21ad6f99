// What an operation charges must cover what it makes, in every shape that the record tree can have.

import { describe, expect, test } from "vitest";
import { PortManager } from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { freshModule } from "../support/builds.ts";

const debug = freshModule("debug");

describe.each([
  ["release", undefined],
  ["debug", debug],
] as const)("%s build", (_, module) => {
  const open = (memoryLimit: number): PortManager =>
    PortManager.open(module === undefined ? { memoryLimit } : { memoryLimit, module });

  test("each of several new networks is charged, though only one can be the inline child", () => {
    const networks = Array.from({ length: 12 }, (_, index) => index + 1);
    for (let limit = 1024; limit < 6000; limit += 8) {
      using manager = open(limit);
      const { totals, ...before } = manager.stats();
      try {
        manager.reservePort({ networks, transport: 17, port: 80 });
        expect(manager.stats().counters).toBe(12);
      } catch (error) {
        expect(error).toMatchObject({ code: "ENOBUFS" });
        const refused = { ...totals.refused, NO_MEMORY: 1 };
        expect(manager.stats()).toEqual({ ...before, totals: { ...totals, refused } });
      }
      verify(manager);
    }
  });

  test("an aggregate of the any-address host is charged after its uncounted flow has gone", () => {
    for (let limit = 9000; limit < 40000; limit += 512) {
      using manager = open(limit);
      const reserve = (address: string, to: number, port: number): void => {
        const flags = { loadBalanced: true };
        const request = { networks: [4], transport: 17, address, flags, port };
        manager.reservePort({ ...request, destination: { port: to } });
      };
      let held = 0;
      try {
        reserve("10.0.0.1", 0, 9);
        reserve("10.0.0.2", 0, 1000);
        reserve("10.0.0.2", 80, 2000);
        held = 2;
        const request = { networks: [4], transport: 17, address: "10.0.0.2", port: 1000 };
        manager.releasePort({ ...request, flags: { loadBalanced: true } });
        for (let port = 3000; port < 3100; port++, held++) reserve("10.0.0.2", 80, port);
      } catch (error) {
        expect(error).toMatchObject({ code: "ENOBUFS" });
      }
      expect(manager.stats().counters).toBe(held);
      verify(manager);
    }
  });
});
