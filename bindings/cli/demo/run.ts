// Run: carries out a plan, one way after the other, so that none disturbs another.

import { writeFileSync } from "node:fs";
import type { PortRange } from "../../index.ts";
import {
  type Bounds,
  type Capacity,
  type Filling,
  measureCapacity,
  measureFilling,
} from "./measures.ts";
import type { WayName } from "./options.ts";
import type { Plan, Portion } from "./plan.ts";
import { Servers } from "./servers.ts";
import { warmUp } from "./warm-up.ts";
import { makeWay, type Way } from "./ways.ts";

/** The findings; fewer than planned if the run was stopped. */
export interface Findings {
  readonly plan: Plan;
  readonly capacities: readonly Capacity[];
  readonly fillings: readonly Filling[];
  /** Why the run was cut short, if it was. */
  readonly stop: string | undefined;
}

/** Called with the progress: the measurement, the way, how many are open, of how many. */
type OnProgress = (what: "capacity" | "filling", way: WayName, opened: number, of: number) => void;

/** What one way may take for one measurement. */
const WAY_MS_MAX = 10_000;
const RANGE_SETTING = "/proc/sys/net/ipv4/ip_local_port_range";

/** Carries out a plan. */
export async function run(
  plan: Plan,
  stop: AbortSignal,
  onProgress: OnProgress,
): Promise<Findings> {
  const servers = await Servers.start(plan.destinations, plan.serverPort, stop);
  const capacities: Capacity[] = [];
  const fillings: Filling[] = [];
  const bounds = (way: Way, what: "capacity" | "filling", each: number): Bounds => {
    const { connections } = plan[what];
    const of = Math.min(connections, (way.range.last - way.range.first + 1) * each);
    return {
      connections,
      ms: WAY_MS_MAX,
      stop,
      onProgress: (opened) => onProgress(what, way.name, opened, of),
    };
  };
  try {
    for (const name of namesUntil(plan, stop)) {
      const way = wayFor(name, plan, plan.capacity);
      const each = name === "localAddress" ? 1 : plan.destinations;
      capacities.push(await measureCapacity(way, servers, bounds(way, "capacity", each)));
    }
    const ways = [...namesUntil(plan, stop)].map((name) => wayFor(name, plan, plan.filling));
    const serverPort = plan.serverPort && plan.serverPort + plan.destinations;
    await warmUp(ways, plan.warmUp, serverPort, stop);
    for (const way of ways) {
      if (stop.aborted) way.close();
      else fillings.push(await measureFilling(way, servers, bounds(way, "filling", 1)));
    }
  } finally {
    await servers.close();
  }
  return { plan, capacities, fillings, stop: stop.aborted ? String(stop.reason) : undefined };
}

function* namesUntil({ ways }: Plan, stop: AbortSignal): Generator<WayName> {
  for (const name of ways) if (!stop.aborted) yield name;
}

function wayFor(name: WayName, { place, source }: Plan, portion: Portion): Way {
  if (place.inside) setKernelRange(portion.kernelRange);
  return makeWay(name, { source, ...portion });
}

/** Inside of a namespace: it is the namespace's. */
function setKernelRange({ first, last }: PortRange): void {
  writeFileSync(RANGE_SETTING, `${first} ${last}`);
}
