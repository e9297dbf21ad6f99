// PortListener: the same as reserveTuple and releasePort, for every form of an address.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AddressLike,
  IPV4,
  IPV6,
  type ListenerRequest,
  PortManager,
  Refusal,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { caught, codeOf } from "../../invalid-input/fixture.ts";

const WEB = { networks: [IPV4], transport: TCP, address: "10.0.0.1", port: 443 };

/** Remote ends by their number, each in several forms. */
const PEERS: readonly (readonly [string, ...AddressLike[]])[] = [
  ["10.9.0.1", 0x0a090001, Uint8Array.of(10, 9, 0, 1), "::ffff:10.9.0.1"],
  ["255.255.255.255", 0xffffffff, Uint8Array.of(255, 255, 255, 255)],
  ["2001:db8::1", bytesOf(0x20, 0x01, 0x0d, 0xb8), "2001:db8:0::1"],
  ["10.9.0.1", bytesOf(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 9, 0)],
];

/** Sixteen bytes that end with 1. */
function bytesOf(...bytes: number[]): Uint8Array {
  const all = new Uint8Array(16);
  all.set(bytes);
  all[15] = 1;
  return all;
}

const listeners: fc.Arbitrary<ListenerRequest> = fc.record({
  networks: fc.constantFrom([IPV4], [IPV6], [IPV4, IPV6]),
  transport: fc.constantFrom(TCP, UDP),
  address: fc.constantFrom("10.0.0.1", "", "2001:db8::9"),
  bindToDevice: fc.constantFrom(0, 3),
  port: fc.constantFrom(80, 443),
  flags: fc.record({ tupleOnly: fc.boolean(), mostRecent: fc.boolean() }),
});

const operations = fc.record({
  what: fc.constantFrom("accept", "accept", "close", "reserve", "release"),
  by: fc.nat({ max: 2 }),
  peer: fc.nat({ max: PEERS.length - 1 }),
  form: fc.nat({ max: 3 }),
  port: fc.constantFrom(1, 50_000, 65_535),
});
type Operation = typeof operations extends fc.Arbitrary<infer T> ? T : never;

type Tuples = Pick<ReturnType<PortManager["listener"]>, "accept" | "close">;

/** A listener's connections by descriptions, without a handle. */
function byDescription(manager: PortManager, request: ListenerRequest): Tuples {
  const towards = (address: AddressLike, port: number) => ({
    ...request,
    destination: { address, port },
  });
  return {
    accept(address, port) {
      const kept = codeOf(() => manager.reserveTuple(towards(address, port)));
      return kept === "EADDRINUSE" ? Refusal.IN_USE : request.port;
    },
    close: (address, port) => manager.releasePort(towards(address, port)),
  };
}

type Opener = (manager: PortManager, request: ListenerRequest) => Tuples;

/** What the operations answer, one after the other, with all figures. */
function answersOf(requests: readonly ListenerRequest[], all: readonly Operation[], open: Opener) {
  using manager = PortManager.open();
  const tuples = requests.map((request) => open(manager, request));
  return all.map(({ what, by, peer, form, port }) => {
    const request = requests[by] as ListenerRequest;
    const forms = PEERS[peer] as readonly AddressLike[];
    const address = forms[form % forms.length] as AddressLike;
    let answer: unknown;
    if (what === "accept") answer = tuples[by]?.accept(address, port);
    else if (what === "close") answer = tuples[by]?.close(address, port);
    else if (what === "release") answer = manager.releasePort(request);
    else answer = codeOf(() => manager.reservePort(request));
    const { descriptors, counters, references } = manager.stats();
    return [answer, descriptors, counters, references];
  });
}

