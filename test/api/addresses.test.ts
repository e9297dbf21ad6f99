// Addresses as texts, bytes and numbers: the package's own parser against Node's and ipaddr.js.

import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { describe, expect, test } from "vitest";
import { type AddressLike, PortManager, TCP } from "../../bindings/index.ts";
import { Linux2632Ports } from "../../bindings/linux/rules/2.6.32/ports.ts";
import { parseAddress } from "../../bindings/requests/address.ts";
import { caught } from "../invalid-input/fixture.ts";

/** The canonical text, or `undefined`: it is no address. */
function textOf(value: AddressLike): string | undefined {
  try {
    return parseAddress("address", value).text;
  } catch {
    return undefined;
  }
}

/** The canonical text by URL and ipaddr.js, where Node takes the text. */
function expected(text: string): string | undefined {
  if (text === "") return "";
  if (!isIPv4(text) && !(isIPv6(text) && !text.includes("%"))) return undefined;
  // An IPv4 address at the end of an IPv6 address is two groups, as URL writes it.
  const address = ipaddr.process(
    isIPv4(text) ? text : new URL(`http://[${text}]`).hostname.slice(1, -1),
  );
  const isAny = address.toByteArray().every((byte) => byte === 0);
  return isAny ? "" : address.toString();
}

const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
const piece = fc.constantFrom(":", "::", ".", "0", "00", "1", "ff", "FFFF", "10000", "255", "256");
const mutated = fc
  .tuple(fc.oneof(fc.ipV6(), fc.ipV4()), fc.nat(), piece)
  .map(([text, at, put]) => text.slice(0, at % text.length) + put + text.slice(at % text.length));
const texts = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  mutated,
  fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
  fc.array(group, { minLength: 6, maxLength: 9 }).map((groups) => groups.join(":")),
  fc.tuple(fc.ipV4(), fc.constantFrom("::", "::ffff:", "1:2:3:4:5:6:")).map(([v4, v6]) => v6 + v4),
);

describe("the parser of addresses", () => {
  test("takes the texts that Node takes, and gives the canonical text of ipaddr.js", () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(textOf(text)).toBe(expected(text));
      }),
      { numRuns: 20_000 },
    );
  });

  test.each([
    "1::",
    "::1",
    "::",
    "::ffff:0.0.0.0",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "FE80::A",
  ])("takes %s", (text) => expect(textOf(text)).toBe(expected(text)));

  test.each([":", ":::", "1:", ":1", "1:2:3:4:5:6:7:8:9", "1::2::3", "::1.2.3", "::1.2.3.4.5"])(
    "refuses %s",
    (text) => expect([expected(text), textOf(text)]).toEqual([undefined, undefined]),
  );

  test.each(["1.2.3", "01.2.3.4", "1.2.3.4.", ".1.2.3.4", "1..2.3", "1.2.3.256", "1.2.3.4 "])(
    "refuses %s",
    (text) => expect([expected(text), textOf(text)]).toEqual([undefined, undefined]),
  );
});

test("bytes and numbers are the addresses that the same texts are", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => {
      const text = [...bytes].join(".");
      const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      const { words } = parseAddress("address", text);
      expect(parseAddress("address", bytes).words).toEqual(words);
      expect(parseAddress("address", number).words).toEqual(words);
      expect(textOf(number)).toBe(expected(text));
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const text = new ipaddr.IPv6([...bytes]).toString();
      expect(parseAddress("address", bytes).words).toEqual(parseAddress("address", text).words);
    }),
  );
});

test("the any address is the same as text, bytes or number", () => {
  const forms = ["", "0.0.0.0", "::", 0, new Uint8Array(4), new Uint8Array(16)];
  forms.push(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0]));
  for (const form of forms) expect(textOf(form)).toBe("");
});

test("a manager and a Linux system take addresses in all forms", () => {
  using manager = PortManager.open();
  const one = { networks: [4], transport: TCP, port: 80 };
  const held = manager.reservePort({ ...one, address: Uint8Array.of(10, 0, 0, 1) });
  expect(held.address).toBe("10.0.0.1");
  expect(manager.isAvailable({ ...one, address: 0x0a000001 })).toBe(false);
  const destination = { address: 0x09090909, port: 443 };
  expect(manager.reserveTuple({ ...one, destination }).destination.address).toBe("9.9.9.9");
  using linux = Linux2632Ports.open({ localAddress: 0x7f000001 });
  expect(linux.socket().bind(Uint8Array.of(127, 0, 0, 1), 8080)).toBe(8080);
});

test("a caller's bytes are copied", () => {
  using manager = PortManager.open();
  const bytes = Uint8Array.of(10, 0, 0, 1);
  const held = manager.reservePort({ networks: [4], transport: TCP, address: bytes, port: 80 });
  bytes.fill(9);
  expect(held.address).toBe("10.0.0.1");
});

test("a zone id is refused, with the way to name an interface", () => {
  expect(caught(() => parseAddress("address", "fe80::1%eth0"))).toMatchObject({
    code: "ERR_INVALID_IP_ADDRESS",
    message: expect.stringContaining("bindToDevice"),
  });
});
