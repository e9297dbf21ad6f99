// Plan: which ports and how many connections the demo uses, as far as this machine allows.
// `leftOut` has a sentence for each part that is left out, so that a smaller run is not taken for
// the whole.

import type { PortRange } from "../../index.ts";
import { counted, figure } from "../../node/connector/words.ts";
import { type HostState, readHostState } from "../../node/host/host-state.ts";
import { CannotRun } from "../args.ts";
import type { DemoOptions, WayName } from "./options.ts";

/**
 * Where the demo runs: in a namespace of its own or, and then why, among the machine's own ports.
 */
export type Place = { readonly inside: true } | { readonly inside: false; readonly why: string };

/** What one measurement uses. */
export interface Portion {
  /** The ports that the kernel chooses from. */
  readonly kernelRange: PortRange;
  /** The ports that portwarden chooses from. */
  readonly portwardenRange: PortRange;
  /** The most connections that a way opens. */
  readonly connections: number;
}

export interface Plan {
  readonly place: Place;
  /** The local address of those ways that can choose it. */
  readonly source: string;
  readonly destinations: number;
  /** The first server's port; 0 for ports that the kernel chooses. */
  readonly serverPort: number;
  readonly ways: readonly WayName[];
  /** Connections that each way opens and closes before it is timed. */
  readonly warmUp: number;
  readonly capacity: Portion;
  readonly filling: Portion;
  /** Parts that were wanted, or would show more, and are left out: whole sentences. */
  readonly leftOut: readonly string[];
}

// Inside of a namespace: as few ports as show it at once, and as many as make the kernel's search
// long enough to see and still end in some ten seconds.
const CAPACITY_RANGE = 512;
const FILLING_RANGE = 8192;
const FIRST_PORT = 40_000;
const PORT_MAX = 65_535;
const SERVER_PORT = 9000;
// For files that Node itself opens, in the client and in each server.
const FILES_SPARE = 64;
// Below this the kernel's longer search drowns in the noise: some 40 ns for each port passed over.
const TELLING_RANGE = 4000;

// Where the kernel does not say: the range that IANA sets aside, as macOS and Windows use it.
const DYNAMIC_PORTS: PortRange = { first: 49_152, last: 65_535 };
const UNPRIVILEGED_FIRST = 1024;

/**
 * Looks at the machine and makes a plan.
 * @throws CannotRun if not one connection can be opened.
 */
export function makePlan(options: DemoOptions, place: Place): Plan {
  const { destinations, ways, warmUp } = options;
  const host = readHostState();
  const portions = place.inside ? inside(options, host) : outside(options, host);
  return {
    place,
    // Other loopback addresses than the first are there at once only on Linux.
    source: process.platform === "linux" ? "127.0.0.2" : "127.0.0.1",
    destinations,
    serverPort: place.inside ? SERVER_PORT : 0,
    ways,
    warmUp,
    ...portions,
  };
}

type Portions = Pick<Plan, "capacity" | "filling" | "leftOut">;

function inside(options: DemoOptions, host: HostState): Portions {
  const { destinations, range } = options;
  const room = roomFor(host);
  const connections = Math.min(options.connections ?? room, room);
  const capacityPorts = range ?? even(Math.min(CAPACITY_RANGE, room / destinations));
  const fillingPorts = range ?? even(Math.min(FILLING_RANGE, room));
  const needed = Math.max(capacityPorts * destinations, fillingPorts);
  const leftOut = notUsedUp("all ports", needed, connections, options, host);
  if (fillingPorts < TELLING_RANGE) {
    const limit = range === undefined ? filesOf(host) : "--range";
    leftOut.push(
      `The kernel's slow half: its search passes over ${counted(fillingPorts >> 1, "port")} at most, ` +
        `which is too short to show. It does with ${figure(FILLING_RANGE)} ports (${limit}).`,
    );
  }
  return {
    capacity: same(rangeOf(capacityPorts), connections),
    filling: same(rangeOf(fillingPorts), connections),
    leftOut,
  };
}

function outside(options: DemoOptions, host: HostState): Portions {
  const kernelRange = host.portRange ?? DYNAMIC_PORTS;
  const room = roomFor(host);
  const connections = Math.min(options.connections ?? room, room);
  const portwardenRange =
    options.range === undefined ? kernelRange : besides(kernelRange, options.range);
  const ports = kernelRange.last - kernelRange.first + 1;
  const needed = ports * options.destinations;
  const leftOut = notUsedUp("the kernel's range", needed, connections, options, host);
  if (connections < ports / 2) {
    leftOut.push(
      "The kernel's slow half: it begins when half of the range is in use, and so many are not opened.",
    );
  }
  const portion = { kernelRange, portwardenRange, connections };
  return { capacity: portion, filling: portion, leftOut };
}

function notUsedUp(
  what: string,
  needed: number,
  connections: number,
  options: DemoOptions,
  host: HostState,
): string[] {
  if (connections >= needed) return [];
  const limit = connections === options.connections ? "--connections" : filesOf(host);
  return [
    `Using up ${what}: that takes ${counted(needed, "connection")}, and there may be ` +
      `${figure(connections)} (${limit}).`,
  ];
}

/** The kernel's connect() leaves out the last port of an odd number of them. */
function even(count: number): number {
  return Math.floor(count / 2) * 2;
}

function same(range: PortRange, connections: number): Portion {
  return { kernelRange: range, portwardenRange: range, connections };
}

function rangeOf(ports: number): PortRange {
  const first = Math.min(FIRST_PORT, PORT_MAX + 1 - ports);
  return { first, last: first + ports - 1 };
}

/**
 * A range of so many ports that the kernel does not hand out by itself: above its own range, or
 * else just below it. Where neither has room, the last ports there are.
 */
function besides(kernel: PortRange, ports: number): PortRange {
  if (PORT_MAX - kernel.last >= ports) return { first: kernel.last + 1, last: kernel.last + ports };
  if (kernel.first - UNPRIVILEGED_FIRST >= ports) {
    return { first: kernel.first - ports, last: kernel.first - 1 };
  }
  return { first: PORT_MAX + 1 - ports, last: PORT_MAX };
}

/** How many connections this process, and each server, may have open. */
function roomFor(host: HostState): number {
  const { fileLimits, openFiles = 0 } = host;
  const room = (fileLimits?.soft ?? Number.MAX_SAFE_INTEGER) - openFiles - FILES_SPARE;
  if (room < 2) throw new CannotRun(`not one connection can be opened: ${filesOf(host)}`);
  return Math.min(room, Number.MAX_SAFE_INTEGER);
}

function filesOf({ fileLimits }: HostState): string {
  return `this process may have ${figure(fileLimits?.soft ?? 0)} files open; to raise it: ulimit -n`;
}
