// Memory loads: what is reserved to see how much memory a reservation takes, and how each system
// reserves it.

import { IPV4, PortManager, type Reservation, TCP } from "../../bindings/index.ts";
import { ReferencePortManager } from "../../test/models/reference-manager.ts";
import {
  ADDRESS,
  type Member,
  openBitmaps,
  openReferenceModel,
  openSets,
  referenceRequest,
} from "../harness/allocators.ts";
import { COUNT, FIRST, LAST } from "../harness/workloads.ts";

export interface Load {
  readonly name: string;
  /** Is all of it on the port of one listener? */
  readonly isAccepted: boolean;
  /** How many ports towards each destination, or from each where they are accepted. */
  readonly ports: number;
  readonly destinations: readonly { address: string; port: number }[];
}

/** How a load is held; what keeps it alive is answered. */
export type Hold = (load: Load) => unknown;

/** The port of the listener, and the one at the other end. */
const HTTPS = 443;
const ANYWHERE = { address: "", port: 0 };

/** The loads, or tiny ones under the same names. */
export function loadsOf(isTiny: boolean): Load[] {
  const loads = [
    { name: "49,536 binds", isAccepted: false, ports: COUNT, destinations: [ANYWHERE] },
    load("1,040,256 tuples, 21 destinations", 21, COUNT),
    load("1,000,000 tuples, 1,000 destinations", 1000, 1000),
    { ...load("1,000,000 accepted, one port", 20, 50000), isAccepted: true },
  ];
  return isTiny ? loads.map((one) => withPorts(one, 100)) : loads;
}

function load(name: string, count: number, ports: number): Load {
  const destinations = Array.from({ length: count }, (_, index) => ({
    address: `93.0.${index >> 8}.${index & 255}`,
    port: HTTPS,
  }));
  return { name, isAccepted: false, ports, destinations };
}

/** The same load with so many ports at most. */
export function withPorts(one: Load, most: number): Load {
  return { ...one, ports: Math.min(one.ports, most) };
}

/** How many reservations are live, a listener with them. */
export function liveOf({ isAccepted, ports, destinations }: Load): number {
  return ports * destinations.length + (isAccepted ? 1 : 0);
}

// ── How each system holds a load ──────────────────────────────────────────────────────────

/** Ports of pools, or accepted connections of which nothing is kept. */
export function holdInCore(manager: PortManager, one: Load): void {
  if (one.isAccepted) {
    accept(manager, one, () => {});
    return;
  }
  const pools = membersOf(one).map(({ held: _, ...description }) => manager.pool(description));
  for (const port of portsOf(one)) for (const pool of pools) pool.takeAt(port);
}

/** Accepted connections with the objects that give them back. */
export const holdReservations: Hold = (one) => {
  const manager = PortManager.open();
  const kept: Reservation[] = [];
  accept(manager, one, (reservation) => void kept.push(reservation));
  return [manager, kept];
};

function accept(manager: PortManager, one: Load, keep: (held: Reservation) => void): void {
  const flags = { tupleOnly: true };
  const listener = { networks: [IPV4], transport: TCP, address: ADDRESS, port: HTTPS, flags };
  keep(manager.reservePort(listener));
  for (const { address } of one.destinations) {
    for (let port = 1; port <= one.ports; port++) {
      keep(manager.reserveTuple({ ...listener, destination: { address, port } }));
    }
  }
}

export const holdInReferenceModel: Hold = (one) => {
  if (!one.isAccepted) return openReferenceModel({ range: RANGE, members: membersOf(one) });
  const manager = new ReferencePortManager();
  for (const { address } of one.destinations) {
    for (let port = 1; port <= one.ports; port++) {
      const destination = { address, port };
      const member = { networks: [IPV4], transport: TCP, address: ADDRESS, destination };
      manager.reserveTuple({ ...referenceRequest(member), port: HTTPS });
    }
  }
  return manager;
};

/** A Set of ports for each destination; of peers as text for a listener. */
export const holdInSets: Hold = (one) => {
  if (!one.isAccepted) return openSets({ range: RANGE, members: membersOf(one) });
  const peers = new Set<string>();
  for (const { address } of one.destinations) {
    for (let port = 1; port <= one.ports; port++) peers.add(`${address}:${port}`);
  }
  return peers;
};

/** A bitmap of ports for each destination; of its ports for each peer of a listener. */
export const holdInBitmaps: Hold = (one) => {
  const range = one.isAccepted ? { first: 1, last: LAST } : RANGE;
  return openBitmaps({ range, members: membersOf(one) });
};

const RANGE = { first: FIRST, last: LAST };

function membersOf(one: Load): Member[] {
  const held = portsOf(one);
  return one.destinations.map((destination) => ({
    ...{ networks: [IPV4], transport: TCP, address: ADDRESS, held },
    ...(destination === ANYWHERE ? {} : { destination }),
  }));
}

function portsOf({ isAccepted, ports }: Load): Uint16Array {
  const first = isAccepted ? 1 : FIRST;
  return Uint16Array.from({ length: ports }, (_, index) => first + index);
}
