// Linux: closes a system with all its sockets, and tells about its sockets and buckets.

import { Address } from "../../../memory/arena";
import { Port } from "../../../ports/bitmap";
import { countAt } from "../../../ports/counted";
import { ANY, ONLY, V4, V6 } from "./address";
import { findBucket, isOpen } from "./bucket";
import { close618 } from "./ending";
import {
  findAddress,
  findAggregate,
  firstHolder,
  kindOf,
  nextHolder,
  TCP,
  TIME_WAIT,
} from "./holders";
import { BACKLOG, has, IS_UDP, nextSocket, setWord } from "./socket";
import { BUCKETS, free618, SOCKETS, slotOf, TCP_SOCKETS, TIME_WAITS, UDP_SOCKETS } from "./system";
import { anyWait, dropWait } from "./time-wait";
import { closeUdp618 } from "./udp";

/** Gives back the system with all its sockets, also those that wait for accept(). */
export function closeSystem618(system: Address): void {
  let listed: Address = load<u32>(system, SOCKETS);
  for (; listed; listed = nextSocket(listed)) setWord(listed, BACKLOG, 0);
  while (load<u32>(system, SOCKETS)) {
    const socket: Address = load<u32>(system, SOCKETS);
    if (has(socket, IS_UDP)) closeUdp618(socket);
    else close618(socket, 1);
  }
  for (let wait = anyWait(system); wait; wait = anyWait(system)) dropWait(system, wait);
  free618(system);
}

/** Counts of a system: buckets, TCP sockets with a port, UDP sockets with a port, TIME_WAITs. */
export function count618(system: Address, what: u32): u32 {
  if (what == 0) return load<u32>(system, BUCKETS);
  if (what == 1) return load<u32>(system, TCP_SOCKETS);
  return load<u32>(system + (what == 2 ? UDP_SOCKETS : TIME_WAITS));
}

/** fastreuse of a port's bucket, -1 or 0; -2: there is none. */
export function fastreuse618(system: Address, port: Port): i32 {
  const bucket = findBucket(system, port);
  if (!bucket) return -2;
  return isOpen(bucket) ? -1 : 0;
}

/** How many sockets, or TIME_WAITs, own a TCP port. */
export function owners618(system: Address, port: Port, areTimeWaits: u32): u32 {
  let owners: u32 = 0;
  for (let only: u32 = 0; only <= ONLY; only += ONLY) {
    owners += ownersBelow(findAggregate(system, TCP, V4 | only), port, areTimeWaits != 0);
    owners += ownersBelow(findAggregate(system, TCP, V6 | only), port, areTimeWaits != 0);
    owners += ownersBelow(findAddress(system, TCP, ANY | only, 0, 0), port, areTimeWaits != 0);
  }
  return owners;
}

function ownersBelow(address: Address, port: Port, areTimeWaits: bool): u32 {
  let owners: u32 = 0;
  let holder: Address = address ? firstHolder(address) : 0;
  for (; holder; holder = nextHolder(holder)) {
    const isTimeWait = (kindOf(holder) & TIME_WAIT) != 0;
    if (isTimeWait == areTimeWaits) owners += countAt(holder, slotOf(port));
  }
  return owners;
}
