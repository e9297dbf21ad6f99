// Sources: the local addresses that connections come from, as text that names one, a range of
// them, a block (RFC 4632), an interface, or the wildcard.

import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { isRevoked } from "../../core/brands.ts";
import { invalid, outOfRange, show, wrongType, wrongValue } from "../../errors.ts";
import { groupsIn, groupsOf, groupsText, parseAddress } from "../../requests/address.ts";

/** Addresses that one set may have. */
const SOURCES_MAX = 65_536;
/** Addresses of an IPv6 block that is not listed. */
const BLOCK_MAX = 1n << 64n;
const VALID =
  'an address, a range "10.0.0.1-10.0.0.9", a block "10.0.0.0/28" or the name of an interface';
const LINK_LOCAL = /^fe[89ab][0-9a-f]:/;

/**
 * The addresses that a text or a list of texts names, in order, each once, as canonical text.
 *
 * - `"10.0.0.1"`, `"2001:db8::1"`: that address.
 * - `"fe80::1%eth0"`: that link-local address, with its zone.
 * - `"10.0.0.1-10.0.0.9"`: both ends and all between.
 * - `"10.0.0.0/28"`: the addresses of the block; of an IPv4 block of more than two addresses not
 *   the first and the last, which no host may have (RFC 1122 § 3.2.1.3). Of an IPv6 block all.
 * - `"eth0"`: the addresses that the interface has now; link-local ones, with the zone, only where
 *   it has no others.
 * - `"0.0.0.0"`, `"::"`: the address that the route to the destination decides.
 *
 * Several may stand in one text, apart by commas. 65,536 addresses at most.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_IP_ADDRESS`, `ERR_INVALID_ARG_VALUE` (no
 * address, ends that do not fit, a zone without need), `ERR_OUT_OF_RANGE` (too many).
 */
export function parseSources(sources: string | readonly string[]): string[] {
  const found = new Set<string>();
  for (const part of partsOf(sources)) addPart(found, part);
  return [...found];
}

/** An IPv6 block that is not listed. */
export interface Block {
  /** As it is named: its first address and its length. */
  readonly text: string;
  readonly first: bigint;
  readonly size: bigint;
}

/**
 * The same for a connector, which takes IPv6 blocks of more addresses, too: /64 to /111.
 * @throws PortError as {@link parseSources}, and `ERR_INVALID_ARG_VALUE` for other IPv6 sources
 * beside such a block.
 */
export function parseSourcesAndBlocks(sources: string | readonly string[]): {
  addresses: readonly string[];
  blocks: readonly Block[];
} {
  const found = new Set<string>();
  const blocks = new Map<string, Block>();
  for (const part of partsOf(sources)) {
    const block = largeBlock(part);
    if (block === undefined) addPart(found, part);
    else blocks.set(block.text, block);
  }
  const addresses = [...found];
  const odd = blocks.size > 0 ? addresses.find((one) => one.includes(":")) : undefined;
  if (odd === undefined) return { addresses, blocks: [...blocks.values()] };
  throw wrongValue(
    "sources",
    "IPv6 blocks of more than 65,536 addresses, or other IPv6 sources",
    odd,
  );
}

function partsOf(sources: string | readonly string[]): string[] {
  const texts = typeof sources === "string" ? [sources] : sources;
  if (isRevoked(texts) || !Array.isArray(texts))
    throw wrongType("sources", `${VALID}, or a list of such`, sources);
  return texts.flatMap((text) => {
    if (typeof text !== "string") throw wrongType("sources", VALID, text);
    return text.split(",").map((part) => part.trim());
  });
}

/** A block of IPv6 that is too large for a list; `undefined`: the part is something else. */
function largeBlock(part: string): Block | undefined {
  if (!part.includes(":") || !part.includes("/")) return undefined;
  const [{ value: first }, { value: last }] = blockEnds(part);
  const size = last - first + 1n;
  if (size <= SOURCES_MAX) return undefined;
  if (size > BLOCK_MAX) throw outOfRange("sources", "an IPv6 block of /64 at most", part);
  return { text: `${addressOf(first, 6)}${part.slice(part.indexOf("/"))}`, first, size };
}

function addPart(found: Set<string>, part: string): void {
  if (part === "") throw wrongValue("sources", VALID, part);
  const single = (isIP(part) === 0 ? interfaceAddresses(part) : undefined) ?? singleAddress(part);
  if (single !== undefined) {
    checkCount(BigInt(single.length + found.size), part);
    for (const address of single) found.add(address);
    return;
  }
  const [first, last] = endsOf(part);
  const count = last.value - first.value + 1n;
  if (count < 1n)
    throw wrongValue("sources", "a range whose first address is not above its last", part);
  checkCount(count + BigInt(found.size), part);
  for (let value = first.value; value <= last.value; value++)
    found.add(addressOf(value, first.family));
}

function checkCount(count: bigint, part: string): void {
  if (count <= SOURCES_MAX) return;
  throw outOfRange("sources", `at most ${SOURCES_MAX} addresses`, part);
}

/** The addresses of the interface of that name, if there is one. */
function interfaceAddresses(name: string): string[] | undefined {
  const all = Object.entries(networkInterfaces()).find(([known]) => known === name)?.[1];
  if (all === undefined) return undefined;
  const routed = all.filter(({ address }) => !LINK_LOCAL.test(address));
  if (routed.length > 0) return routed.map(({ address }) => address);
  return all.map(({ address }) => `${address}%${name}`);
}

/** One address, a wildcard among them, perhaps with a zone. */
function singleAddress(part: string): string[] | undefined {
  if (part.includes("%")) return [withZone(part)];
  if (isIP(part) === 0) return undefined;
  return [parseAddress("sources", part).text || (part.includes(".") ? "0.0.0.0" : "::")];
}

/** @returns the canonical text of an address with a zone. */
function withZone(text: string): string {
  const at = text.indexOf("%");
  const address = parseAddress("sources", text.slice(0, at)).text;
  const zone = text.slice(at);
  if (LINK_LOCAL.test(address) && /^%[\w.:-]+$/.test(zone)) return address + zone;
  throw wrongValue("sources", 'addresses with a zone only if link-local, "fe80::1%eth0"', text);
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
  if (isIP(text) === 0)
    throw invalid("ERR_INVALID_IP_ADDRESS", `sources must be ${VALID}, got ${show(text)}`);
  const address = parseAddress("sources", text);
  if (address.text === "" && !isBase)
    throw wrongValue("sources", "a range without the wildcard address", text);
  const canonical = address.text === "" ? text : address.text;
  return { family: isIP(canonical), value: numberOf(canonical) };
}

/** An address as a number. */
export function numberOf(text: string): bigint {
  const groups = groupsIn(text) ?? groupsOf(parseAddress("sources", text).words).slice(-2);
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
}

/** A number as an address, in canonical form. */
export function addressOf(value: bigint, family: number): string {
  const [count, bits] = family === 4 ? [4, 8] : [8, 16];
  const parts = Array.from({ length: count }, (_, index) =>
    Number(BigInt.asUintN(bits, value >> BigInt(bits * (count - 1 - index)))),
  );
  return family === 4 ? parts.join(".") : groupsText(parts);
}
