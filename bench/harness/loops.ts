// Loops: the functions that are timed, compiled for each system by itself, and the implementations
// made of them.
//
// V8 optimises a function for the classes that it has seen there, so one loop over the calls of
// several systems would be slow for all of them. Each system gets a copy of its own, which knows
// that system's class alone, as a program that uses one of them would.

import type { Allocator, BatchAllocator } from "./allocators.ts";
import type { Implementation, System } from "./session.ts";
import { digestOf } from "./workloads.ts";

const copies = new Map<string, unknown>();

/**
 * The copy that a system has of a function, compiled from its text. The function refers to nothing
 * but its parameters. The system has the same copy each time, so that it is compiled once.
 */
export function copyFor<Loop>(system: string, loop: Loop): Loop {
  const text = `"use strict"; return (${loop}); // ${system}`;
  const copy = copies.get(text) ?? new Function(text)();
  copies.set(text, copy);
  return copy as Loop;
}

/** What the digest has for a search that was refused. */
const REFUSED = 0;

/** What a system does, and where it has to look for ports. */
export interface Task<Ports> {
  readonly system: System;
  readonly ports: Ports;
  /** Where the searches start: more than a branch predictor learns by heart. */
  readonly offsets: Uint32Array;
  /** Operations in one sample. */
  readonly operations: number;
  /** How many of the searches are digested. */
  readonly digested: number;
  close?(): void;
}

/** Takes a port for each offset, and frees it at once. */
export function takingOne(task: Task<Allocator>): Implementation {
  const { system, ports, offsets, operations, digested, close } = task;
  const loop = copyFor(system, takeAndFree);
  const run = inPieces(offsets.length, operations, (from, to) => loop(ports, offsets, from, to));
  const once = (offset: number): number => {
    const port = ports.take(offset);
    return port > 0 && ports.free(port) ? port : REFUSED;
  };
  const digest = (): string => digestOf(offsets.subarray(0, digested).map(once));
  return { system, operations, run, digest, ...(close && { close }) };
}

function takeAndFree(ports: Allocator, offsets: Uint32Array, from: number, to: number): void {
  for (let index = from; index < to; index++) {
    const port = ports.take(offsets[index] as number);
    if (port > 0) ports.free(port);
  }
}

/** So many lists of offsets fit the caches, whatever their length. */
const LISTS_MAX = 1024;

/** Takes ports of a batch in one call, and frees them in another; in a full range one refusal. */
export function takingMany(
  task: Task<BatchAllocator>,
  size: number,
  isFull: boolean,
): Implementation {
  const { system, ports, operations, close } = task;
  const batches = isFull ? operations : Math.ceil(operations / size);
  const lists = listsOf(task.offsets, size, batches);
  const batch = new Uint16Array(size);
  const loop = copyFor(system, takeAndFreeMany);
  const once = (list: Uint32Array): number[] => {
    const taken = batch.subarray(0, ports.takeMany(batch, list));
    return [...taken, ports.freeMany(taken)];
  };
  return {
    system,
    operations: isFull ? batches : batches * size,
    run: inPieces(lists.length, batches, (from, to) => loop(ports, batch, lists, from, to)),
    digest: () => digestOf(lists.slice(0, batches).flatMap(once)),
    ...(close && { close }),
  };
}

function takeAndFreeMany(
  ports: BatchAllocator,
  batch: Uint16Array,
  lists: readonly Uint32Array[],
  from: number,
  to: number,
): void {
  for (let index = from; index < to; index++) {
    const isWhole = ports.takeMany(batch, lists[index] as Uint32Array) === batch.length;
    if (isWhole) ports.freeMany(batch);
  }
}

/** The offsets in lists of a size, some of them again where there are too few. */
function listsOf(offsets: Uint32Array, size: number, batches: number): Uint32Array[] {
  const different = Math.floor(offsets.length / size);
  const length = Math.max(batches, Math.min(different, LISTS_MAX));
  return Array.from({ length }, (_, index) => {
    const from = (index % different) * size;
    return offsets.subarray(from, from + size);
  });
}

/** A loop over the next piece of a list with each call, again from the start behind its end. */
function inPieces(
  total: number,
  length: number,
  loop: (from: number, to: number) => void,
): () => void {
  let from = 0;
  return () => {
    loop(from, from + length);
    from = from + 2 * length > total ? 0 : from + length;
  };
}
