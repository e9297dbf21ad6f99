// Explanation of a ConnectorError: how many ports of all sources each rule takes away.

import type { ExplainRule, Explanation, Obstacle, PortRange } from "../../index.ts";
import type { Pair } from "../sources/pair.ts";
import type { Exhausted } from "./connector-error.ts";
import { counted, figure } from "./words.ts";

/** Limits that are met before any port is picked: the error's own words explain them. */
const LIMITS: ReadonlySet<Exhausted> = new Set<Exhausted>([
  ...(["files", "attempts", "waiters", "time", "memory"] as const),
]);

/** The parts of a connector's range, for each source. */
interface Ports {
  readonly range: PortRange;
  /** Ports of the range that the group does not allow. */
  readonly outside: number;
  readonly reserved: number;
  readonly keptFree: number;
}

/** Why there was no connection, and how many ports there are now. */
interface Refused {
  readonly exhausted: Exhausted;
  readonly why: string;
  readonly ports: Ports;
  /**
   * The pairs of all sources with the destination; those of sources that were never used are
   * missing.
   */
  readonly pairs: readonly Pair[];
  /** How many sources can be bound, as far as is known. */
  readonly sources: number;
  /** Ports of sources that would connect to themselves. */
  readonly avoided: number;
  readonly now: number;
}

/** The arithmetic of the ports of all sources, as things are now. */
export function explainRefused(refused: Refused): Explanation {
  const { exhausted, why, ports, pairs, sources, now } = refused;
  const { range } = ports;
  const taken = takenBy(refused);
  const obstacles: Obstacle[] = LIMITS.has(exhausted) ? [{ rule: "limit", text: why }] : [];
  for (const { source } of pairs) {
    const left = source.absentUntil - now;
    if (left <= 0) continue;
    const again = `tried again in ${figure(Math.ceil(left))} ms`;
    obstacles.push({ rule: "source", text: `${source.address} cannot be bound; ${again}` });
  }
  let free = (range.last - range.first + 1) * sources;
  for (const [rule, count, what] of taken) {
    if (count <= 0) continue;
    free -= count;
    const text = `${counted(count, "port")} of ${counted(sources, "source")} ${what}`;
    obstacles.push({ rule, text, ports: count });
  }
  free = Math.max(free, 0); // ports of others' blocks may be held, too
  return { allowed: free > 0, port: 0, because: obstacles, searched: range, free };
}

type Taken = readonly [rule: ExplainRule, count: number, what: string];

/** How many ports each rule takes away, each port counted once. */
function takenBy({ ports, pairs, sources, avoided, now }: Refused): Taken[] {
  const present = pairs.filter(({ source }) => source.absentUntil <= now);
  const sum = (of: (pair: Pair) => number): number =>
    present.reduce((total, pair) => total + of(pair), 0);
  const held = sum(({ heldCount }) => heldCount);
  const cooling = sum(({ coolingCount }) => coolingCount);
  const quarantined = sum(({ quarantined }) => quarantined.size);
  const allowed = ports.range.last - ports.range.first + 1 - ports.outside;
  const usable = (allowed - ports.reserved - ports.keptFree) * sources - avoided;
  const isLeased = present.some(({ leased }) => leased !== undefined);
  const leased = isLeased ? sum(({ leased }) => leased?.leasedPorts ?? 0) : usable;
  return [
    ["outside-group", ports.outside * sources, "are outside the group's range"],
    ["reserved", ports.reserved * sources, "are reserved"],
    ["headroom", ports.keptFree * sources, "are kept free for other programs"],
    ["avoided", avoided, "would be connected to themselves"],
    ["blocks", usable - Math.min(usable, leased), "are not in leased blocks"],
    ["held", held, "are held by connections"],
    ["quarantined", quarantined, "are held by other programs, or not quite closed"],
    ["cooling", cooling, "cool down"],
  ];
}
