// Flags: which kinds of reuse a holder allows (gVisor `ports.Flags`), as a mask.
//
//   bit 0  MostRecent     SO_REUSEADDR on UDP
//   bit 1  LoadBalanced   SO_REUSEPORT
//   bit 2  TupleOnly      SO_REUSEADDR on TCP: other tuples may use the port too
//
// A request is judged by which of its wanted bits a holder lacks. Two kinds of requests share with
// no holder: those without flags, and those for an ephemeral TCP port. Their mask is `ANY_HOLD`, a
// bit that every holder lacks, so that the same arithmetic refuses them at every held port.
//
// A flow has 8 bits for flags, and so has a partial of a plan (conflicts.ts). Bits 4 to 7 are free:
// they tell apart flows of one destination, for example the states of sockets, and no request asks
// for them. The models of Linux apply their further rules before they plan, in files of their own.

import { FLAG_MASK, TRANSPORT_TCP, TUPLE_ONLY } from "../abi";

export const ANY_HOLD: u32 = 8;

/** The flags that a request wants the other holders of its port to have. */
export function wantedOf(flags: u32, exclusive: bool): u32 {
  return exclusive || flags == 0 ? ANY_HOLD : flags;
}

/** gVisor's rule for TCP with port 0: such a port is never shared, whatever the flags. */
export function isExclusive(transport: u32, ephemeral: bool): bool {
  return ephemeral && transport == TRANSPORT_TCP;
}

/** The flags that a holder of the very same destination lacks. */
export function lackedBySame(flags: u32): u32 {
  return ANY_HOLD | (FLAG_MASK & ~flags);
}

/**
 * The flags that a holder of another destination lacks, where one of the two is a wildcard: only
 * TupleOnly counts.
 */
export function lackedByOther(flags: u32): u32 {
  return ANY_HOLD | (TUPLE_ONLY & ~flags);
}
