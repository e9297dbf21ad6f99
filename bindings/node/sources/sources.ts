// Sources: the local addresses that connections come from, as text that names one, a range of
// them, or a block (RFC 4632).

import { isIP } from "node:net";
import ipaddr from "#ipaddr";
import { invalid, outOfRange, show, wrongType, wrongValue } from "../../errors.ts";
import { parseAddress } from "../../requests/address.ts";

/** Addresses that one set may have. */
const SOURCES_MAX = 65_536;
const VALID = 'an address, a range "10.0.0.1-10.0.0.9" or a block "10.0.0.0/28"';

/**
 * The addresses that a text or a list of texts names, in order, each once, as canonical text.
 *
 * - `"10.0.0.1"`, `"2001:db8::1"`: that address.
 * - `"10.0.0.1-10.0.0.9"`: both ends and all between.
 * - `"10.0.0.0/28"`: the addresses of the block; of an IPv4 block of more than two addresses not
 *   the first and the last, which no host may have (RFC 1122 § 3.2.1.3). Of an IPv6 block all.
 *
 * Several may stand in one text, apart by commas. 65,536 addresses at most.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_IP_ADDRESS`, `ERR_INVALID_ARG_VALUE` (no
 * address, 0.0.0.0 or ::, ends that do not fit), `ERR_OUT_OF_RANGE` (too many).
 */
export function parseSources(sources: string | readonly string[]): string[] {
  const texts = typeof sources === "string" ? [sources] : sources;
  if (!Array.isArray(texts)) throw wrongType("sources", `${VALID}, or a list of such`, sources);
  const found = new Set<string>();
  for (const text of texts) {
    if (typeof text !== "string") throw wrongType("sources", VALID, text);
    for (const part of text.split(",")) addPart(found, part.trim());
  }
  return [...found];
}

function addPart(found: Set<string>, part: string): void {
  if (part === "") throw wrongValue("sources", VALID, part);
  const [first, last] = endsOf(part);
  const count = last.value - first.value + 1n;
  if (count < 1n)
    throw wrongValue("sources", "a range whose first address is not above its last", part);
  if (count + BigInt(found.size) > SOURCES_MAX) {
    throw outOfRange("sources", `at most ${SOURCES_MAX} addresses`, part);
  }
  for (let value = first.value; value <= last.value; value++)
    found.add(textOf(value, first.family));
}

interface End {
  readonly family: number;
  readonly value: bigint;
}

function endsOf(part: string): [End, End] {
  if (part.includes("/")) return blockEnds(part);
  const [first = "", last = first, ...more] = part.split("-");
  if (more.length > 0) throw wrongValue("sources", VALID, part);
  const ends: [End, End] = [endAt(first.trim()), endAt(last.trim())];
  if (ends[0].family === ends[1].family) return ends;
  throw wrongValue("sources", "a range within IPv4 or within IPv6", part);
}

function blockEnds(part: string): [End, End] {
  const [base = "", length = "", ...more] = part.split("/");
  const { family, value } = endAt(base, true);
  const bits = family === 4 ? 32 : 128;
  const isLength = /^\d{1,3}$/.test(length) && Number(length) <= bits && more.length === 0;
  if (!isLength) throw wrongValue("sources", `a block with a length of 0..${bits}`, part);
  const size = 1n << BigInt(bits - Number(length));
  const first = value - (value % size);
  const edge = family === 4 && size > 2n ? 1n : 0n;
  return [
    { family, value: first + edge },
    { family, value: first + size - 1n - edge },
  ];
}

function endAt(text: string, isBase = false): End {
  if (text.includes("%")) throw wrongValue("sources", "addresses without a zone id", text);
  const address = parseAddress("sources", text);
  if (address.text === "" && !isBase) {
    const message = `sources must name addresses of this machine, not any address, got ${show(text)}`;
    throw invalid("ERR_INVALID_ARG_VALUE", message);
  }
  const canonical = address.text === "" ? text : address.text;
  const bytes = ipaddr.parse(canonical).toByteArray();
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family: isIP(canonical), value };
}

function textOf(value: bigint, family: number): string {
  const length = family === 4 ? 4 : 16;
  const bytes = Array.from({ length }, (_, index) =>
    Number((value >> BigInt(8 * (length - 1 - index))) & 255n),
  );
  return ipaddr.fromByteArray(bytes).toString();
}
