// Workloads: the numbers and orders that every system in a benchmark is given alike.

import { SeededRandom } from "../../bindings/core/random.ts";

export const FIRST = 16000;
export const LAST = 65535;
export const COUNT: number = LAST - FIRST + 1;

/** The ephemeral ports in a random order that is the same in every run. */
export function shuffledPorts(): number[] {
  const random = new SeededRandom(1);
  const ports = Array.from({ length: COUNT }, (_, index) => FIRST + index);
  for (let index = COUNT - 1; index >= 1; index--) {
    const other = random.next() % (index + 1);
    [ports[index], ports[other]] = [ports[other] as number, ports[index] as number];
  }
  return ports;
}

/** Offsets of one batch, the same in every run. */
export function offsetsOf(seed: number, length: number): Uint32Array {
  const random = new SeededRandom(seed);
  return Uint32Array.from({ length }, () => random.next() >>> 1);
}

/** A running digest of results, which differs where the work was not equal (FNV-1a). */
export function digestOf(ports: Iterable<number>): string {
  let hash = 0x811c9dc5;
  for (const port of ports) hash = Math.imul(hash ^ port, 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0");
}
