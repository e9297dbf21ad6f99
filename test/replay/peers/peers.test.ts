// Cases from the test suites of gVisor, Kubernetes, moby and Nomad: the port manager, and an
// endpoint layer on it, answer what each suite expects.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { PortManager } from "../../../bindings/index.ts";
import { BUILDS, optionsFor } from "../../support/builds.ts";
import { Demuxer } from "./demuxer.ts";
import { type PeerCase, readCases, replayPeer } from "./files.ts";

const SOURCES = new URL("../../../test/replay/peers/", import.meta.url);
const NETSTACK = await readCases(vector("netstack"));
const ALLOCATORS = await readCases(vector("allocators"));
const MISSING = ALLOCATORS.filter(({ missing }) => missing !== undefined);
const CASES = [...NETSTACK, ...ALLOCATORS].filter((one) => !MISSING.includes(one));

test("the peers' cases are there, and three of them ask for what portwarden does not have", () => {
  expect(NETSTACK).toHaveLength(206);
  expect(ALLOCATORS).toHaveLength(65);
  const own = readFileSync(new URL("own-words.test.ts", SOURCES), "utf8");
  const without = MISSING.filter(({ id }) => !own.includes(`test("${id}"`));
  expect(MISSING).toHaveLength(10);
  expect(without.map(({ id }) => id)).toEqual([
    "kubernetes/portallocator/calculateRangeOffset",
    "nomad/network/Overcommitted",
    "nomad/network/yieldIP",
  ]);
});

describe.each(BUILDS)("the %s build answers as the peers' suites expect", (build) => {
  const options = optionsFor(build);

  test.each(CASES.map((one) => [one.id, one.source, one] as const))("%s (%s)", (_id, _s, one) => {
    expect(replayPeer(one, options)).toBeUndefined();
  });
});

describe("the comparison with the peers' suites finds", () => {
  test("a port manager that shares any port", () => {
    const { reservePort } = PortManager.prototype;
    PortManager.prototype.reservePort = function (request, test) {
      return reservePort.call(this, { ...request, flags: { tupleOnly: true } }, test);
    };
    try {
      expect(mismatching(NETSTACK).length).toBeGreaterThan(30);
    } finally {
      PortManager.prototype.reservePort = reservePort;
    }
  });

  test("an endpoint layer that never asks its demuxer", () => {
    const { allows } = Demuxer.prototype;
    Demuxer.prototype.allows = () => true;
    try {
      const found = mismatching(NETSTACK);
      expect(found.some((id) => id.includes("TCPConnectionReuseAddrConflicts"))).toBe(true);
    } finally {
      Demuxer.prototype.allows = allows;
    }
  });

  test("a case whose answer is another", () => {
    const changed = ALLOCATORS.map((one) => ({ ...one, expected: one.expected.map(other) }));
    const found = mismatching(changed.filter(({ missing }) => missing === undefined));
    expect(found.length).toBeGreaterThan(50);
  });
});

function mismatching(cases: readonly PeerCase[]): string[] {
  return cases.filter((one) => replayPeer(one, {}) !== undefined).map(({ id }) => id);
}

/** An answer that nothing gives. */
function other(expected: unknown): unknown {
  return expected === null ? null : "ENOTHING";
}

function vector(name: string): string {
  return new URL(`../../vectors/peers/${name}.json.gz`, import.meta.url).pathname;
}
