// Connections that come and go below listeners: each takes over the records of the one before it,
// and the reference model, which has no such records, gives the same answers.

import fc from "fast-check";
import { expect, test } from "vitest";
import { IPV4, PortManager, TCP } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { ReferencePortManager } from "../../models/reference-manager.ts";
import { optionsFor } from "../../support/builds.ts";

const PORT = 443;
const FLAGS = [0, 4, 6] as const;
/** The first is in the space's inline host; the others are counted by the any-address aggregate. */
const LOCALS = ["10.0.0.1", "10.0.0.2", ""] as const;
const PEER = 0x0a090000;

const operations = fc.record({
  what: fc.constantFrom("accept", "accept", "close", "bind"),
  local: fc.nat({ max: LOCALS.length - 1 }),
  peer: fc.nat({ max: 40 }),
  flags: fc.constantFrom(4, 4, 4, 4, ...FLAGS),
});
type Operation = typeof operations extends fc.Arbitrary<infer T> ? T : never;
const sequences = fc.array(operations, { minLength: 60, maxLength: 200 });

/** How the answers of a manager differ from those of the model, or nothing. */
function differenceIn(all: readonly Operation[], closed = (peer: number) => peer) {
  using manager = PortManager.open(optionsFor("debug"));
  const model = new ReferencePortManager();
  const common = { networks: [IPV4], transport: TCP, port: PORT };
  for (const [index, { what, local, peer, flags }] of all.entries()) {
    const address = LOCALS[local] as string;
    const named = { mostRecent: (flags & 1) > 0, tupleOnly: (flags & 4) > 0 };
    const loadBalanced = (flags & 2) > 0;
    const request = { ...common, address, flags: { ...named, loadBalanced } };
    const text = { ...common, address, device: 0, flags, destination: { address: "", port: 0 } };
    const towards = { ...text, destination: { address: `10.9.0.${peer}`, port: 1 + peer } };
    const handle = manager.listener(request);
    const [ours, theirs] =
      what === "accept"
        ? [handle.accept(PEER + peer, 1 + peer) > 0, model.reserveTuple(towards)]
        : what === "close"
          ? [handle.close(PEER + peer, 1 + closed(peer)), model.releasePort(towards)]
          : [manager.isAvailable(request), model.isAvailable(text)];
    if (ours !== theirs) return `${what} at ${index}: ${ours}, and ${theirs} by the model`;
  }
  verify(manager);
  const { counters, references } = manager.stats();
  const sums = model.stats();
  return counters === sums.counters && references === sums.references ? undefined : "figures";
}

test("connections below several listeners are held and released as by the model", () => {
  fc.assert(
    fc.property(sequences, (all) => {
      expect(differenceIn(all)).toBe(undefined);
    }),
    { numRuns: 150 },
  );
});

test("connections of which one is closed in the place of another differ from the model's", () => {
  const wrong = fc.check(
    fc.property(sequences, (all) => differenceIn(all, (peer) => peer | 1) === undefined),
    { numRuns: 50, endOnFailure: true },
  );
  expect(wrong.failed).toBe(true);
});

test("a connection that takes over another's records leaves as little memory behind", () => {
  using manager = PortManager.open();
  const before = manager.stats().memory.used;
  const flags = { tupleOnly: true };
  const handle = manager.listener({ networks: [IPV4], transport: TCP, port: PORT, flags });
  for (let peer = 1; peer <= 100; peer++) handle.accept(PEER + peer, peer);
  const { used } = manager.stats().memory;
  for (let peer = 101; peer <= 1000; peer++) {
    expect(handle.close(PEER + peer - 100, peer - 100)).toBe(true);
    expect(handle.accept(PEER + peer, peer)).toBe(PORT);
  }
  expect(manager.stats().memory.used).toBe(used);
  for (let peer = 901; peer <= 1000; peer++) handle.close(PEER + peer, peer);
  expect(manager.stats().memory.used).toBe(before);
});
