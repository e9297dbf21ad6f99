// Ask: what a test wants to hold, in the reference model's terms, and the same as a request to the
// facade.

import { LOAD_BALANCED, MOST_RECENT, TUPLE_ONLY } from "../../assembly/abi.ts";
import type { Flags, PoolRequest } from "../../bindings/index.ts";
import type { ReferenceRequest } from "../models/reference-manager.ts";

/** Everything about a reservation but its port. Addresses are canonical text, "" is any. */
export type Ask = Readonly<Omit<ReferenceRequest, "port">>;

export function flagsOf(bits: number): Flags {
  return {
    mostRecent: (bits & MOST_RECENT) !== 0,
    loadBalanced: (bits & LOAD_BALANCED) !== 0,
    tupleOnly: (bits & TUPLE_ONLY) !== 0,
  };
}

export function bitsOf({ mostRecent, loadBalanced, tupleOnly }: Flags): number {
  return (
    (mostRecent ? MOST_RECENT : 0) |
    (loadBalanced ? LOAD_BALANCED : 0) |
    (tupleOnly ? TUPLE_ONLY : 0)
  );
}

export function toModel(ask: Ask, port: number): ReferenceRequest {
  return { ...ask, port };
}

export function toFacade(ask: Ask): PoolRequest {
  return {
    networks: ask.networks,
    transport: ask.transport,
    address: ask.address,
    bindToDevice: ask.device,
    destination: { ...ask.destination },
    flags: flagsOf(ask.flags),
  };
}

/** As a failed test shows it. */
export function show(ask: Ask, port: number | string): string {
  const { networks, transport, address, device, destination, flags } = ask;
  const isWildcard = destination.address === "" && destination.port === 0;
  const to = isWildcard ? "" : ` -> ${destination.address || "*"}:${destination.port}`;
  const on = device === 0 ? "" : ` on ${device}`;
  return `[${networks}] ${transport} ${address || "*"}:${port}${on}${to} flags ${flags}`;
}
