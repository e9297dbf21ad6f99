// FlowList: what a manager holds, copied out of the core at one moment. A *flow* is the ports that
// are held with one description in one network; its line has 16 words
// (assembly/netstack/listing.ts):
//
//   0 flow · 1 network · 2 transport · 3 device · 4-7 address · 8-11 destination
//   12 destination port, and above it the number of ports · 13 flags · 14 lowest port, and above it
//   whether the binding is inline · 15 binding, with bits for counts that differ, for flows that its
//   aggregates do not count, and for an inline host
//
// Later changes of the manager do not show here.

import { BATCH_AT, BATCH_MAX, LINE_BYTES, LINES_AT, PORT_MAX } from "../../assembly/abi.ts";
import type { Core } from "../core/core.ts";
import { Address, ANY } from "../requests/address.ts";
import type { Key } from "../requests/parsing.ts";

const LINE = LINE_BYTES >> 2;
const FIRST_LINE = (LINES_AT - BATCH_AT) >> 2;
const RUN_BYTES = 12;
/** A bit of a line's last word: counts differ. */
const HAS_COUNTS = 1;

/** Is a line wanted? `at` is its first word. */
export type LineFilter = (words: Uint32Array, at: number) => boolean;

/** The flows of a manager. */
export class FlowList {
  /** How many there are. */
  readonly count: number;
  /** 16 words for each. */
  readonly words: Uint32Array;
  /** The ports of flows that hold more than one, or none, by their place in the list. */
  readonly #ports = new Map<number, Uint16Array>();
  /** By how much counts differ from one for a held port, and from zero for another. */
  readonly #extra = new Map<number, ReadonlyMap<number, number>>();

  /** @param port lists only this port of each flow; 0: all that it holds. */
  private constructor(core: Core, lines: Lines, port: number) {
    this.words = lines.words;
    this.count = lines.count;
    for (let index = 0; index < this.count; index++) this.#readPorts(core, index, port);
  }

  /**
   * @param port lists only flows that hold this port, and only this port of each; 0: all, with all
   * their ports.
   */
  static of(core: Core, manager: number, port: number, filter: LineFilter): FlowList {
    const lines = new Lines();
    for (const end of batches(core, manager, port)) {
      for (let at = LINES_AT; at < end; at += LINE_BYTES) {
        const word = (at - BATCH_AT) >> 2;
        if (holdsAny(core.offsets, word) && filter(core.offsets, word))
          lines.add(core.offsets, word);
      }
    }
    return new FlowList(core, lines, port);
  }

  /** The given flows. */
  static ofFlows(core: Core, flows: readonly number[]): FlowList {
    const lines = new Lines();
    for (const flow of flows) {
      core.exports.writeLine(LINES_AT, flow);
      lines.add(core.offsets, FIRST_LINE);
    }
    return new FlowList(core, lines, 0);
  }

  /** The ports that a flow holds, ascending. */
  portsOf(index: number): ArrayLike<number> {
    return this.#ports.get(index) ?? [(this.words[index * LINE + 14] as number) & PORT_MAX];
  }

  /** How often a flow holds each of its ports, ascending; then the ports that count below zero. */
  *countsOf(index: number): Generator<[port: number, count: number]> {
    const extra = this.#extra.get(index);
    const ports = this.portsOf(index);
    for (let at = 0; at < ports.length; at++) {
      const port = ports[at] as number;
      yield [port, 1 + (extra?.get(port) ?? 0)];
    }
    for (const [port, by] of extra ?? []) if (by < 0) yield [port, by];
  }

  /** The ports whose counts are not those of a plain reservation, and by how much. */
  extraOf(index: number): ReadonlyMap<number, number> | undefined {
    return this.#extra.get(index);
  }

