// ReservedPorts: a list of ports that automatic selection passes over.
//
// The list is in the object. The core has a copy as long as a pool, a system or a request uses it,
// so that an unused list costs no linear memory.

import { PORT_MAX } from "../../assembly/abi.ts";
import { setKind } from "../core/brands.ts";
import { registerCleanup } from "../core/cleanup.ts";
import { type Core, coreOf } from "../core/core.ts";
import { closed, invalid, noMemory, PortError, wrongKind, wrongType } from "../errors.ts";
import { readOptions } from "../requests/checks.ts";
import type { PortRange } from "../requests/range.ts";
import { checkText, mergeSpans, parseReserved, printReserved } from "./texts.ts";

/** Where a list of reserved ports lives. */
export interface ReservedOptions {
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module | undefined;
}

// Frees the core's copy of a list that has become garbage.
const cleanup = registerCleanup<{ core: Core; reserved: number }>(({ core, reserved }) =>
  core.exports.closeReserved(reserved),
);

/**
 * Where the core keeps its copy of a list, which is made if need be. It stays where it is between
 * {@link holdList} and {@link dropList}; else until the next call.
 * @throws PortError `ERR_INVALID_ARG_TYPE` (not a ReservedPorts), `ERR_INVALID_ARG_VALUE` (of another
 * core), `EBADF` (closed), `ENOBUFS`.
 */
export let reservedAddress: (value: unknown, core: Core) => number;

/** Notes that a pool or system uses the list. */
export let holdList: (list: ReservedPorts) => void;

/**
 * Notes that a pool or system no longer uses the list. The core's copy is freed with the last use.
 */
export let dropList: (list: ReservedPorts) => void;

/** How many ports of a range are not in the list, counted by spans. */
export let unreservedIn: (list: ReservedPorts, range: PortRange) => number;

/** Reserves more ports, 0..65535, all at once. */
export let addPorts: (list: ReservedPorts, ports: Iterable<number>) => void;

/**
 * Ports that are kept out of automatic selection (Linux `ip_local_reserved_ports`): bind() with
 * port 0 and connect() pass over them; an explicit port may be one of them. A list can serve
 * several managers, and a change takes effect at once in all of them.
 */
export class ReservedPorts implements Disposable {
  readonly #core: Core;
  /** Ascending, apart from each other; `undefined` once the list is closed. */
  #spans: readonly PortRange[] | undefined;
  /** Where the core keeps its copy; 0: it has none. */
  #copy = 0;
  /** Pools and systems that use the copy. */
  #users = 0;

