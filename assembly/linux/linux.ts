// Linux: what of a system concerns all of its sockets at once.

import { Address } from "../memory/arena";
import { Port } from "../ports/bitmap";
import { fastreuseOf, findRecord, socketsOf, waitsOf } from "./record";
import { closeSocket } from "./socket";
import { freeSystem, SOCKETS } from "./system";
import { dropWait, firstWait } from "./wait";

/** Gives back the system with all its sockets. */
export function closeLinux(system: Address): void {
  while (load<u32>(system, SOCKETS)) closeSocket(load<u32>(system, SOCKETS));
  for (let wait = firstWait(system); wait; wait = firstWait(system)) dropWait(system, wait);
  freeSystem(system);
}

/** fastreuse of a port's record; -2: there is none. */
export function recordFastreuse(system: Address, port: Port): i32 {
  return fastreuseOf(findRecord(system, port));
}

/** How many sockets own the port. */
export function recordOwners(system: Address, port: Port): u32 {
  const record = findRecord(system, port);
  return record ? socketsOf(record) : 0;
}

/** How many TIME_WAITs own the port. */
export function recordWaits(system: Address, port: Port): u32 {
  const record = findRecord(system, port);
  return record ? waitsOf(record) : 0;
}
