// Bad requests: whatever is wrong in a description, every call refuses it in the same way, says
// what is wrong, and changes nothing.

import { afterEach, beforeEach, describe, test } from "vitest";
import { TCP } from "../../bindings/index.ts";
import { BUILDS } from "../support/builds.ts";
import {
  BAD_ADDRESS,
  BAD_PORT,
  closeFixture,
  expectRefused,
  expectThrown,
  type Fixture,
  OUT,
  openFixture,
  type Refused,
  RIGHT,
  TYPE,
  VALUE,
  wrong,
} from "./fixture.ts";

type Row = readonly [name: string, value: unknown, refused: Refused];

/** The calls that take a description, each with one that is right but for what is `patched`. */
const CALLS: readonly (readonly [string, (fixture: Fixture, request: never) => unknown])[] = [
  ["reservePort", ({ manager }, request) => manager.reservePort(request)],
  ["reserveTuple", ({ manager }, request) => manager.reserveTuple(request)],
  ["releasePort", ({ manager }, request) => manager.releasePort(request)],
  ["isAvailable", ({ manager }, request) => manager.isAvailable(request)],
  ["pool", ({ manager }, request) => manager.pool(withoutPort(request))],
];

const says = (refused: Refused, text: string): Refused => ({ ...refused, says: text });

const REQUESTS: readonly Row[] = [
  ["nothing", undefined, says(TYPE, "request must be an object, got undefined")],
  ["null", null, TYPE],
  ["a number", 80, says(TYPE, "got 80")],
  ["a text", "10.0.0.1:80", says(TYPE, 'got "10.0.0.1:80"')],
  ["an array", [RIGHT], says(TYPE, "got an array of 1")],
  ["a function", () => RIGHT, TYPE],
  ["a bigint", 80n, says(TYPE, "got 80n")],
  ["a symbol", Symbol("port"), TYPE],
  ["an empty object", {}, says(TYPE, "transport must be")],
  ["a map", new Map(Object.entries(RIGHT)), TYPE],
];