  #readPorts(core: Core, index: number, port: number): void {
    const at = index * LINE;
    const flow = this.words[at] as number;
    const held = (this.words[at + 12] as number) >>> 16;
    if (((this.words[at + 15] as number) & HAS_COUNTS) !== 0)
      this.#readExtra(core, index, flow, port);
    if (port === 0) {
      if (held !== 1) this.#ports.set(index, portsOf(core, flow, held));
    } else {
      const [found] = portsOf(core, flow, 1, port);
      this.#ports.set(index, Uint16Array.from(found === port ? [port] : []));
    }
  }

  #readExtra(core: Core, index: number, flow: number, only: number): void {
    const extra = new Map<number, number>();
    const { nextExtraOf, extraOf } = core.exports;
    let port = nextExtraOf(flow, Math.max(1, only));
    for (; port !== 0 && (only === 0 || port === only); port = nextExtraOf(flow, port + 1)) {
      extra.set(port, extraOf(flow, port));
    }
    this.#extra.set(index, extra);
  }
}

/** Has the flow of a line ports, or counts below zero? */
export function holdsAny(words: Uint32Array, at: number): boolean {
  return (words[at + 12] as number) >>> 16 !== 0 || ((words[at + 15] as number) & HAS_COUNTS) !== 0;
}

/** Up to `count` ports of a flow, ascending from a port on. */
export function portsOf(core: Core, flow: number, count: number, from = 1): Uint16Array {
  const ports = new Uint16Array(count);
  let done = 0;
  for (let port = from; done < count; port = (ports[done - 1] as number) + 1) {
    const got = Math.min(core.exports.listPorts(flow, port), count - done);
    if (got === 0) break;
    ports.set(core.ports.subarray(0, got), done);
    done += got;
    if (got < BATCH_MAX) break;
  }
  return ports.subarray(0, done);
}

/** Where the core's lists end in the batch, one batch after the other. */
function* batches(core: Core, manager: number, port: number): Generator<number> {
  let slot = 0;
  do {
    slot = core.exports.listFlows(manager, slot, port);
    yield core.offsets[0] as number;
  } while (slot !== 0);
}

/**
 * Visits all flows of a manager in runs. A run of flows of one binding that hold one port once has
 * their singles: how many, in how many bytes from an address on. Any other flow is a run without
 * singles.
 */
export function forEachRun(
  core: Core,
  manager: number,
  visit: (flow: number, binding: number, count: number, from: number, bytes: number) => void,
): void {
  for (const end of batches(core, manager, PORT_MAX + 1)) {
    const view = new DataView(core.offsets.buffer);
    for (let at = LINES_AT; at < end; ) {
      const [flow, binding] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
      const [bytes, count] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
      at += RUN_BYTES;
      visit(flow, binding, count, at, bytes);
      at += bytes;
    }
  }
}

/** Lines that are copied one after the other. */
class Lines {
  words = new Uint32Array(64 * LINE);
  count = 0;

  add(batch: Uint32Array, at: number): void {
    if (this.count * LINE === this.words.length) this.#grow();
    const to = this.count * LINE;
    for (let word = 0; word < LINE; word++) this.words[to + word] = batch[at + word] as number;
    this.count++;
  }

  #grow(): void {
    const larger = new Uint32Array(2 * this.words.length);
    larger.set(this.words);
    this.words = larger;
  }
}

/** The description of a line, in its network alone. `at` is the line's first word. */
export function keyAt(words: Uint32Array, at: number): Key {
  return {
    networks: [words[at + 1] as number],
    transport: words[at + 2] as number,
    address: addressAt(words, at + 4),
    device: words[at + 3] as number,
    destination: addressAt(words, at + 8),
    destinationPort: (words[at + 12] as number) & PORT_MAX,
    flags: words[at + 13] as number,
    group: undefined,
    reserved: undefined,
  };
}

function addressAt(words: Uint32Array, at: number): Address {
  const [a = 0, b = 0, c = 0, d = 0] = words.subarray(at, at + 4);
  return (a | b | c | d) === 0 ? ANY : new Address([a, b, c, d]);
}

/** The description of a line as one text, the {@link keyText} of its key. */
export function lineText(words: Uint32Array, at: number): string {
  const end = (words[at + 12] as number) & PORT_MAX;
  return `${words.subarray(at + 1, at + 12).join()},${end},${words[at + 13]}`;
}

/** A description in one of its networks as one text. */
export function keyText(key: Key, network: number): string {
  const { transport, device, address, destination, destinationPort, flags } = key;
  const ends = [...address.words, ...destination.words];
  return [network, transport, device, ...ends, destinationPort, flags].join();
}
