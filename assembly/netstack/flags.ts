// Flags: which kinds of reuse a holder allows (gVisor `ports.Flags`), as a mask.
//
//   bit 0  MostRecent     SO_REUSEADDR on UDP
//   bit 1  LoadBalanced   SO_REUSEPORT
//   bit 2  TupleOnly      SO_REUSEADDR on TCP: other tuples may use the port too
//
// The judgement asks which of the wanted bits a holder *lacks*. Two requests are stricter than
// any flag: one without flags, and an ephemeral TCP port. For them the mask is `ANY_HOLD`, a bit
// that every holder lacks, and the same arithmetic says "refused by whatever is held".

import { FLAG_MASK, TRANSPORT_TCP, TUPLE_ONLY } from "../abi";

export const ANY_HOLD: u32 = 8;

/** What a request wants its fellow holders to share. */
export function wantedOf(flags: u32, exclusive: bool): u32 {
  return exclusive || flags == 0 ? ANY_HOLD : flags;
}

/** gVisor's rule for TCP with port 0: such a port is never shared, whatever the flags. */
export function isExclusive(transport: u32, ephemeral: bool): bool {
  return ephemeral && transport == TRANSPORT_TCP;
}

/** What a holder of the very same destination lacks. */
export function lackedBySame(flags: u32): u32 {
  return ANY_HOLD | (FLAG_MASK & ~flags);
}

/** What a holder of another destination lacks, where one of the two is a wildcard: only TupleOnly counts. */
export function lackedByOther(flags: u32): u32 {
  return ANY_HOLD | (TUPLE_ONLY & ~flags);
}
