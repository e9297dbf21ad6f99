// JSON: the findings as one document for programs. Keys are only ever added.

import type { Capacity, Filling } from "./measures.ts";
import type { Findings } from "./run.ts";

/** The findings as an object for JSON; times in milliseconds, medians for steps. */
export function documentOf(
  { plan, capacities, fillings, stop }: Findings,
  faults: string[],
): object {
  const { place, source, destinations, warmUp, capacity, filling, leftOut } = plan;
  return {
    namespace: place.inside,
    namespaceWhyNot: place.inside ? undefined : place.why,
    source,
    destinations,
    capacity: { ...capacity, ways: capacities.map(ofCapacity) },
    filling: { ...filling, warmUp, ways: fillings.map(ofFilling) },
    leftOut,
    faults,
    stopped: stop,
  };
}

function ofCapacity(capacity: Capacity): object {
  const { localPorts, sharedBy, sources } = capacity;
  return { ...common(capacity), localPorts, sharedBy, sources };
}

function ofFilling(filling: Filling): object {
  const { steps, refusalMs } = filling;
  return { ...common(filling), refusalMs, steps };
}

function common(course: Capacity | Filling): object {
  const { way, ports, opened, seen, end, errors, lost, held, ms } = course;
  return { way, ports, opened, seen, end, errors, lost, held, ms };
}
