// ReservedPorts: a list of ports that automatic selection passes over.

import { PORT_MAX } from "../../assembly/abi.ts";
import { registerCleanup } from "../core/cleanup.ts";
import { type Core, coreOf } from "../core/core.ts";
import { invalid, noMemory, wrongType } from "../errors.ts";
import { checkNames, checkObject } from "../requests/checks.ts";
import type { PortRange } from "../requests/range.ts";
import { checkText, mergeSpans, parseReserved, printReserved } from "./texts.ts";

/** Where a list of reserved ports lives. */
export interface ReservedOptions {
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module;
}

// A list that is forgotten gives its memory back.
const forgotten = registerCleanup<{ core: Core; reserved: number }>(({ core, reserved }) =>
  core.exports.closeReserved(reserved),
);

/**
 * Where the core keeps a list. Whoever passes that on holds the object as long as the core may use
 * it.
 * @throws PortError `ERR_INVALID_ARG_TYPE` (not a ReservedPorts), `ERR_INVALID_ARG_VALUE` (of another
 * core).
 */
export let reservedAddress: (value: unknown, core: Core) => number;

/** Gives back the memory of a list that nobody looks at any more. It is empty then, and can be used. */
export let emptyList: (list: ReservedPorts) => void;

/**
 * Ports that are kept out of automatic selection (Linux `ip_local_reserved_ports`): bind() with port
 * 0 and connect() pass over them. Who names a reserved port gets it. A list can serve several
 * managers, and a change takes effect at once in all of them.
 */
export class ReservedPorts {
  readonly #core: Core;
  /** Where the core keeps the list; 0: it keeps none, and nothing is reserved. */
  #reserved = 0;

  static {
    reservedAddress = (value, core) => {
      if (typeof value !== "object" || value === null || !(#reserved in value)) {
        throw wrongType(
          "reserved",
          'a ReservedPorts, such as new ReservedPorts("8080,9000-9010")',
          value,
        );
      }
      if (value.#core === core) return value.#open();
      const message = "reserved lives in another module: make it with the manager's module";
      throw invalid("ERR_INVALID_ARG_VALUE", message);
    };
    emptyList = (list) => {
      if (list.#reserved === 0) return;
      forgotten.unregister(list);
      list.#core.exports.closeReserved(list.#reserved);
      list.#reserved = 0;
    };
  }

  /**
   * @param text as {@link text} takes it; none by default.
   * @throws PortError `EINVAL` (the text), `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ENOBUFS`;
   * `ERR_WEBASSEMBLY_NOT_SUPPORTED` (no `module` is given, and the host does not let the package compile its own).
   */
  constructor(text = "", options: ReservedOptions = {}) {
    const spans = parseReserved(checkText("text", text));
    checkObject("options", options);
    checkNames("options", options, ["module"]);
    this.#core = coreOf(options.module);
    this.#add(spans);
  }

  /**
   * The list as the kernel's file has it, merged and sorted, without the newline: `8080,9000-9010`.
   * Setting replaces all: ports in 0..65535 and ranges of them, apart by one comma, no blanks; the empty text
   * clears.
   * @throws PortError `EINVAL` (`invalid-text`, `invalid-port-range`; the old list stays),
   * `ERR_INVALID_ARG_TYPE`.
   */
  get text(): string {
    return printReserved(this.#spans()).trimEnd();
  }

  set text(text: string) {
    const spans = parseReserved(checkText("text", text));
    this.#core.exports.clearReserved(this.#open());
    this.#add(spans);
  }

  /** How many ports are reserved, 0..65536. */
  get size(): number {
    return this.#core.exports.reservedCount(this.#open());
  }

  /**
   * Is the port reserved?
   * @param port 0..65535.
   * @throws PortError `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ARG_TYPE`.
   */
  has(port: number): boolean {
    if (typeof port !== "number") throw wrongType("port", "an integer in 0..65535", port);
    if (Number.isInteger(port) && port >= 0 && port <= PORT_MAX) {
      return this.#core.exports.hasReserved(this.#open(), port) !== 0;
    }
    throw invalid("ERR_SOCKET_BAD_PORT", `port must be an integer in 0..${PORT_MAX}, got ${port}`);
  }

  #open(): number {
    if (this.#reserved !== 0) return this.#reserved;
    this.#reserved = this.#core.exports.openReserved() >>> 0;
    if (this.#reserved === 0) throw noMemory("a list of reserved ports");
    forgotten.register(this, { core: this.#core, reserved: this.#reserved }, this);
    return this.#reserved;
  }

  #add(spans: readonly PortRange[]): void {
    const list = this.#open();
    for (const { first, last } of mergeSpans(spans)) {
      this.#core.exports.addReserved(list, first, last);
    }
  }

  /** The runs of reserved ports. How many ports are left says when it ends: any number is a run. */
  #spans(): PortRange[] {
    const spans: PortRange[] = [];
    let from = 0;
    for (let left = this.size; left > 0; ) {
      const run = this.#core.exports.nextReserved(this.#open(), from);
      const first = run & PORT_MAX;
      const last = run >>> 16;
      spans.push({ first, last });
      left -= last - first + 1;
      from = last + 1;
    }
    return spans;
  }
}
