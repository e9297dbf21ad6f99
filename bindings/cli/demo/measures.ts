// Measures: the two measurements of a way. Capacity: how many connections it has open at once,
// spread over several destinations, before the first refusal. Filling: what one connection costs as
// the ports towards one destination run out.

import { OpenConnections } from "./connections.ts";
import type { WayName } from "./options.ts";
import type { Servers } from "./servers.ts";
import type { Way } from "./ways.ts";

/** Why no more were opened: refused, at the maximum, out of time, or stopped. */
export type End = "refused" | "enough" | "time" | "stopped";

/** The result of a measurement. */
interface Course {
  readonly way: WayName;
  /** Ports of the range that the way chooses from. */
  readonly ports: number;
  /** Connections open at the end. */
  readonly opened: number;
  /** Of those, the ones that the servers held. */
  readonly seen: number;
  readonly end: End;
  /** How many could not be opened, by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** Codes among them that have nothing to do with ports or room. */
  readonly strangeErrors: readonly string[];
  /** Connections that broke while in use. */
  readonly lost: number;
  /** Ports that the way still held when all had closed. */
  readonly held: number;
  /** Milliseconds from the first connection to the last. */
  readonly ms: number;
}

export interface Capacity extends Course {
  /** Distinct pairs of local address and port. */
  readonly localPorts: number;
  /** The most connections that one of those had at once. */
  readonly sharedBy: number;
  /** The local addresses that connections came from. */
  readonly sources: readonly string[];
}

/** The connections opened while a certain part of the range was in use. */
interface Step {
  /** The middle of the step, in percent of the range. */
  readonly percent: number;
  /** The median of the time from connect() to connected, in milliseconds. */
  readonly ms: number;
}

export interface Filling extends Course {
  readonly steps: readonly Step[];
  /** Milliseconds until the refusal came that ended it, if one did. */
  readonly refusalMs?: number | undefined;
}

/** The bounds of a measurement. */
export interface Bounds {
  /** The most connections. */
  readonly connections: number;
  /** The most milliseconds. */
  readonly ms: number;
  readonly stop: AbortSignal;
  /** Called with the number of open connections. */
  readonly onProgress: (opened: number) => void;
}

/** Parts of the range whose times are told apart. */
export const STEPS = 50;

/** Opens connections to all servers in turn, until the first refusal. */
export async function measureCapacity(
  way: Way,
  servers: Servers,
  bounds: Bounds,
): Promise<Capacity> {
  const { destinations } = servers;
  const connections = new OpenConnections(way);
  const start = performance.now();
  let end: End | undefined;
  for (let turn = 0; end === undefined; turn++) {
    const destination = destinations[turn % destinations.length];
    if (destination === undefined || !(await connections.open(destination))) end = "refused";
    else end = endOf(connections, bounds, start);
  }
  const ms = performance.now() - start;
  const opened = connections.size;
  if (end === "refused") {
    // Is it refused for the others as well?
    for (const destination of destinations.slice(1)) await connections.open(destination);
  }
  const { portCount: localPorts, sharedBy, sources } = connections;
  return {
    ...(await closeAll(way, servers, connections, { opened, end, ms })),
    localPorts,
    sharedBy,
    sources,
  };
}

/** Opens connections to the first server, until none is left, and times each. */
export async function measureFilling(way: Way, servers: Servers, bounds: Bounds): Promise<Filling> {
  const [destination] = servers.destinations;
  if (destination === undefined) throw new Error("There is no server");
  const connections = new OpenConnections(way);
  const times: number[] = [];
  const start = performance.now();
  let end: End | undefined;
  let refusalMs: number | undefined;
  while (end === undefined) {
    const before = performance.now();
    const isOpen = await connections.open(destination);
    const ms = performance.now() - before;
    if (isOpen) times.push(ms);
    else refusalMs = ms;
    end = isOpen ? endOf(connections, bounds, start) : "refused";
  }
  const ms = performance.now() - start;
  const course = await closeAll(way, servers, connections, { opened: connections.size, end, ms });
  const steps = stepsOf(times, course.ports);
  return { ...course, steps, ...(refusalMs === undefined ? {} : { refusalMs }) };
}

function endOf(connections: OpenConnections, bounds: Bounds, start: number): End | undefined {
  bounds.onProgress(connections.size);
  if (bounds.stop.aborted) return "stopped";
  if (connections.size >= bounds.connections) return "enough";
  return performance.now() - start > bounds.ms ? "time" : undefined;
}

async function closeAll(
  way: Way,
  servers: Servers,
  connections: OpenConnections,
  { opened, end, ms }: { opened: number; end: End; ms: number },
): Promise<Course> {
  const more = connections.size - opened;
  const seen = (await servers.held(connections.size)) - more;
  await connections.close();
  await servers.held(0);
  return {
    way: way.name,
    ports: way.range.last - way.range.first + 1,
    opened,
    seen,
    end,
    errors: Object.fromEntries(connections.errors),
    strangeErrors: connections.strangeErrors,
    lost: connections.lost,
    held: way.close(),
    ms,
  };
}

/** The medians of times, the n-th of which was measured with n of the ports in use. */
function stepsOf(times: readonly number[], ports: number): Step[] {
  const steps: Step[] = [];
  for (let index = 0; index < STEPS; index++) {
    const from = Math.floor((index * ports) / STEPS);
    const to = Math.floor(((index + 1) * ports) / STEPS);
    const sorted = times.slice(from, to).sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1];
    if (median !== undefined) steps.push({ percent: ((index + 0.5) * 100) / STEPS, ms: median });
  }
  return steps;
}