  static {
    setKind(ReservedPorts, "ReservedPorts");
    reservedAddress = (value, core) => {
      if (typeof value !== "object" || value === null || !(#spans in value)) {
        const valid = 'a ReservedPorts, such as new ReservedPorts("8080,9000-9010")';
        throw wrongKind("reserved", "ReservedPorts", valid, value);
      }
      if (value.#core === core) return value.#copyInCore();
      const message = "reserved lives in another module: make it with the manager's module";
      throw invalid("ERR_INVALID_ARG_VALUE", message);
    };
    holdList = (list) => {
      list.#users++;
    };
    dropList = (list) => {
      list.#users--;
      if (list.#users === 0) list.#dropCopy();
    };
    unreservedIn = (list, { first, last }) => {
      const spans = list.#open();
      let count = last - first + 1;
      for (let index = indexOfEnd(spans, first); index < spans.length; index++) {
        const span = spans[index] as PortRange;
        if (span.first > last) break;
        count -= Math.min(span.last, last) - Math.max(span.first, first) + 1;
      }
      return count;
    };
    addPorts = (list, ports) => {
      const spans = list.#open();
      const added = spansOf(ports);
      list.#replace(spans.length === 0 ? added : mergeSpans([...spans, ...added]));
    };
  }

  /**
   * @param text as {@link text} takes it; none by default.
   * @throws PortError `EINVAL` (the text), `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`;
   * `ERR_WEBASSEMBLY_NOT_SUPPORTED` (no `module` is given, and the host does not let the package
   * compile its own).
   */
  constructor(text = "", options: ReservedOptions = {}) {
    const spans = parseReserved(checkText("text", text));
    const { module } = readOptions("options", options, ["module"]);
    this.#core = coreOf(module);
    this.#spans = mergeSpans(spans);
  }

  /**
   * The list as the kernel's file has it, merged and sorted, without the newline: `8080,9000-9010`.
   * Setting replaces all: ports in 0..65535 and ranges of them, apart by one comma, no blanks; the
   * empty text clears.
   * @throws PortError `EINVAL` (`invalid-text`, `invalid-port-range`; the old list stays),
   * `ERR_INVALID_ARG_TYPE`, `EBADF` (closed).
   */
  get text(): string {
    return printReserved(this.#open()).trimEnd();
  }

  set text(text: string) {
    const spans = parseReserved(checkText("text", text));
    this.#open();
    this.#replace(mergeSpans(spans));
  }

  /**
   * How many ports are reserved, 0..65536.
   * @throws PortError `EBADF` (closed).
   */
  get size(): number {
    return this.#open().reduce((sum, { first, last }) => sum + last - first + 1, 0);
  }

  /**
   * Is the port reserved?
   * @param port 0..65535.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`, `EBADF` (closed).
   */
  has(port: number): boolean {
    if (typeof port !== "number") throw wrongType("port", "an integer in 0..65535", port);
    if (Number.isInteger(port) && port >= 0 && port <= PORT_MAX) {
      return isInSpans(this.#open(), port);
    }
    throw invalid("ERR_SOCKET_BAD_PORT", `port must be an integer in 0..${PORT_MAX}, got ${port}`);
  }

  /**
   * Reserves more ports, first..last. Some microseconds, where setting {@link text} takes more than
   * a hundred.
   * @param first 0..65535.
   * @param last first..65535; by default `first`, so that one port is added.
   * @throws PortError `EINVAL` (`invalid-port-range`), `ERR_INVALID_ARG_TYPE`, `EBADF` (closed).
   */
  add(first: number, last: number = first): void {
    checkSpan(first, last);
    this.#spans = joined(this.#open(), first, last);
    if (this.#copy !== 0) this.#core.exports.addReserved(this.#copy, first, last);
  }

  /**
   * Takes ports out of the list, first..last; those that are not in it stay so. As quick as
   * {@link add}.
   * @param first 0..65535.
   * @param last first..65535; by default `first`, so that one port is taken out.
   * @throws PortError as {@link add}.
   */
  delete(first: number, last: number = first): void {
    checkSpan(first, last);
    this.#spans = without(this.#open(), first, last);
    if (this.#copy !== 0) this.#core.exports.deleteReserved(this.#copy, first, last);
  }

  /**
   * Frees the core's copy. The list cannot be used from here on. A second call does nothing.
   * @throws PortError `EBUSY`: an open pool or `Linux2632Ports` uses it.
   */
  close(): void {
    if (this.#users > 0) {
      const users = `${this.#users} pool${this.#users === 1 ? " uses" : "s use"} it`;
      throw new PortError("EBUSY", "busy", `the list of reserved ports is in use: ${users}`);
    }
    this.#dropCopy();
    this.#spans = undefined;
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(): readonly PortRange[] {
    if (this.#spans === undefined) throw closed("list of reserved ports");
    return this.#spans;
  }

  /** @param spans ascending, apart from each other. */
  #replace(spans: readonly PortRange[]): void {
    this.#spans = spans;
    if (this.#copy !== 0) this.#fill();
  }

  #copyInCore(): number {
    this.#open();
    if (this.#copy !== 0) return this.#copy;
    this.#copy = this.#core.exports.openReserved() >>> 0;
    if (this.#copy === 0) throw noMemory("a list of reserved ports");
    cleanup.register(this, { core: this.#core, reserved: this.#copy }, this);
    this.#fill();
    return this.#copy;
  }

  #fill(): void {
    const { exports } = this.#core;
    exports.clearReserved(this.#copy);
    for (const { first, last } of this.#open()) exports.addReserved(this.#copy, first, last);
  }

  #dropCopy(): void {
    if (this.#copy === 0) return;
    cleanup.unregister(this);
    this.#core.exports.closeReserved(this.#copy);
    this.#copy = 0;
  }
}

/** Ports in any order as ascending spans. */
function spansOf(ports: Iterable<number>): PortRange[] {
  const spans: { first: number; last: number }[] = [];
  let open = { first: -2, last: -2 };
  for (const port of Uint16Array.from(ports).sort()) {
    if (port > open.last + 1) {
      open = { first: port, last: port };
      spans.push(open);
    }
    open.last = port;
  }
  return spans;
}

/** Is a port in one of ascending spans? */
function isInSpans(spans: readonly PortRange[], port: number): boolean {
  const span = spans[indexOfEnd(spans, port)];
  return span !== undefined && span.first <= port;
}

/**
 * The index of the first of ascending spans that ends at a port or behind it; their number if none
 * does.
 */
function indexOfEnd(spans: readonly PortRange[], port: number): number {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle] as PortRange).last < port) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Ascending spans apart from each other, and one more, joined to those that it meets. */
function joined(spans: readonly PortRange[], first: number, last: number): PortRange[] {
  const from = indexOfEnd(spans, first - 1);
  let to = indexOfEnd(spans, last + 1);
  if ((spans[to]?.first ?? Number.POSITIVE_INFINITY) <= last + 1) to++;
  const low = Math.min(first, spans[from]?.first ?? first);
  const high = Math.max(last, spans[to - 1]?.last ?? last);
  return [...spans.slice(0, from), { first: low, last: high }, ...spans.slice(to)];
}

/** Ascending spans, without the ports of one. */
function without(spans: readonly PortRange[], first: number, last: number): PortRange[] {
  const from = indexOfEnd(spans, first);
  let to = indexOfEnd(spans, last);
  if ((spans[to]?.first ?? Number.POSITIVE_INFINITY) <= last) to++;
  const [low, high] = [spans[from], spans[to - 1]];
  if (to <= from || low === undefined || high === undefined) return [...spans];
  return [
    ...spans.slice(0, from),
    ...(low.first < first ? [{ first: low.first, last: first - 1 }] : []),
    ...(high.last > last ? [{ first: last + 1, last: high.last }] : []),
    ...spans.slice(to),
  ];
}

function checkSpan(first: number, last: number): void {
  for (const port of [first, last]) {
    if (typeof port !== "number") throw wrongType("port", "an integer in 0..65535", port);
  }
  const isSpan = [first, last].every((port) => Number.isInteger(port)) && first >= 0;
  if (isSpan && first <= last && last <= PORT_MAX) return;
  const message = `expected 0 <= first <= last <= ${PORT_MAX}, got ${first}..${last}`;
  throw new PortError("EINVAL", "invalid-port-range", message);
}
