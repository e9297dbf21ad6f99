// Addresses: from what callers give to the 16 bytes that the core compares, and to one canonical
// text.
//
// IPv4 is held as ::ffff:a.b.c.d, so an IPv4 address and its v4-mapped IPv6 form are one address,
// as a dual-stack socket treats them (RFC 4291 § 2.5.5.2). 0.0.0.0, :: and ::ffff:0.0.0.0 mean
// "any": all zero. A zone id names an interface, and interfaces are devices here, so it is refused.
//
// Parsing takes a fraction of a microsecond, as a stack gets a new peer with each connection, and
// addresses that were parsed lately are remembered. The text is made when it is asked for.

import { typedArrayName } from "../core/brands.ts";
import { invalid, outOfRange, show, wrongType, wrongValue } from "../errors.ts";

/**
 * An IP address: as text, `"10.0.0.1"` or `"2001:db8::1"`; as 4 or 16 bytes in network order, which
 * are copied; or an IPv4 address as a number, 0..4294967295, so that 0x0a000001 is 10.0.0.1.
 */
export type AddressLike = string | Uint8Array | number;

type Words = readonly [number, number, number, number];

/** A parsed address. */
export class Address {
  /** The 16 bytes in network order, as four words of a little-endian machine. */
  readonly words: Words;
  #text: string | undefined;

  constructor(words: Words, text?: string) {
    this.words = words;
    this.#text = text;
  }

  /** Canonical text (RFC 5952), or "" for any. */
  get text(): string {
    this.#text ??= textOf(this.words);
    return this.#text;
  }
}

export const ANY: Address = new Address([0, 0, 0, 0], "");

/** `::ffff:0:0/96`, as it lies in the third word. */
const MAPPED = 0xffff0000;
const UINT32_MAX = 0xffffffff;
const NO_ADDRESS = -1;
const GROUPS = 8;

/**
 * The address that a caller gives; absent or empty: any.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_IP_ADDRESS`, `ERR_OUT_OF_RANGE` (a number).
 */
export function parseAddress(name: string, value: unknown): Address {
  if (typeof value === "string") return value === "" ? ANY : parseText(name, value);
  if (value === undefined) return ANY;
  if (typeof value === "number") return parseNumber(name, value);
  if (typedArrayName(value) === "Uint8Array") return parseBytes(name, value as Uint8Array);
  throw wrongType(name, "an IP address as a string, as 4 or 16 bytes, or as a number", value);
}

/** The address of a connection's local end, which is never any. */
export function parseLocal(value: unknown): Address {
  const local = parseAddress("localAddress", value);
  if (local === ANY) throw wrongValue("localAddress", "one address of this machine", value);
  return local;
}

/** The canonical text of four words as the core keeps them, or "" for any. */
export function textOf(words: readonly number[]): string {
  const [a = 0, b = 0, c = 0, d = 0] = words;
  if (c === MAPPED && a === 0 && b === 0) {
    return `${d & 255}.${(d >>> 8) & 255}.${(d >>> 16) & 255}.${d >>> 24}`;
  }
  if ((a | b | c | d) === 0) return "";
  return groupsText(groupsOf(words));
}

/** Four words as the core keeps them, as eight groups of 16 bits. */
export function groupsOf(words: readonly number[]): number[] {
  return words.flatMap((word) => [
    ((word & 255) << 8) | ((word >>> 8) & 255),
    ((word >>> 8) & 0xff00) | (word >>> 24),
  ]);
}

/** Eight groups as text (RFC 5952): the first of the longest runs of zeros is left out. */
export function groupsText(groups: readonly number[]): string {
  let [zeros, length] = [GROUPS, 1];
  for (let start = 0; start < GROUPS; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > length) [zeros, length] = [start, end - start];
  }
  const texts = groups.map((group) => group.toString(16));
  if (length === 1) return texts.join(":");
  return `${texts.slice(0, zeros).join(":")}::${texts.slice(zeros + length).join(":")}`;
}

// ── Numbers and bytes ─────────────────────────────────────────────────────────────────────

function parseNumber(name: string, value: number): Address {
  if (value >>> 0 === value) return fromIpv4(value);
  throw outOfRange(name, `an IPv4 address in 0..${UINT32_MAX}`, value);
}

function parseBytes(name: string, bytes: Uint8Array): Address {
  if (bytes.length === 4) return fromIpv4(swapBytes(wordIn(bytes, 0)));
  if (bytes.length === 16) {
    return fromWords([wordIn(bytes, 0), wordIn(bytes, 4), wordIn(bytes, 8), wordIn(bytes, 12)]);
  }
  const message = `${name} must have 4 or 16 bytes, got ${bytes.length}`;
  throw invalid("ERR_INVALID_IP_ADDRESS", message);
}

/** Four bytes, as a word of a little-endian machine. */
function wordIn(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  return (low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)) >>> 0;
}

/** An IPv4 address, as a number whose highest byte comes first. */
function fromIpv4(value: number, text?: string): Address {
  return value === 0 ? ANY : new Address([0, 0, MAPPED, swapBytes(value)], text);
}

