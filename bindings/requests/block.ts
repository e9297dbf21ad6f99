// Request block: the description of a reservation or pool, as the core reads it (assembly/abi.ts).

import {
  REQUEST_ADDRESS,
  REQUEST_DESTINATION,
  REQUEST_DESTINATION_PORT,
  REQUEST_DEVICE,
  REQUEST_FLAGS,
  REQUEST_GROUP,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_RESERVED,
  REQUEST_TRANSPORT,
} from "../../assembly/abi.ts";
import type { Core } from "../core/core.ts";
import { groupAddress, isGone, type PortGroup } from "../groups/group.ts";
import { type ReservedPorts, reservedAddress } from "../groups/reserved.ts";
import type { Address } from "./address.ts";
import type { Key } from "./parsing.ts";

/** Where the core keeps a group; 0: none. */
export function groupAt(core: Core, group: PortGroup | undefined): number {
  return group === undefined ? 0 : groupAddress(group, core);
}

/** Where the core keeps a group; 0: none, or it is gone. */
export function liveGroupAt(core: Core, group: PortGroup | undefined): number {
  return group === undefined || isGone(group) ? 0 : groupAddress(group, core);
}

/** Where the core keeps a list of reserved ports; 0: none. */
export function reservedAt(core: Core, reserved: ReservedPorts | undefined): number {
  return reserved === undefined ? 0 : reservedAddress(reserved, core);
}

/**
 * Writes a description into the request block.
 * @throws PortError `ENOENT`, `EBADF`: its group or its list of reserved ports is gone.
 */
export function writeKey(core: Core, key: Key): void {
  writeWith(core, key, groupAt(core, key.group), reservedAt(core, key.reserved));
}

/**
 * Writes the description of a port that is held, without its group if that is gone, to release it.
 */
export function writeHeldKey(core: Core, key: Key): void {
  writeWith(core, key, liveGroupAt(core, key.group), 0);
}

/**
 * Writes the description of a listener's connections, which has no group; their remote end follows.
 * The block then counts as holding `key`, so that object must be used by these functions alone.
 */
export function writeListener(core: Core, key: Key): void {
  if (core.written !== key) writeWith(core, key, 0, 0);
}

/** Writes the description of a connection of a listener. */
export function writeTuple(core: Core, key: Key, remote: Address, remotePort: number): void {
  writeListener(core, key);
  const block = core.request;
  writeAddress(block, REQUEST_DESTINATION >> 2, remote);
  block[REQUEST_DESTINATION_PORT >> 2] = remotePort;
}

/** Writes the two ends of a connection alone, for a hash of them. */
export function writeEnds(core: Core, local: Address, remote: Address, remotePort: number): void {
  core.written = undefined;
  const block = core.request;
  writeAddress(block, REQUEST_ADDRESS >> 2, local);
  writeAddress(block, REQUEST_DESTINATION >> 2, remote);
  block[REQUEST_DESTINATION_PORT >> 2] = remotePort;
}

function writeWith(core: Core, key: Key, group: number, reserved: number): void {
  const block = core.request;
  block[REQUEST_GROUP >> 2] = group;
  block[REQUEST_RESERVED >> 2] = reserved;
  if (core.written === key) return;
  const { networks } = key;
  writeEnds(core, key.address, key.destination, key.destinationPort);
  block[REQUEST_TRANSPORT >> 2] = key.transport;
  block[REQUEST_DEVICE >> 2] = key.device;
  block[REQUEST_FLAGS >> 2] = key.flags;
  block[REQUEST_NETWORK_COUNT >> 2] = networks.length;
  for (let index = 0; index < networks.length; index++) {
    block[(REQUEST_NETWORKS >> 2) + index] = networks[index] as number;
  }
  core.written = key;
}

function writeAddress(block: Uint32Array, at: number, { words }: Address): void {
  block[at] = words[0];
  block[at + 1] = words[1];
  block[at + 2] = words[2];
  block[at + 3] = words[3];
}
