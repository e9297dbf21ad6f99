// Local range: which of a machine's ports are held or reserved before a benchmark begins. The same
// in every run.

import { SeededRandom } from "../../bindings/core/random.ts";
import { LinuxPorts, type PortRange, ReservedPorts } from "../../bindings/index.ts";
import { shuffledPorts } from "./workloads.ts";

/** How much of the range is held. */
export const PERCENTS: readonly number[] = [0, 50, 90, 99, 99.9];

/** The kernel's default range, 28,232 ports; a tenth of it in tiny runs. */
export function rangeFor(smoke: boolean): PortRange {
  return { first: 32768, last: smoke ? 35590 : 60999 };
}

export function countOf({ first, last }: PortRange): number {
  return last - first + 1;
}

/** In their own order. */
export function portsOf(range: PortRange): number[] {
  return Array.from({ length: countOf(range) }, (_, index) => range.first + index);
}

// ── Orders in which ports are held ────────────────────────────────────────────────────────

/** A random one: the free ports lie scattered. */
export function scattered({ first, last }: PortRange): number[] {
  return shuffledPorts().filter((port) => port >= first && port <= last);
}

/**
 * That in which searches from random starts find them. The port behind a run of held ones is found
 * oftener than others, so runs grow, and the free ports lie together.
 */
export function searched(range: PortRange): number[] {
  using ports = LinuxPorts.open({ portRange: range, seed: 3 });
  return Array.from({ length: countOf(range) }, () => ports.socket().bind("", 0));
}

/** What is held of an order at that share. */
export function shareOf(order: readonly number[], percent: number): number[] {
  return order.slice(0, Math.round((order.length * percent) / 100));
}

// ── Reserved ports ────────────────────────────────────────────────────────────────────────

/** So many ports of the range at random. */
export function reservedAtRandom(range: PortRange, count: number): ReservedPorts {
  const random = new SeededRandom(7);
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(range.first + (random.next() % countOf(range)));
  return new ReservedPorts([...chosen].join(","));
}

/** So many side by side, in the middle of the range. */
export function reservedAsBlock(range: PortRange, count: number): ReservedPorts {
  const first = range.first + (countOf(range) >> 1);
  return new ReservedPorts(`${first}-${first + count - 1}`);
}
