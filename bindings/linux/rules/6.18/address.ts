// Addresses for the rules of modern Linux: 0.0.0.0 and :: are two addresses, and an address has a
// family.

import { REQUEST_ADDRESS, REQUEST_DESTINATION } from "../../../../assembly/abi.ts";
import type { Core } from "../../../core/core.ts";
import { wrongType } from "../../../errors.ts";
import {
  type AddressLike,
  groupsOf,
  groupsText,
  parseAddress,
  textOf,
} from "../../../requests/address.ts";

/** An address as the core reads it, four words in network byte order. */
export interface Address {
  readonly words: readonly [number, number, number, number];
  readonly isV6: boolean;
  /** Canonical text of the machine's side: mapped addresses as IPv4. */
  readonly plain: string;
}

/** `::ffff:0:0/96`, as it lies in the third word. */
const MAPPED = 0xffff0000;
const ANY_V4: Address = {
  words: [0, 0, MAPPED, 0],
  isV6: false,
  plain: "0.0.0.0",
};
export const ANY_V6: Address = { words: [0, 0, 0, 0], isV6: true, plain: "::" };

/**
 * Reads an address, as text, as 4 or 16 bytes, or as a number; "" is the any address of the socket's
 * family.
 * @throws PortError `ERR_INVALID_IP_ADDRESS`, `ERR_INVALID_ARG_TYPE`.
 */
export function readAddress(name: string, given: unknown, isV6: boolean): Address {
  if (given === undefined) throw wrongType(name, 'an IP address, or "" for any', given);
  const parsed = parseAddress(name, given);
  const bytes = typeof given === "object" ? (given as Uint8Array) : undefined;
  const text = bytes?.length === 16 ? `:${bytes[10] ? "ffff" : ""}:` : `${given}`;
  const isWrittenAsV6 = text === "" ? isV6 : text.includes(":");
  if (parsed.text !== "") {
    return { words: parsed.words, isV6: isWrittenAsV6, plain: parsed.text };
  }
  if (!isWrittenAsV6) return ANY_V4;
  // :: and ::ffff:0.0.0.0 are two addresses here.
  return /f/i.test(text) ? { ...ANY_V4, isV6: true } : ANY_V6;
}

/** The address as it was given, if that was text. */
export function asGiven(given: AddressLike, { plain }: Address): string {
  return typeof given === "string" ? given : plain;
}

/** An address of the core as getsockname() of that family prints it. */
export function printAddress(given: ArrayLike<number>, isV6: boolean): string {
  if (!isV4Words(given)) return groupsText(groupsOf(Array.from(given)));
  const dotted = textOf([0, 0, MAPPED, given[3] as number]);
  return isV6 ? `::ffff:${dotted}` : dotted;
}

/** Is it IPv4, also as a mapped address? */
export function isV4Words(words: ArrayLike<number>): boolean {
  return words[0] === 0 && words[1] === 0 && (words[2] ?? 0) >>> 0 === MAPPED;
}

export function isLoopback({ plain }: Address): boolean {
  return plain.startsWith("127.") || plain === "::1";
}

export function isAnyAddress({ plain }: Address): boolean {
  return plain === "0.0.0.0" || plain === "::";
}

/**
 * Writes the local and the remote address into the request.
 * @param isV6 whether the socket is of IPv6. A socket of IPv4 takes a mapped address no more than
 * any of IPv6.
 */
export function writeEnds(core: Core, local: Address, remote: Address, isV6 = true): void {
  const target = remote.isV6 && !isV6 ? ANY_V6 : remote;
  core.written = undefined;
  const block = core.request;
  for (let index = 0; index < 4; index++) {
    block[(REQUEST_ADDRESS >> 2) + index] = local.words[index] as number;
    block[(REQUEST_DESTINATION >> 2) + index] = target.words[index] as number;
  }
}
