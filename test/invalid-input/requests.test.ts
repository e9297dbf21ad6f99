// Bad requests: whatever is wrong in a description, every call refuses it in the same way, says
// what is wrong, and changes nothing.

import { afterEach, beforeEach, describe, test } from "vitest";
import { TCP } from "../../bindings/index.ts";
import { BUILDS } from "../support/builds.ts";
import {
  all,
  BAD_ADDRESS,
  BAD_PORT,
  closeFixture,
  expectRefused,
  expectThrown,
  type Fixture,
  getting,
  OUT,
  openFixture,
  type Refused,
  RIGHT,
  type Row,
  says,
  TYPE,
  throwing,
  VALUE,
  wrong,
} from "./fixture.ts";

/** The calls that take a description, each with one that is right but for what is `patched`. */
const CALLS: readonly (readonly [string, (fixture: Fixture, request: never) => unknown])[] = [
  ["reservePort", ({ manager }, request) => manager.reservePort(request)],
  ["reserveTuple", ({ manager }, request) => manager.reserveTuple(request)],
  ["releasePort", ({ manager }, request) => manager.releasePort(request)],
  ["isAvailable", ({ manager }, request) => manager.isAvailable(request)],
  ["pool", ({ manager }, request) => manager.pool(withoutPort(request))],
];

/** Rows of a field's values. */
function are(refused: Refused, ...values: readonly unknown[]): Row[] {
  return all(refused, ...values).map(([name, ...rest]) => [`is ${name}`, ...rest]);
}

const REQUESTS: readonly Row[] = [
  ["nothing", undefined, says(TYPE, "request must be an object, got undefined")],
  ["a number", 80, says(TYPE, "got 80")],
  ["a text", "10.0.0.1:80", says(TYPE, 'got "10.0.0.1:80"')],
  ["an array", [RIGHT], says(TYPE, "got an array of 1")],
  ["a bigint", 80n, says(TYPE, "got 80n")],
  ["an empty object", {}, says(TYPE, "transport must be")],
  ...are(TYPE, null, () => RIGHT, Symbol("port"), new Map(Object.entries(RIGHT))),
];

