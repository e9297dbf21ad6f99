// Printing: descriptions as messages show them, and addresses as Node takes them.

import { LOAD_BALANCED, MOST_RECENT, TUPLE_ONLY } from "../../assembly/abi.ts";
import { ANY } from "./address.ts";
import type { Key } from "./parsing.ts";
import { type Flags, IPV6, TCP, UDP } from "./request.ts";

/** A description and a port as an error message shows them: `tcp 10.0.0.1:80 -> 10.0.0.2:443`. */
export function showKey(key: Key, port: number): string {
  const device = key.device === 0 ? "" : ` on device ${key.device}`;
  const isWildcard = key.destination === ANY && key.destinationPort === 0;
  const destination = isWildcard
    ? ""
    : ` -> ${showEnd(key.destination.text || "*", key.destinationPort)}`;
  return `${showTransport(key.transport)} ${showEnd(addressText(key), port)}${device}${destination}`;
}

function showTransport(transport: number): string {
  if (transport === TCP) return "tcp";
  if (transport === UDP) return "udp";
  return `transport ${transport}`;
}

/** The local address in the form that Node's `listen` and `localAddress` take. */
export function addressText(key: Key): string {
  return key.address.text || (key.networks.includes(IPV6) ? "::" : "0.0.0.0");
}

/** Reuse flags by their names. */
export function flagNames(flags: number): { readonly [flag in keyof Flags]-?: boolean } {
  return {
    mostRecent: (flags & MOST_RECENT) !== 0,
    loadBalanced: (flags & LOAD_BALANCED) !== 0,
    tupleOnly: (flags & TUPLE_ONLY) !== 0,
  };
}

/** An address and port as messages show them. */
export function showEnd(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