/** An IPv6 address, as eight groups of 16 bits. */
function fromGroups(groups: readonly number[]): Address {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  return fromWords([wordOf(a, b), wordOf(c, d), wordOf(e, f), wordOf(g, h)]);
}

function fromWords(words: Words): Address {
  const isZeroToMapped = words[0] === 0 && words[1] === 0 && words[3] === 0;
  return isZeroToMapped && (words[2] === 0 || words[2] === MAPPED) ? ANY : new Address(words);
}

function wordOf(high: number, low: number): number {
  return swapBytes(((high << 16) | low) >>> 0);
}

/** Turns the order of the four bytes round. */
function swapBytes(word: number): number {
  const inner = ((word >>> 8) & 0xff00) | ((word & 0xff00) << 8);
  return ((word >>> 24) | inner | (word << 24)) >>> 0;
}

// ── Texts ─────────────────────────────────────────────────────────────────────────────────

// Addresses parsed lately. A text has one slot, and replaces the text that it finds there. As long
// as a text keeps its slot, it gives the same object.
const SLOTS = 256;
const recentTexts: string[] = new Array<string>(SLOTS).fill("");
const recent: Address[] = new Array<Address>(SLOTS).fill(ANY);
// The last one is compared first, without its slot.
let lastText = "";
let last: Address = ANY;

function parseText(name: string, text: string): Address {
  if (text === lastText) return last;
  const slot = slotOf(text);
  if (recentTexts[slot] !== text) {
    recent[slot] = parseNewText(name, text);
    recentTexts[slot] = text;
  }
  lastText = text;
  last = recent[slot] as Address;
  return last;
}

function slotOf(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return hash & (SLOTS - 1);
}

function parseNewText(name: string, text: string): Address {
  if (text.includes(":")) {
    const groups = text.includes("%") ? undefined : groupsIn(text);
    if (groups !== undefined) return fromGroups(groups);
  } else {
    const value = ipv4In(text, 0);
    if (value !== NO_ADDRESS) return fromIpv4(value, text);
  }
  throw notAnAddress(name, text);
}

/**
 * The IPv4 address from `start` to the end of a text, as a number, or `NO_ADDRESS`. Four decimal
 * parts without leading zeros, which some parsers read as octal (RFC 6943 § 3.1.1).
 */
function ipv4In(text: string, start: number): number {
  let value = 0;
  let part = -1;
  let dots = 0;
  for (let at = start; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit >= 0 && digit <= 9) {
      if (part === 0) return NO_ADDRESS;
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return NO_ADDRESS;
    } else {
      if (text[at] !== "." || part < 0 || dots === 3) return NO_ADDRESS;
      value = value * 256 + part;
      part = -1;
      dots++;
    }
  }
  return dots === 3 && part >= 0 ? value * 256 + part : NO_ADDRESS;
}

/**
 * The eight groups of an IPv6 address (RFC 4291 § 2.2), or `undefined`: groups of up to four
 * hexadecimal digits, one "::" for one or more groups of zeros, the last two perhaps as an IPv4
 * address.
 */
export function groupsIn(text: string): readonly number[] | undefined {
  const groups: number[] = [];
  let gap = -1;
  let at = 0;
  if (text.startsWith("::")) {
    gap = 0;
    at = 2;
  }
  while (at < text.length) {
    const start = at;
    let group = 0;
    for (let digit = hexAt(text, at); digit >= 0; digit = hexAt(text, ++at)) {
      group = group * 16 + digit;
    }
    if (text[at] === ".") {
      const value = ipv4In(text, start);
      if (value === NO_ADDRESS) return undefined;
      groups.push(value >>> 16, value & 0xffff);
      break;
    }
    if (at === start || at > start + 4 || groups.length === 8) return undefined;
    groups.push(group);
    if (at === text.length) break;
    if (text[at++] !== ":" || at === text.length) return undefined;
    if (text[at] !== ":") continue;
    if (gap >= 0) return undefined;
    gap = groups.length;
    at++;
  }
  return gap < 0 ? exactlyEight(groups) : filled(groups, gap);
}

function exactlyEight(groups: readonly number[]): readonly number[] | undefined {
  return groups.length === 8 ? groups : undefined;
}

/** The groups with zeros in the gap. */
function filled(groups: number[], gap: number): readonly number[] | undefined {
  const missing = 8 - groups.length;
  if (missing < 1) return undefined;
  groups.splice(gap, 0, ...new Array<number>(missing).fill(0));
  return groups;
}

/** The hexadecimal digit at a place of a text, or -1. */
function hexAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

function notAnAddress(name: string, text: string): Error {
  if (text.includes("%") && text.includes(":")) {
    const advice = "name the interface by bindToDevice";
    const message = `${name} must not carry a zone id, got ${show(text)}; ${advice}`;
    return invalid("ERR_INVALID_IP_ADDRESS", message);
  }
  const valid = 'an IPv4 address such as "10.0.0.1" or an IPv6 address such as "2001:db8::1"';
  return invalid("ERR_INVALID_IP_ADDRESS", `${name} must be ${valid}, got ${show(text)}`);
}
