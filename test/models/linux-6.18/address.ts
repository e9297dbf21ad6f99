// Local and remote addresses as the model compares them: IPv4, IPv6, and IPv4 mapped into IPv6.

import { isIPv4, isIPv6 } from "node:net";

/** An address; two are the same exactly when their texts are. */
export interface Address {
  /** Canonical text, as getsockname() of the address's own family prints it. */
  readonly text: string;
  /** The IPv4 address of an IPv4 or mapped address, as dotted text. */
  readonly v4: string | undefined;
  /** Whether it is written as IPv6 (mapped addresses are). */
  readonly isV6: boolean;
}

const ANY_V4 = "0.0.0.0";
const ANY_V6 = "::";

/** Reads an address; undefined: the text is none. */
export function readAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { text, v4: text, isV6: false };
  if (!isIPv6(text)) return undefined;
  const words = wordsOf(text);
  const isMapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
  const [high = 0, low = 0] = words.slice(6);
  if (isMapped) return mapped(`${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`);
  return { text: new URL(`http://[${text}]/`).hostname.slice(1, -1), v4: undefined, isV6: true };
}

/** An IPv4 address as an IPv6 socket has it. */
export function mapped(v4: string): Address {
  return { text: `::ffff:${v4}`, v4, isV6: true };
}

/** The any address of a socket's family. */
export function anyOf(isV6: boolean): Address {
  return isV6
    ? { text: ANY_V6, v4: undefined, isV6: true }
    : { text: ANY_V4, v4: ANY_V4, isV6: false };
}

export function isAny6(address: Address): boolean {
  return address.text === ANY_V6;
}

/** Is it 0.0.0.0, ::ffff:0.0.0.0 or `::`? */
export function isAny(address: Address): boolean {
  return address.v4 === ANY_V4 || isAny6(address);
}

export function isLoopback(address: Address): boolean {
  return address.v4?.startsWith("127.") === true || address.text === "::1";
}

/** What decides in which part of a port's bucket a socket is: mapped addresses are IPv4 ones. */
export function keyOf(address: Address): string {
  return address.v4 ?? address.text;
}

function wordsOf(text: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = dotted.slice(2).map(Number);
    return wordsOf(`${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`);
  }
  const [head = "", tail] = text.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : 8 - front.length - back.length;
  return [...front, ...Array<string>(gap).fill("0"), ...back].map((word) => parseInt(word, 16));
}