describe("a listener handle", () => {
  const requests = fc.tuple(listeners, listeners, listeners);
  const sequences = fc.array(operations, { maxLength: 40 });
  const byHandle: Opener = (manager, request) => manager.listener(request);

  test("answers as reserveTuple and releasePort do, whatever else is held", () => {
    fc.assert(
      fc.property(requests, sequences, (three, all) => {
        expect(answersOf(three, all, byHandle)).toEqual(answersOf(three, all, byDescription));
      }),
      { numRuns: 700 },
    );
  });

  test("that closes another connection than it was told is found by that", () => {
    const wrong: Opener = (manager, request) => {
      const handle = manager.listener(request);
      return {
        accept: (address, port) => handle.accept(address, port),
        close: (address, port) => handle.close(address, port === 1 ? 2 : port),
      };
    };
    const found = fc.check(
      fc.property(requests, sequences, (three, all) => {
        expect(answersOf(three, all, wrong)).toEqual(answersOf(three, all, byDescription));
      }),
      { numRuns: 1500, endOnFailure: true },
    );
    expect(found.failed).toBe(true);
  });

  test("holds nothing itself, and its connections outlive it", () => {
    using manager = PortManager.open();
    const listener = manager.listener({ ...WEB, address: "" });
    expect(listener).toMatchObject({ port: 443, address: "0.0.0.0" });
    expect(manager.stats().references).toBe(0);
    expect(listener.accept(0x0a090001, 50_000)).toBe(443);
    expect(listener.accept("10.9.0.1", 50_000)).toBe(Refusal.IN_USE);
    expect(manager.listener({ ...WEB, address: "" }).close("10.9.0.1", 50_000)).toBe(true);
  });

  test("takes batches of numbers and of sixteen bytes, up to the first refusal", () => {
    using manager = PortManager.open();
    const listener = manager.listener(WEB);
    const ports = Uint16Array.of(1, 2, 3);
    const numbers = Uint32Array.of(7, 7, 8);
    const bytes = Uint8Array.of(...bytesOf(0x20), ...bytesOf(0x20), ...bytesOf(0x20));
    listener.accept(8, 3);
    expect(listener.acceptMany(numbers, ports)).toBe(2);
    expect(listener.acceptMany(bytes, ports)).toBe(3);
    expect(manager.stats().counters).toBe(6);
    expect(listener.closeMany(numbers, ports)).toBe(3);
    expect(listener.closeMany(numbers, ports)).toBe(0);
    expect(listener.closeMany(bytes, ports)).toBe(3);
    expect(manager.stats().counters).toBe(0);
  });

  test("of a manager that is full or closed says so", () => {
    const manager = PortManager.open({ memoryLimit: 4096 });
    const listener = manager.listener(WEB);
    let accepted = 0;
    while (listener.accept(1 + accepted, 9) > 0) accepted++;
    expect(accepted).toBeGreaterThan(5);
    expect(listener.accept(1 + accepted, 9)).toBe(Refusal.NO_MEMORY);
    manager.close();
    const closed = { code: "EBADF", reason: "closed" };
    expect(caught(() => listener.accept(1, 9))).toMatchObject(closed);
    expect(caught(() => listener.close(1, 9))).toMatchObject(closed);
    expect(caught(() => manager.listener(WEB))).toMatchObject(closed);
  });
});

describe("a listener handle refuses", () => {
  const one = Uint16Array.of(1);
  test.each<[string, (listener: ReturnType<PortManager["listener"]>) => unknown, string]>([
    ["the any address", (to) => to.accept("::", 1), "ERR_INVALID_ARG_VALUE"],
    ["the number 0", (to) => to.accept(0, 1), "ERR_INVALID_ARG_VALUE"],
    ["no address", (to) => to.accept(undefined as never, 1), "ERR_INVALID_ARG_TYPE"],
    ["a negative number", (to) => to.close(-1, 1), "ERR_OUT_OF_RANGE"],
    ["five bytes", (to) => to.close(new Uint8Array(5), 1), "ERR_INVALID_IP_ADDRESS"],
    ["port 0", (to) => to.accept(1, 0), "ERR_SOCKET_BAD_PORT"],
    ["a port that is no number", (to) => to.close(1, "1" as never), "ERR_INVALID_ARG_TYPE"],
    ["a list", (to) => to.acceptMany([1] as never, one), "ERR_INVALID_ARG_TYPE"],
    [
      "ports in a list",
      (to) => to.closeMany(new Uint32Array(1), [1] as never),
      "ERR_INVALID_ARG_TYPE",
    ],
    ["too few numbers", (to) => to.acceptMany(new Uint32Array(0), one), "ERR_OUT_OF_RANGE"],
    ["too few bytes", (to) => to.closeMany(new Uint8Array(15), one), "ERR_OUT_OF_RANGE"],
  ])("%s, and changes nothing", (_name, ask, code) => {
    using manager = PortManager.open();
    expect(caught(() => ask(manager.listener(WEB)))).toMatchObject({ code });
    expect(manager.stats().references).toBe(0);
  });

  test("a batch with one bad value before it accepts any", () => {
    using manager = PortManager.open();
    const listener = manager.listener(WEB);
    const ports = Uint16Array.of(1, 0);
    const error = caught(() => listener.acceptMany(Uint32Array.of(7, 7), ports));
    expect(error).toMatchObject({ code: "ERR_SOCKET_BAD_PORT" });
    expect(manager.stats().references).toBe(0);
  });

  test.each([
    ["a destination", { ...WEB, destination: {} }, "ERR_INVALID_ARG_VALUE"],
    ["a group", { ...WEB, group: undefined }, "ERR_INVALID_ARG_VALUE"],
    ["no port", { ...WEB, port: undefined }, "ERR_SOCKET_BAD_PORT"],
    ["nothing", undefined, "ERR_INVALID_ARG_TYPE"],
  ])("a description with %s", (_name, request, code) => {
    using manager = PortManager.open();
    expect(caught(() => manager.listener(request as never))).toMatchObject({ code });
  });
});