const FIELDS: Readonly<Record<string, readonly Row[]>> = {
  networks: [
    ["are missing", undefined, says(TYPE, "networks must be an array")],
    ["are none", [], says(VALUE, "at least one")],
    ["are 17", Array.from({ length: 17 }, (_, index) => index), says(VALUE, "at most 16")],
    ["have a text", [4, "6"], says(TYPE, 'got "6"')],
    ["have a negative", [4, -6], says(OUT, "got -6")],
    ...are(TYPE, 4, "4", new Set([4]), Uint8Array.of(4), [4n], [null], new Array(3)),
    ...are(OUT, [4.5], [Number.NaN], [Number.POSITIVE_INFINITY], [2 ** 32]),
  ],
  transport: [
    ["is missing", undefined, says(TYPE, "transport must be")],
    ["is a name", "tcp", says(TYPE, 'got "tcp"')],
    ...are(TYPE, null, 6n, [6], true, Object(6)),
    ...are(OUT, -6, 6.5, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 32),
  ],
  address: [
    ["is a boolean", true, says(TYPE, "address must be an IP address")],
    ["is a negative number", -1, says(OUT, "an IPv4 address in 0..4294967295")],
    ["has three bytes", Uint8Array.of(1, 2, 3), says(BAD_ADDRESS, "4 or 16 bytes, got 3")],
    ["has a byte of 999", "999.1.1.1", says(BAD_ADDRESS, 'got "999.1.1.1"')],
    ["has a zone id", "fe80::1%eth0", says(BAD_ADDRESS, "bindToDevice")],
    ["has a zone id behind ::1", "::1%eth0", says(BAD_ADDRESS, "bindToDevice")],
    ["is long", "a".repeat(100_000), says(BAD_ADDRESS, "...")],
    ...are(OUT, 2 ** 32, 0.5),
    ...are(TYPE, Uint16Array.of(1, 2, 3, 4), null, [127, 0, 0, 1], Object("127.0.0.1")),
    ...are(BAD_ADDRESS, "1.2.3", "1.2.3.4.5", "010.0.0.1", "0x7f.0.0.1", "2130706433", "1..2.3"),
    ...are(BAD_ADDRESS, " 10.0.0.1", "10.0.0.1\n", "１.2.3.4", "1.2.3.4:80", "10.0.0.0/8", "[::1]"),
    ...are(BAD_ADDRESS, "::1::", "1:2:3:4:5:6:7:8:9", "::12345", ":", "::ffff:999.1.1.1"),
    ...are(BAD_ADDRESS, "localhost", "gvisor.dev"),
  ],
  bindToDevice: [
    ["is a name", "eth0", says(TYPE, "bindToDevice must be")],
    ...are(TYPE, null, 1n),
    ...are(OUT, -1, 1.5, Number.NaN, 2 ** 31),
  ],
  destination: [
    ["is a text", "9.9.9.9:443", says(TYPE, "destination must be an object")],
    ["has a wrong name", { adress: "9.9.9.9" }, says(VALUE, "known are ")],
    ["has a strange name", { gateway: "9.9.9.9" }, says(VALUE, "known are address, port")],
    ["has a bad address", { address: "9.9.9" }, says(BAD_ADDRESS, "destination.address")],
    ["has a negative port", { port: -1 }, says(BAD_PORT, "destination.port")],
    ["has a text as port", { port: "443" }, says(TYPE, "0..65535")],
    ...are(TYPE, null, ["9.9.9.9", 443], { port: null }),
    ...are(OUT, { address: 2 ** 32 }),
    ...are(BAD_PORT, { port: 65536 }, { port: 1.5 }, { port: Number.NaN }),
  ],
  flags: [
    ["are a number", 4, says(TYPE, "flags must be an object")],
    ["have a wrong name", { tupleonly: true }, says(VALUE, "known are ")],
    ["have 1 for true", { loadBalanced: 1 }, says(TYPE, "loadBalanced must be a boolean")],
    ...are(TYPE, null, ["tupleOnly"], { mostRecent: null }),
  ],
  reuseAddr: [
    ["is a text", "yes", says(TYPE, "reuseAddr must be a boolean")],
    ["is 1", 1, TYPE],
    ["is null", null, TYPE],
  ],
  reusePort: [["is 0", 0, says(TYPE, "reusePort must be a boolean")]],
  // Names that no word knows.
  adress: [["is no name", "10.0.0.1", says(VALUE, "known are ")]],
  bindToDevise: [["is no name", 1, says(VALUE, "known are ")]],
  destinaton: [["is no name", {}, says(VALUE, "known are ")]],
  TRANSPORT: [["is no name", 6, says(VALUE, "known are ")]],
  reuseport: [["is no name", true, says(VALUE, "known are ")]],
  interface: [["is no name", "eth0", says(VALUE, "known are networks, transport")]],
};

const PATCHES: readonly (readonly [string, object, Refused])[] = [
  ["flags and reuseAddr", { flags: {}, reuseAddr: true }, says(VALUE, "give one of them")],
  ["flags and reusePort", { flags: { tupleOnly: true }, reusePort: false }, VALUE],
  ["reuseAddr on transport 33", { transport: 33, reuseAddr: true }, says(VALUE, "give flags")],
];

const PORTS: readonly Row[] = [
  ["is negative", -1, says(BAD_PORT, "got -1")],
  ["is a text", "80", says(TYPE, 'got "80"')],
  ["is a bigint", 80n, says(TYPE, "got 80n")],
  ...are(BAD_PORT, 65536, 80.5, Number.NaN, Number.POSITIVE_INFINITY),
  ...are(TYPE, null, [80], true, { valueOf: () => 80 }),
];

/** Where a port must be named: port 0 asks for any, and is no key. */
const NO_PORTS: readonly Row[] = [
  ["is missing", undefined, says(BAD_PORT, "1..65535")],
  ["is 0", 0, says(BAD_PORT, "got 0")],
  ["is -0", -0, BAD_PORT],
];

const OFFSETS: readonly Row[] = [
  ...are(OUT, -1, 0.5, Number.NaN, 2 ** 32),
  ...are(TYPE, "5", null, 5n),
];