const FIELDS: Readonly<Record<string, readonly Row[]>> = {
  networks: [
    ["are missing", undefined, says(TYPE, "networks must be an array")],
    ["are a number", 4, TYPE],
    ["are a text", "4", TYPE],
    ["are a set", new Set([4]), TYPE],
    ["are a typed array", Uint8Array.of(4), TYPE],
    ["are none", [], says(VALUE, "at least one")],
    ["are 17", Array.from({ length: 17 }, (_, index) => index), says(VALUE, "at most 16")],
    ["have a text", [4, "6"], says(TYPE, 'got "6"')],
    ["have a bigint", [4n], TYPE],
    ["have null", [null], TYPE],
    ["have a hole", new Array(3), TYPE],
    ["have a fraction", [4.5], OUT],
    ["have a negative", [4, -6], says(OUT, "got -6")],
    ["have NaN", [Number.NaN], OUT],
    ["have infinity", [Number.POSITIVE_INFINITY], OUT],
    ["have 2^32", [2 ** 32], OUT],
  ],
  transport: [
    ["is missing", undefined, says(TYPE, "transport must be")],
    ["is a name", "tcp", says(TYPE, 'got "tcp"')],
    ["is null", null, TYPE],
    ["is a bigint", 6n, TYPE],
    ["is an array", [6], TYPE],
    ["is true", true, TYPE],
    ["is a boxed number", Object(6), TYPE],
    ["is negative", -6, OUT],
    ["is a fraction", 6.5, OUT],
    ["is NaN", Number.NaN, OUT],
    ["is infinite", Number.NEGATIVE_INFINITY, OUT],
    ["is 2^32", 2 ** 32, OUT],
  ],
  address: [
    ["is a boolean", true, says(TYPE, "address must be an IP address")],
    ["is a negative number", -1, says(OUT, "an IPv4 address in 0..4294967295")],
    ["is a number of 33 bits", 2 ** 32, OUT],
    ["is a part of a number", 0.5, OUT],
    ["has three bytes", Uint8Array.of(1, 2, 3), says(BAD_ADDRESS, "4 or 16 bytes, got 3")],
    ["is 16-bit numbers", Uint16Array.of(1, 2, 3, 4), TYPE],
    ["is null", null, TYPE],
    ["is an array of bytes", [127, 0, 0, 1], TYPE],
    ["is a boxed text", Object("127.0.0.1"), TYPE],
    ["has a byte of 999", "999.1.1.1", says(BAD_ADDRESS, 'got "999.1.1.1"')],
    ["has three parts", "1.2.3", BAD_ADDRESS],
    ["has five parts", "1.2.3.4.5", BAD_ADDRESS],
    ["has a leading zero", "010.0.0.1", BAD_ADDRESS],
    ["is hexadecimal", "0x7f.0.0.1", BAD_ADDRESS],
    ["is one number", "2130706433", BAD_ADDRESS],
    ["has an empty part", "1..2.3", BAD_ADDRESS],
    ["has a space before it", " 10.0.0.1", BAD_ADDRESS],
    ["has a line end behind it", "10.0.0.1\n", BAD_ADDRESS],
    ["has digits of another script", "１.2.3.4", BAD_ADDRESS],
    ["has a port", "1.2.3.4:80", BAD_ADDRESS],
    ["has a prefix length", "10.0.0.0/8", BAD_ADDRESS],
    ["has a zone id", "fe80::1%eth0", says(BAD_ADDRESS, "bindToDevice")],
    ["has a zone id behind ::1", "::1%eth0", says(BAD_ADDRESS, "bindToDevice")],
    ["has brackets", "[::1]", BAD_ADDRESS],
    ["has two gaps", "::1::", BAD_ADDRESS],
    ["has nine groups", "1:2:3:4:5:6:7:8:9", BAD_ADDRESS],
    ["has a group of five digits", "::12345", BAD_ADDRESS],
    ["is a colon", ":", BAD_ADDRESS],
    ["maps a bad IPv4 address", "::ffff:999.1.1.1", BAD_ADDRESS],
    ["is a host name", "localhost", BAD_ADDRESS],
    ["is a domain", "gvisor.dev", BAD_ADDRESS],
    ["is long", "a".repeat(100_000), says(BAD_ADDRESS, "...")],
  ],
  bindToDevice: [
    ["is a name", "eth0", says(TYPE, "bindToDevice must be")],
    ["is null", null, TYPE],
    ["is a bigint", 1n, TYPE],
    ["is negative", -1, OUT],
    ["is a fraction", 1.5, OUT],
    ["is NaN", Number.NaN, OUT],
    ["is 2^31", 2 ** 31, OUT],
  ],
  destination: [
    ["is a text", "9.9.9.9:443", says(TYPE, "destination must be an object")],
    ["is null", null, TYPE],
    ["is an array", ["9.9.9.9", 443], TYPE],
    ["has a wrong name", { adress: "9.9.9.9" }, says(VALUE, "known are ")],
    ["has a strange name", { gateway: "9.9.9.9" }, says(VALUE, "known are address, port")],
    ["has a bad address", { address: "9.9.9" }, says(BAD_ADDRESS, "destination.address")],
    ["has a number of 33 bits as address", { address: 2 ** 32 }, OUT],
    ["has a negative port", { port: -1 }, says(BAD_PORT, "destination.port")],
    ["has port 65536", { port: 65536 }, BAD_PORT],
    ["has a fraction as port", { port: 1.5 }, BAD_PORT],
    ["has NaN as port", { port: Number.NaN }, BAD_PORT],
    ["has a text as port", { port: "443" }, says(TYPE, "0..65535")],
    ["has null as port", { port: null }, TYPE],
  ],
  flags: [
    ["are a number", 4, says(TYPE, "flags must be an object")],
    ["are null", null, TYPE],
    ["are a list of names", ["tupleOnly"], TYPE],
    ["have a wrong name", { tupleonly: true }, says(VALUE, "known are ")],
    ["have 1 for true", { loadBalanced: 1 }, says(TYPE, "loadBalanced must be a boolean")],
    ["have null", { mostRecent: null }, TYPE],
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
  ["is 65536", 65536, BAD_PORT],
  ["is a fraction", 80.5, BAD_PORT],
  ["is NaN", Number.NaN, BAD_PORT],
  ["is infinite", Number.POSITIVE_INFINITY, BAD_PORT],
  ["is a text", "80", says(TYPE, 'got "80"')],
  ["is a bigint", 80n, says(TYPE, "got 80n")],
  ["is null", null, TYPE],
  ["is an array", [80], TYPE],
  ["is true", true, TYPE],
  ["is an object that is a number", { valueOf: () => 80 }, TYPE],
];

/** Where a port must be named: port 0 asks for any, and is no key. */
const NO_PORTS: readonly Row[] = [
  ["is missing", undefined, says(BAD_PORT, "1..65535")],
  ["is 0", 0, says(BAD_PORT, "got 0")],
  ["is -0", -0, BAD_PORT],
];

const OFFSETS: readonly Row[] = [
  ["is negative", -1, OUT],
  ["is a fraction", 0.5, OUT],
  ["is NaN", Number.NaN, OUT],
  ["is 2^32", 2 ** 32, OUT],
  ["is a text", "5", TYPE],
  ["is null", null, TYPE],
  ["is a bigint", 5n, TYPE],
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
    test.each(REQUESTS)("refuses %s as request", (_name, request, refused) => {
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
        Object.defineProperty(request, field, {
          enumerable: true,
          get: () => {
            throw error;
          },
        });
        expectThrown(fixture, (fixture) => ask(fixture, wrong(request)), error);
      }
    });

    test("passes on what a proxy throws", () => {
      const error = new Error("mine");
      const fails = (): never => {
        throw error;
      };
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
