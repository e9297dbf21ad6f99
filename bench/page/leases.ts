// Leases: four workers that share the ports in blocks of 64, as guide/many-processes describes.
//
//   free ──▶ open ──▶ draining ──▶ free        a worker takes ports of its open blocks alone

import { ReservedPorts } from "../../bindings/index.ts";
import type { Span } from "./protocol.ts";

const SHIFT = 6;
const BLOCKS = 1024;
/** A block runs dry when it and so many more ports are left over. */
const SPARE = 64;

export class Leases {
  /** By worker: all ports but those of its open blocks. */
  readonly masks: readonly ReservedPorts[];
  /** By block: the worker that has it, from 1 on; 0: none. */
  readonly owners: Uint8Array = new Uint8Array(BLOCKS);
  readonly #uses: Uint16Array = new Uint16Array(BLOCKS);
  readonly #open: readonly Set<number>[];
  readonly #reserved: ReservedPorts;
  readonly #range: () => Span;
  #next = 0;

  constructor(workers: number, reserved: ReservedPorts, range: () => Span) {
    this.masks = Array.from({ length: workers }, () => new ReservedPorts("0-65535"));
    this.#open = this.masks.map(() => new Set());
    this.#reserved = reserved;
    this.#range = range;
  }

  /** Opens the fullest block that drains, or leases another; false: all are leased. */
  grow(worker: number): boolean {
    const draining = this.#blocksOf(worker).filter((block) => !this.#open[worker]?.has(block));
    const block = this.#fullestFirst(draining)[0] ?? this.#free();
    if (block === undefined) return false;
    this.owners[block] = worker + 1;
    this.#open[worker]?.add(block);
    for (let port = block << SHIFT; port < (block + 1) << SHIFT; port++) {
      if (!this.#reserved.has(port)) this.masks[worker]?.delete(port, port);
    }
    return true;
  }

  onTaken(port: number): void {
    this.#uses[port >> SHIFT] = (this.#uses[port >> SHIFT] as number) + 1;
  }

  onFreed(port: number): void {
    const block = port >> SHIFT;
    this.#uses[block] = (this.#uses[block] as number) - 1;
    const open = this.#open[(this.owners[block] as number) - 1];
    if (this.#uses[block] === 0 && !open?.has(block)) this.owners[block] = 0;
  }

  /** Blocks that are not needed run dry, the emptiest first. */
  tidy(): void {
    for (const [worker, open] of this.#open.entries()) {
      const uses = this.#blocksOf(worker).reduce((sum, at) => sum + (this.#uses[at] as number), 0);
      while ((open.size - 1) << SHIFT > uses + SPARE) {
        const block = this.#fullestFirst([...open]).at(-1) as number;
        open.delete(block);
        this.masks[worker]?.add(block << SHIFT, ((block + 1) << SHIFT) - 1);
        if (this.#uses[block] === 0) this.owners[block] = 0;
      }
    }
  }

  #blocksOf(worker: number): number[] {
    const { first, last } = this.#range();
    const blocks: number[] = [];
    for (let block = first >> SHIFT; block <= last >> SHIFT; block++) {
      if (this.owners[block] === worker + 1) blocks.push(block);
    }
    return blocks;
  }

  #fullestFirst(blocks: number[]): number[] {
    return blocks.sort((a, b) => (this.#uses[b] as number) - (this.#uses[a] as number));
  }

  /** Scattered over the range: a step of 97 blocks meets each of 1,024 once. */
  #free(): number | undefined {
    const { first, last } = this.#range();
    for (let tries = 0; tries < BLOCKS; tries++) {
      this.#next = (this.#next + 97) % BLOCKS;
      const isInside = this.#next >= first >> SHIFT && this.#next <= last >> SHIFT;
      if (isInside && this.owners[this.#next] === 0) return this.#next;
    }
    return undefined;
  }
}
