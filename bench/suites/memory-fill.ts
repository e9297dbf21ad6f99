// Memory fill: portwarden and its baselines at reserving all of a load.

import {
  type Destination,
  type PortManager,
  type PortPool,
  type PortRequest,
  type Reservation,
  TCP,
} from "../../bindings/index.ts";
import {
  ReferencePortManager,
  type ReferenceRequest,
} from "../../test/models/reference-manager.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { JsSet } from "../baselines/js-set.ts";
import { FIRST } from "../harness/workloads.ts";
import { LISTENING, type Load } from "./memory-loads.ts";

/** What has to stay alive for a load, and how much it holds, in each network by itself. */
export interface Held {
  readonly count: number;
  readonly alive: unknown;
}

const TUPLE_ONLY = 4;
const PORT_MAX = 65535;

// ── portwarden ────────────────────────────────────────────────────────────────────────────

/** One pool for each address and destination; each port is named, and nothing else is kept. */
export function fillPools(manager: PortManager, load: Load): void {
  const end = FIRST + load.ports;
  for (const address of load.addresses) {
    const pools = poolsOf(manager, load, address);
    for (let port = FIRST; port < end; port++) {
      for (let index = 0; index < pools.length; index++) (pools[index] as PortPool).takeAt(port);
    }
  }
}

function poolsOf(manager: PortManager, load: Load, address: string): PortPool[] {
  const { networks, destinations, isTupleOnly } = load;
  const flags = { tupleOnly: isTupleOnly };
  return destinations.map((destination) =>
    manager.pool({ networks, transport: TCP, address, destination, flags }),
  );
}

/** Connections of which nothing is kept: to be given back by value. */
export function acceptAll(manager: PortManager, { ports, destinations }: Load): void {
  manager.reservePort(LISTENER);
  for (const { address } of destinations) {
    for (let port = 1; port <= ports; port++) manager.reserveTuple(accepted({ address, port }));
  }
}

/** Connections whose objects are kept, to be given back by them. */
export function acceptAndKeep(manager: PortManager, load: Load): Held {
  const { ports, destinations } = load;
  const kept = new Array<Reservation>(ports * destinations.length);
  let at = 0;
  manager.reservePort(LISTENER);
  for (const { address } of destinations) {
    for (let port = 1; port <= ports; port++) {
      kept[at++] = manager.reserveTuple(accepted({ address, port }));
    }
  }
  return { count: manager.stats().counters, alive: [manager, kept] };
}

const NETWORKS: readonly number[] = [4];
const ADDRESS = "10.0.0.1";
const SHARING = { tupleOnly: true };
const LISTENER = {
  networks: NETWORKS,
  transport: TCP,
  address: ADDRESS,
  port: LISTENING,
  flags: SHARING,
};

function accepted(destination: Required<Destination>): PortRequest {
  return {
    networks: NETWORKS,
    transport: TCP,
    address: ADDRESS,
    port: LISTENING,
    flags: SHARING,
    destination,
  };
}

// ── Baselines ─────────────────────────────────────────────────────────────────────────────

/** Every tuple is reserved as an accepted one is, which walks over nothing and holds the same. */
export function fillReference(load: Load): Held {
  const manager = new ReferencePortManager();
  const { addresses, destinations } = load;
  const reserve = (address: string, port: number, destination: Required<Destination>): void => {
    manager.reserveTuple(referenceRequest(load, address, port, destination));
  };
  if (load.kind === "accepts") {
    const [local] = addresses as [string];
    reserve(local, LISTENING, { address: "", port: 0 });
    for (const { address } of destinations) {
      for (let port = 1; port <= load.ports; port++) reserve(local, LISTENING, { address, port });
    }
  } else {
    for (const address of addresses) {
      for (let port = FIRST; port < FIRST + load.ports; port++) {
        for (const destination of destinations) reserve(address, port, destination);
      }
    }
  }
  return { count: manager.stats().counters, alive: manager };
}

function referenceRequest(
  { networks, isTupleOnly }: Load,
  address: string,
  port: number,
  destination: Required<Destination>,
): ReferenceRequest {
  const flags = isTupleOnly ? TUPLE_ONLY : 0;
  return { networks, transport: TCP, address, port, flags, device: 0, destination };
}

/** A Set of ports for each network, address and destination; of peers as text for one listener. */
export function fillSets(load: Load): Held {
  if (load.kind === "accepts") {
    const peers = new Set<string>(["listener"]);
    for (const { address } of load.destinations) {
      for (let port = 1; port <= load.ports; port++) peers.add(`${address}:${port}`);
    }
    return { count: peers.size, alive: peers };
  }
  const sets = new Map(keysOf(load).map((key) => [key, new JsSet(FIRST, PORT_MAX)]));
  for (let port = FIRST; port < FIRST + load.ports; port++) {
    for (const set of sets.values()) set.takeAt(port);
  }
  return { count: sum([...sets.values()]), alive: sets };
}

/** A bitmap of ports for each network, address and destination; of its ports for each peer. */
export function fillBitmaps(load: Load): Held {
  const isAccepts = load.kind === "accepts";
  const first = isAccepts ? 1 : FIRST;
  const bitmaps = new Map(keysOf(load).map((key) => [key, new JsBitmap(first, PORT_MAX)]));
  for (let port = first; port < first + load.ports; port++) {
    for (const bitmap of bitmaps.values()) bitmap.takeAt(port);
  }
  if (isAccepts) {
    const listening = new JsBitmap(FIRST, PORT_MAX);
    listening.takeAt(LISTENING);
    bitmaps.set("listener", listening);
  }
  return { count: sum([...bitmaps.values()]), alive: bitmaps };
}

function sum(pools: readonly { readonly held: number }[]): number {
  return pools.reduce((total, { held }) => total + held, 0);
}

function keysOf({ networks, addresses, destinations }: Load): string[] {
  return networks.flatMap((network) =>
    addresses.flatMap((local) =>
      destinations.map(({ address, port }) => `${network} ${local} ${address}:${port}`),
    ),
  );
}
