// Local range: which of a system's ports are held before a suite begins. The same in every run.

import type { PortRange } from "../../bindings/index.ts";
import { Linux2632Ports } from "../../bindings/linux/rules/2.6.32/ports.ts";
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
  using ports = Linux2632Ports.open({ portRange: range, seed: 3 });
  return Array.from({ length: countOf(range) }, () => ports.socket().bind("", 0));
}

/** What is held of an order at that share. */
export function shareOf(order: readonly number[], percent: number): number[] {
  return order.slice(0, Math.round((order.length * percent) / 100));
}
