// Conflicts: gVisor's rules of sharing (docs/internals/conflict-rules.md), for explanations. The
// core judges 64 ports at a time and cannot say which holder is in the way. Here each holder is
// judged by itself.
//
// Holders are judged by network and local address, each by itself. There, a port is blocked when
// every flag that the request wants is lacked by some holder that it meets.

import { FLAG_MASK, TRANSPORT_TCP, TUPLE_ONLY } from "../../assembly/abi.ts";
import { type Address, ANY } from "../requests/address.ts";
import type { Key } from "../requests/parsing.ts";
import type { Meeting } from "./explanation.ts";

/** The flag that a request wants if it shares with no holder: every holder lacks it. */
const ANY_HOLD = 8;

/** How a request is judged. */
export interface Judged {
  readonly key: Key;
  /** An ephemeral TCP port is never shared. */
  readonly isExclusive: boolean;
  /** Is the very tuple refused, whatever the flags are? */
  readonly isUnique: boolean;
}

/** @param isEphemeral does the request ask for any port, as bind() does? */
export function judged(key: Key, isEphemeral: boolean, isUnique = false): Judged {
  return { key, isExclusive: isEphemeral && key.transport === TRANSPORT_TCP, isUnique };
}

/** The flags that must not all be lacked at one address. */
export function wantedOf({ key, isExclusive }: Judged): number {
  return isExclusive || key.flags === 0 ? ANY_HOLD : key.flags;
}

/** A holder that the request meets. */
export interface Conflict {
  readonly meets: Meeting;
  /** The wanted flags that the holder lacks. */
  readonly lacks: number;
  /** Does it block by itself, as the very tuple of a unique pool? */
  readonly isTuple: boolean;
}

/**
 * How a holder in one of the request's networks and its transport stands in the way, if it does.
 */
export function conflictOf(asked: Judged, holder: Key): Conflict | undefined {
  const { key } = asked;
  const address = isSame(key.address, holder.address);
  if (!address && key.address !== ANY && holder.address !== ANY) return undefined;
  const device = key.device === holder.device;
  if (!device && key.device !== 0 && holder.device !== 0) return undefined;
  const destination = meetingOf(key, holder);
  const isEverything = asked.isExclusive && key.device === 0;
  if (destination === "other" && !isEverything) return undefined;
  const lacked =
    ANY_HOLD | (FLAG_MASK & ~holder.flags & (destination === "same" ? ~0 : TUPLE_ONLY));
  const lacks = lacked & wantedOf(asked);
  // A pool's own description is at its own address and on its own device.
  const isTuple = asked.isUnique && address && device && destination === "same";
  if (lacks === 0 && !isTuple) return undefined;
  const meets: Meeting = {
    address: address ? "same" : "any",
    device: device ? "same" : "none",
    destination,
  };
  return { meets, lacks, isTuple };
}

function meetingOf(key: Key, holder: Key): Meeting["destination"] {
  const isSameEnd = key.destinationPort === holder.destinationPort;
  if (isSameEnd && isSame(key.destination, holder.destination)) return "same";
  return key.destination === ANY || holder.destination === ANY ? "wildcard" : "other";
}

/** Are two addresses equal? */
export function isSame(one: Address, other: Address): boolean {
  return one.words.every((word, at) => word === other.words[at]);
}