describe.each(BUILDS)("%s build", (build) => {
  let fixture: Fixture;
  beforeEach(() => {
    fixture = openFixture(build);
  });
  afterEach(() => {
    closeFixture(fixture);
  });

  describe.each(CALLS)("%s", (word, ask) => {
    test.each(REQUESTS)("refuses a request: %s", (_name, request, refused) => {
      expectRefused(fixture, (fixture) => ask(fixture, wrong(request)), refused);
    });

    const rows = Object.entries(FIELDS).flatMap(([field, rows]) =>
      rows.map(([name, value, refused]) => [field, name, value, refused] as const),
    );
    test.each(rows)("refuses when %s %s", (field, _name, value, refused) => {
      expectRefused(
        fixture,
        (fixture) => ask(fixture, wrong({ ...RIGHT, [field]: value })),
        refused,
      );
    });

    test.each(PATCHES)("refuses %s", (_name, patch, refused) => {
      expectRefused(fixture, (fixture) => ask(fixture, wrong({ ...RIGHT, ...patch })), refused);
    });

    test("passes on what a getter throws", () => {
      const error = new Error("mine");
      for (const field of [...Object.keys(RIGHT), "address", "flags", "reuseAddr"]) {
        if (word === "pool" && field === "port") continue;
        const request = { ...RIGHT };
        getting(request, field, throwing(error));
        expectThrown(fixture, (fixture) => ask(fixture, wrong(request)), error);
      }
    });

    test("passes on what a proxy throws", () => {
      const error = new Error("mine");
      const fails = throwing(error);
      for (const trap of ["get", "ownKeys"]) {
        const request = new Proxy({ ...RIGHT }, { [trap]: fails });
        expectThrown(fixture, (fixture) => ask(fixture, wrong(request)), error);
      }
    });
  });

  describe.each(CALLS.slice(0, 4))("%s", (_word, ask) => {
    test.each(PORTS)("refuses when port %s", (_name, port, refused) => {
      expectRefused(fixture, (fixture) => ask(fixture, wrong({ ...RIGHT, port })), refused);
    });
  });

  describe.each(CALLS.slice(1, 4))("%s", (_word, ask) => {
    test.each(NO_PORTS)("refuses when port %s", (_name, port, refused) => {
      expectRefused(fixture, (fixture) => ask(fixture, wrong({ ...RIGHT, port })), refused);
    });

    test("has no offset", () => {
      const request = wrong<never>({ ...RIGHT, offset: 0 });
      expectRefused(fixture, (fixture) => ask(fixture, request), says(VALUE, 'no option "offset"'));
    });
  });

  describe("reservePort", () => {
    test.each(OFFSETS)("refuses when offset %s", (_name, offset, refused) => {
      const request = wrong<never>({ ...RIGHT, port: 0, offset });
      expectRefused(fixture, ({ manager }) => manager.reservePort(request), refused);
    });

    test("refuses an offset beside a port", () => {
      const refused = says(VALUE, "give one of them");
      expectRefused(
        fixture,
        ({ manager }) => manager.reservePort({ ...RIGHT, offset: 0 }),
        refused,
      );
    });

    test.each([5, null, {}, "yes", Promise.resolve(true)])("refuses %s as tester", (tester) => {
      for (const request of [RIGHT, { networks: [4], transport: TCP }]) {
        const refused = says(TYPE, "test must be a function");
        expectRefused(
          fixture,
          ({ manager }) => manager.reservePort(request, wrong(tester)),
          refused,
        );
      }
    });
  });

  describe("pool", () => {
    test.each([
      ["port is there", { port: 80 }, says(VALUE, 'no option "port"')],
      ["offset is there", { offset: 0 }, says(VALUE, 'no option "offset"')],
      ["picking is a wrong word", { mode: "both" }, says(VALUE, '"bind" or "connect"')],
      ["picking is null", { mode: null }, VALUE],
      ["unique is a text", { unique: "yes" }, says(TYPE, "unique must be a boolean")],
      ["uniqe is no name", { uniqe: true }, says(VALUE, "known are ")],
    ] as const)("refuses when %s", (_name, patch, refused) => {
      const options = wrong<never>({ networks: [4], transport: TCP, ...patch });
      expectRefused(fixture, ({ manager }) => manager.pool(options), refused);
    });
  });
});

/** A pool is not about one port; anything that is no request stays what it is. */
function withoutPort(request: unknown): never {
  const isRecord = typeof request === "object" && request !== null && "port" in request;
  if (!isRecord) return request as never;
  Reflect.deleteProperty(request, "port");
  return request as never;
}
