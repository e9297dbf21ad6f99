// Ledger: how often each key is held at each port, with each of the eight flag sets.
//
// It judges nothing; it books what the reference model has granted. What a pool can be asked and a
// reservation cannot (`has`, `held`, `unique`) is answered from here, and at the end of a run it
// knows what must be given back.

import type { Ask } from "../../support/ask.ts";

/** One key in one network. */
interface Row {
  readonly ask: Ask;
  readonly ports: Map<number, number[]>;
}

export interface Held {
  readonly ask: Ask;
  readonly port: number;
}

export class Ledger {
  readonly #rows = new Map<string, Row>();

  add(ask: Ask, port: number): void {
    for (const network of ask.networks) {
      const name = nameOf(ask, network);
      let row = this.#rows.get(name);
      if (row === undefined) {
        const { transport, address, device, destination, flags } = ask;
        const key = { networks: [network], transport, address, device, destination, flags };
        row = { ask: key, ports: new Map() };
        this.#rows.set(name, row);
      }
      const counts = row.ports.get(port) ?? [0, 0, 0, 0, 0, 0, 0, 0];
      counts[ask.flags] = (counts[ask.flags] ?? 0) + 1;
      row.ports.set(port, counts);
    }
  }

  drop(ask: Ask, port: number): void {
    for (const network of ask.networks) {
      const name = nameOf(ask, network);
      const row = this.#rows.get(name);
      const counts = row?.ports.get(port);
      if (row === undefined || counts === undefined) continue;
      counts[ask.flags] = (counts[ask.flags] ?? 0) - 1;
      if (sum(counts) <= 0) row.ports.delete(port);
      if (row.ports.size === 0) this.#rows.delete(name);
    }
  }

  /** With exactly these flags, in every network. */
  has(ask: Ask, port: number): boolean {
    return ask.networks.every((network) => this.#countAt(ask, network, port) > 0);
  }

  /** The very tuple, with any flags, in one of the networks. */
  isTaken(ask: Ask, port: number): boolean {
    return ask.networks.some((network) => this.#row(ask, network)?.ports.has(port) === true);
  }

  /** The ports with exactly these flags in the first of the networks. */
  held(ask: Ask): number[] {
    const network = ask.networks[0] as number;
    const ports = [...(this.#row(ask, network)?.ports.keys() ?? [])];
    return ports.filter((port) => this.#countAt(ask, network, port) > 0);
  }

  /** Any of what is held, by number; with a flag set that holds it. */
  pick(drawn: number): Held | undefined {
    let index = drawn % Math.max(1, this.counters);
    for (const { ask, ports } of this.#rows.values()) {
      if (index >= ports.size) {
        index -= ports.size;
        continue;
      }
      const [port, counts] = [...ports][index] as [number, number[]];
      return { ask: { ...ask, flags: counts.findIndex((count) => count > 0) }, port };
    }
    return undefined;
  }

  /** All that is held: each key with each flag set that it has a count for. */
  *entries(): Generator<Held & { readonly count: number }> {
    for (const { ask, ports } of this.#rows.values()) {
      for (const [port, counts] of ports) {
        for (const [flags, count] of counts.entries()) {
          if (count !== 0) yield { ask: { ...ask, flags }, port, count };
        }
      }
    }
  }

  /** Those of both networks in which the key is held at that port. */
  networksOf(ask: Ask, port: number): number[] {
    return [4, 6].filter((network) => this.#row(ask, network)?.ports.has(port) === true);
  }

  /** Keys, each once per network. */
  get rows(): number {
    return this.#rows.size;
  }

  get counters(): number {
    let counters = 0;
    for (const { ports } of this.#rows.values()) counters += ports.size;
    return counters;
  }

  get references(): number {
    let references = 0;
    for (const { ports } of this.#rows.values()) {
      for (const counts of ports.values()) references += sum(counts);
    }
    return references;
  }

  #row(ask: Ask, network: number): Row | undefined {
    return this.#rows.get(nameOf(ask, network));
  }

  #countAt(ask: Ask, network: number, port: number): number {
    return this.#row(ask, network)?.ports.get(port)?.[ask.flags] ?? 0;
  }
}

function nameOf({ transport, address, device, destination }: Ask, network: number): string {
  return `${network}|${transport}|${address}|${device}|${destination.address}|${destination.port}`;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
