// Linux: closes a system with all its sockets, and tells about its buckets.

import { Address } from "../../../memory/arena";
import { Port } from "../../../ports/bitmap";
import { fastreuseOf, findBucket, socketsOf, waitsOf } from "./bucket";
import { closeSocket } from "./socket";
import { freeSystem, SOCKETS } from "./system";
import { dropWait, firstWait } from "./time-wait";

/** Gives back the system with all its sockets. */
export function closeLinux(system: Address): void {
  while (load<u32>(system, SOCKETS)) closeSocket(load<u32>(system, SOCKETS));
  for (let wait = firstWait(system); wait; wait = firstWait(system)) dropWait(system, wait);
  freeSystem(system);
}

/** fastreuse of a port's bucket; -2: there is none. */
export function bucketFastreuse(system: Address, port: Port): i32 {
  return fastreuseOf(findBucket(system, port));
}

/** How many sockets, or TIME_WAITs, own the port. */
export function bucketOwners(system: Address, port: Port, areTimeWaits: u32): u32 {
  const bucket = findBucket(system, port);
  if (!bucket) return 0;
  return areTimeWaits ? waitsOf(bucket) : socketsOf(bucket);
}
