// Memory fill: portwarden and its baselines at reserving all of a load.

import {
  type Destination,
  type Flow,
  type PortManager,
  type PortRequest,
  type Reservation,
  TCP,
} from "../bindings/index.ts";
import { JsBitmap } from "./baselines/js-bitmap.ts";
import { JsSet } from "./baselines/js-set.ts";
import { NaivePortManager, type NaiveRequest } from "./baselines/naive.ts";
import { LISTENING, type Load } from "./memory-loads.ts";
import { FIRST } from "./workloads.ts";

/** What has to stay alive for a load, and how much it holds, in each network by itself. */
export interface Held {
  readonly count: number;
  readonly alive: unknown;
}

const TUPLE_ONLY = 4;
const PORT_MAX = 65535;

// ── portwarden ────────────────────────────────────────────────────────────────────────────

/** One flow for each address and destination; each port is named, and nothing else is kept. */
export function fillFlows(manager: PortManager, load: Load): void {
  const end = FIRST + load.ports;
  for (const address of load.addresses) {
    const flows = flowsOf(manager, load, address);
    for (let port = FIRST; port < end; port++) {
      for (let index = 0; index < flows.length; index++) (flows[index] as Flow).takeAt(port);
    }
  }
}

function flowsOf(manager: PortManager, load: Load, address: string): Flow[] {
  const { networks, destinations, isTupleOnly } = load;
  const flags = { tupleOnly: isTupleOnly };
  return destinations.map((destination) =>
    manager.flow({ networks, transport: TCP, address, destination, flags }),
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
export function fillNaive(load: Load): Held {
  const manager = new NaivePortManager();
  const { addresses, destinations } = load;
  const reserve = (address: string, port: number, destination: Required<Destination>): void => {
    manager.reserveTuple(naiveRequest(load, address, port, destination));
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

function naiveRequest(
  { networks, isTupleOnly }: Load,
  address: string,
  port: number,
  destination: Required<Destination>,
): NaiveRequest {
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

function sum(flows: readonly { readonly held: number }[]): number {
  return flows.reduce((total, { held }) => total + held, 0);
}

function keysOf({ networks, addresses, destinations }: Load): string[] {
  return networks.flatMap((network) =>
    addresses.flatMap((local) =>
      destinations.map(({ address, port }) => `${network} ${local} ${address}:${port}`),
    ),
  );
}
