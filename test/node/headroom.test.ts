// Headroom: which ports of the system's range a connector keeps free, and which lie outside.

import fc from "fast-check";
import { expect, test } from "vitest";
import { portsToUse } from "../../bindings/node/connector/connector-options.ts";
import { type HostState, readHostState } from "../../bindings/node/host/host-state.ts";
import { connectorWith, errorOf, openMany, reset, serve } from "../support/connectors.ts";

const HOST: HostState = {
  ...readHostState("/no/such/folder"),
  portRange: { first: 32_768, last: 60_999 },
  reserved: "",
};
const PORTS = 28_232;

test("a tenth of the system's range is kept free by default, and counts in the list of reserved", () => {
  const { portRange, keptFree, reserved } = portsToUse({}, HOST);
  expect(portRange).toEqual(HOST.portRange);
  expect(keptFree).toHaveLength(2823);
  expect(reserved.size).toBe(2823);
  const kernelReserved = portsToUse({}, { ...HOST, reserved: "32768-46883" });
  expect(kernelReserved.keptFree).toHaveLength(1411);
  expect(kernelReserved.keptFree.every((port) => port > 46_883)).toBe(true);
  const small = { ...HOST, portRange: { first: 40_000, last: 42_559 } };
  expect(portsToUse({}, small).keptFree).toHaveLength(256);
});

test("any headroom leaves so many ports of the range unused, and a smaller one a part of them", () => {
  const number = fc.nat({ max: PORTS / 4 });
  const range = fc
    .tuple(fc.integer({ min: 30_000, max: 62_000 }), fc.integer({ min: 30_000, max: 62_000 }))
    .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
  const check = (a: number, b: number, portRange: { first: number; last: number }): void => {
    const [few, many] = [Math.min(a, b), Math.max(a, b)].map(
      (headroom) => portsToUse({ headroom, portRange }, HOST).keptFree,
    ) as [number[], number[]];
    const isAmong = new Set(many);
    expect(few.every((port) => isAmong.has(port))).toBe(true);
    const first = Math.max(portRange.first, 32_768);
    const used = Math.max(0, Math.min(portRange.last, 60_999) - first + 1) - many.length;
    expect(PORTS - used).toBeGreaterThanOrEqual(Math.max(a, b));
    // No more than is needed.
    expect(many.length === 0 || PORTS - used === Math.max(a, b)).toBe(true);
  };
  fc.assert(fc.property(number, number, range, check), { numRuns: 40 });
});

test.each([100, 2823, 7058])("%i ports lie apart evenly, at odd and even offsets", (headroom) => {
  const { keptFree } = portsToUse({ headroom }, HOST);
  const gaps = keptFree.slice(1).map((port, index) => port - (keptFree[index] as number));
  // Pairs: of the same width in between, but for the three lengths that the golden ratio makes.
  expect(Math.max(...gaps)).toBeLessThan((2 * 2.7 * PORTS) / headroom);
  expect(keptFree.filter((port) => port % 2 === 0)).toHaveLength(headroom / 2 + (headroom % 2) / 2);
});

test('"outside" is below the system\'s range, without what is reserved or listened on', () => {
  const row = { address: "127.0.0.1", remoteAddress: "0.0.0.0", remotePort: 0 };
  const host: HostState = {
    ...{ ...HOST, reserved: "2000-2009", unprivilegedPortStart: 1024 },
    tcp: [
      { ...row, state: "LISTEN", port: 5432 },
      { ...row, state: "ESTABLISHED", remotePort: 80, port: 6000 },
    ],
    udp: [{ ...row, state: "UNKNOWN", port: 5353 }],
  };
  const { portRange, keptFree, reserved } = portsToUse({ portRange: "outside" }, host);
  expect(portRange).toEqual({ first: 1024, last: 32_767 });
  expect(keptFree).toEqual([]);
  expect(reserved.text).toBe("2000-2009,5353,5432");
  const low = { ...host, portRange: { first: 1024, last: 65_535 } };
  expect(() => portsToUse({ portRange: "outside" }, low)).toThrow(
    expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" }),
  );
});

test("a port from which a connection would be one to itself is no capacity", async () => {
  const { port, to } = await serve({ host: "127.0.0.1", port: 23_003 });
  const connector = connectorWith({ sources: "127.0.0.1" });
  expect(connector.capacity()).toMatchObject({ perDestination: 8 });
  const open = await openMany(connector, to, 7);
  const error = await errorOf(connector.connect(to));
  expect(error.capacity).toMatchObject({ connections: 7, perDestination: 7, perPair: 8 });
  expect(error.message).toContain("can carry 7 to each destination");
  expect(connector.capacity()).toMatchObject({ connections: 7, perDestination: 7 });
  // Of three destinations, the one that is known and its own two others that are not.
  expect(connector.capacity(3)).toMatchObject({ connections: 23 });
  expect(connector.capacity(3, 6)).toMatchObject({ connections: 0, perDestination: 0 });
  const { byDestination } = connector.metrics();
  expect(byDestination[`127.0.0.1:${port}`]).toMatchObject({ held: 7, capacity: 7, left: 0 });
  await reset(...open);
});
