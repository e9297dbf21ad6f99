// Addresses: from text to the 16 bytes that the core compares, and to one canonical text.
//
// IPv4 is held as ::ffff:a.b.c.d, so an IPv4 address and its v4-mapped IPv6 form are one address,
// as a dual-stack socket treats them (RFC 4291 § 2.5.5.2). 0.0.0.0, :: and ::ffff:0.0.0.0 mean
// "any": all zero. A zone id names an interface, and interfaces are devices here, so it is refused.

import ipaddr from "#ipaddr";
import { invalid, show, wrongType, wrongValue } from "../errors.ts";

/** A parsed address: four words as the core reads them, in network byte order. */
export interface Address {
  readonly words: readonly [number, number, number, number];
  /** Canonical text (RFC 5952), or "" for any. */
  readonly text: string;
}

export const ANY: Address = { words: [0, 0, 0, 0], text: "" };

const REMEMBERED_MAX = 4096;

// Texts seen lately, in two generations: when the young one is full it becomes the old one.
let young = new Map<string, Address>();
let old = new Map<string, Address>();

// The text seen last, which is the next one more often than not.
let lastText: unknown = "";
let lastAddress = ANY;

/** The address of a text; the same text is parsed once. */
export function parseAddress(name: string, text: unknown): Address {
  if (text === lastText) return lastAddress;
  lastAddress = findAddress(name, text);
  lastText = text;
  return lastAddress;
}

/** The address of a connection's local end, which is never any. */
export function parseLocal(text: unknown): Address {
  const local = parseAddress("localAddress", text);
  if (local === ANY) throw wrongValue("localAddress", "one address of this machine", text);
  return local;
}

function findAddress(name: string, text: unknown): Address {
  if (text === undefined || text === "") return ANY;
  if (typeof text !== "string") throw wrongType(name, "an IP address as a string", text);
  const known = young.get(text);
  if (known !== undefined) return known;
  const address = old.get(text) ?? parse(name, text);
  if (young.size >= REMEMBERED_MAX) {
    old = young;
    young = new Map();
  }
  young.set(text, address);
  return address;
}

/** The canonical text of four words as the core keeps them, or "" for any. */
export function textOf(words: readonly number[]): string {
  if (words.every((word) => word === 0)) return "";
  const bytes = words.flatMap((word) => [
    word & 255,
    (word >>> 8) & 255,
    (word >>> 16) & 255,
    word >>> 24,
  ]);
  return ipaddr.process(new ipaddr.IPv6(bytes).toString()).toString();
}

function parse(name: string, text: string): Address {
  const bytes = text.includes(":") ? parseIpv6(name, text) : parseIpv4(name, text);
  const words = [wordAt(bytes, 0), wordAt(bytes, 4), wordAt(bytes, 8), wordAt(bytes, 12)] as const;
  const mapped = ipaddr.process(new ipaddr.IPv6([...bytes]).toString());
  const isAny = bytes.every((byte) => byte === 0) || mapped.toString() === "0.0.0.0";
  return isAny ? ANY : { words, text: mapped.toString() };
}

function parseIpv4(name: string, text: string): number[] {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) throw notAnAddress(name, text);
  return ipaddr.IPv4.parse(text).toIPv4MappedAddress().toByteArray();
}

function parseIpv6(name: string, text: string): number[] {
  if (text.includes("%")) {
    const message = `${name} must not carry a zone id, got ${show(text)}; name the interface by bindToDevice`;
    throw invalid("ERR_INVALID_IP_ADDRESS", message);
  }
  const groups = inGroups(text);
  if (groups === undefined || !ipaddr.IPv6.isValid(groups)) throw notAnAddress(name, text);
  return ipaddr.IPv6.parse(groups).toByteArray();
}

/** An IPv6 address whose last 32 bits may be written as IPv4 (RFC 4291 § 2.2), all in groups. */
function inGroups(text: string): string | undefined {
  if (!text.includes(".")) return text;
  const start = text.lastIndexOf(":") + 1;
  const tail = text.slice(start);
  if (!ipaddr.IPv4.isValidFourPartDecimal(tail)) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = ipaddr.IPv4.parse(tail).toByteArray();
  return `${text.slice(0, start)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function notAnAddress(name: string, text: string): Error {
  const valid = 'an IPv4 address such as "10.0.0.1" or an IPv6 address such as "2001:db8::1"';
  const message = `${name} must be ${valid}, got ${show(text)}`;
  return invalid("ERR_INVALID_IP_ADDRESS", message);
}

/** Four bytes in memory order, as a little-endian machine reads them. */
function wordAt(bytes: readonly number[], at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(at, at + 4);
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}
