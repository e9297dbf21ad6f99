// Memory loads: what is reserved to see how much memory a reservation takes.

import { type Destination, IPV4, IPV6 } from "../../bindings/index.ts";
import { COUNT } from "../harness/workloads.ts";

export interface Load {
  readonly name: string;
  /** `accepts`: all on the port of one listener, `ports` of them from each destination. */
  readonly kind: "binds" | "tuples" | "accepts";
  readonly networks: readonly number[];
  /** Local addresses, one after the other. */
  readonly addresses: readonly string[];
  /** How many ports of each address, from 16000 on. */
  readonly ports: number;
  /** Where each port goes to. */
  readonly destinations: readonly Required<Destination>[];
  readonly isTupleOnly: boolean;
  /** What gVisor's own manager took: bytes, and nanoseconds to fill, per reservation. */
  readonly recorded: readonly [bytes: number, ns: number];
}

/** The port of the listener. */
export const LISTENING = 443;
/** The port at the other end. */
const REMOTE = 443;
const ANYWHERE = { address: "", port: 0 };
const ONE_ADDRESS = ["10.0.0.1"];

const BASE = {
  networks: [IPV4],
  addresses: ONE_ADDRESS,
  ports: COUNT,
  destinations: [ANYWHERE],
  isTupleOnly: false,
} as const;

/** The loads, or tiny ones under the same names. */
export function loadsOf(isTiny: boolean): Load[] {
  const loads: Load[] = [
    { ...BASE, name: "binds-49536-tcp-v4", kind: "binds", recorded: [1320, 2286] },
    {
      ...BASE,
      name: "binds-49536-dual-any",
      kind: "binds",
      networks: [IPV4, IPV6],
      addresses: [""],
      recorded: [2640, 3478],
    },
    {
      ...BASE,
      name: "binds-1040256-21-local-addrs",
      kind: "binds",
      addresses: Array.from({ length: 21 }, (_, index) => `10.0.1.${index}`),
      recorded: [1077, 1635],
    },
    tuples("tuples-1040256-21-dests-flags0", 21, COUNT, [197, 1061]),
    { ...tuples("tuples-1040256-21-dests-flags4", 21, COUNT, [195, 945]), isTupleOnly: true },
    tuples("tuples-1000000-1000-dests", 1000, 1000, [197, 10_000]),
    {
      ...tuples("accepts-1000000-one-port", 20, 50000, [201, 1178]),
      kind: "accepts",
      isTupleOnly: true,
    },
  ];
  return isTiny ? loads.map((load) => withPorts(load, 100)) : loads;
}

/** The same load with fewer ports. */
export function withPorts(load: Load, most: number): Load {
  return { ...load, ports: Math.min(load.ports, most) };
}

/** How many are live when all is reserved, a listener with them. */
export function liveOf({ kind, addresses, ports, destinations }: Load): number {
  return addresses.length * ports * destinations.length + (kind === "accepts" ? 1 : 0);
}

function tuples(
  name: string,
  destinations: number,
  ports: number,
  recorded: readonly [number, number],
): Load {
  const to = (index: number): Required<Destination> => ({
    address: `93.0.${index >> 8}.${index & 255}`,
    port: REMOTE,
  });
  const all = Array.from({ length: destinations }, (_, index) => to(index));
  return { ...BASE, name, kind: "tuples", ports, destinations: all, recorded };
}
