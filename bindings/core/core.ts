// Core: the WebAssembly instance behind the managers, and the views into its memory.
//
// All managers of one module share one instance, because a program that cycles through instances
// pays for each call several times over. The module that comes with the package is compiled on
// first use; a host that must compile for itself passes its own. The modules that run over the same
// memory are overlays (overlay.ts), so that a program without use for one does not compile it.

import { wasm } from "#wasm";
import { BATCH_AT, BATCH_MAX, REQUEST_AT, REQUEST_BYTES } from "../../assembly/abi.ts";
import { instantiate } from "./instance.ts";
import { checkModule, compile } from "./module.ts";

/**
 * The exports of the core. Addresses, counts and ports are numbers; a negative one is a refusal.
 */
export type CoreExports = {
  memory: WebAssembly.Memory;

  openManager(seedLow: number, seedHigh: number, limitBytes: number): number;
  closeManager(manager: number): void;
  setRange(manager: number, first: number, last: number): number;
  range(manager: number): number;
  hint(manager: number): number;
  setHint(manager: number, hint: number): void;
  descriptorCount(manager: number): number;
  counterCount(manager: number): number;
  referenceCount(manager: number): number;
  peakCount(manager: number): number;
  takenCount(manager: number): number;
  usedBytes(manager: number): number;

  isAvailable(manager: number, port: number): number;
  reservePort(manager: number, port: number): number;
  reserveAny(manager: number, offset: number): number;
  reserveEphemeral(
    manager: number,
    first: number,
    last: number,
    offset: number,
    skip: number,
  ): number;
  reserveTuple(manager: number, port: number): number;
  releasePort(manager: number, port: number): number;
  acceptIpv4(manager: number, port: number, remote: number, remotePort: number): number;
  closeIpv4(manager: number, port: number, remote: number, remotePort: number): number;

  openPool(manager: number, mode: number, unique: number): number;
  closePool(handle: number): void;
  take(handle: number, offset: number): number;
  takeAt(handle: number, port: number): number;
  takeMany(handle: number, count: number): number;
  takeNext(handle: number): number;
  takeHashed(handle: number, selector: number, slot: number, hash: number): number;
  placeOf(handle: number): number;
  setPlace(handle: number, index: number): void;
  freePort(handle: number, port: number): number;
  freeMany(handle: number, count: number): number;
  hasTaken(handle: number, port: number): number;
  heldCount(handle: number): number;

  expectSingles(manager: number, count: number): void;
  restoreSingles(manager: number, length: number): number;
  restoreExtra(manager: number, port: number, extra: number): number;
  isHeld(manager: number, port: number): number;
  listFlows(manager: number, slot: number, port: number): number;
  writeLine(at: number, flow: number): number;
  listPorts(flow: number, from: number): number;
  nextExtraOf(flow: number, from: number): number;
  extraOf(flow: number, port: number): number;
  settleAggregates(manager: number, binding: number): number;
  poolFlow(handle: number): number;

  takeBetween(handle: number, first: number, last: number, offset: number): number;
  poolRange(handle: number): number;
  clampToRequest(range: number): number;
  movePool(handle: number, group: number): void;
  moveGroupUse(manager: number, from: number, to: number): number;

  openTree(copies: number): number;
  closeTree(root: number): number;
  createGroup(parent: number): number;
  removeGroup(group: number): number;
  setGroupRange(group: number, kind: number, first: number, last: number): number;
  groupRange(group: number, kind: number): number;
  effectiveRange(group: number, kind: number): number;
  groupUses(group: number): number;

  openReserved(): number;
  closeReserved(reserved: number): void;
  clearReserved(reserved: number): void;
  addReserved(reserved: number, first: number, last: number): void;
  deleteReserved(reserved: number, first: number, last: number): void;

  openSelector(slots: number): number;
  closeSelector(selector: number): void;
  secretWord(selector: number, index: number, value: number): void;
  secretAt(selector: number, index: number): number;
  tupleHash(selector: number): number;
  slotOf(selector: number): number;
  counterAt(selector: number, slot: number): number;
  setCounter(selector: number, slot: number, value: number): void;
  advance(selector: number, slot: number, by: number): void;

  /** Debug build only: traps when an invariant is broken. Returns bytes that bitmaps are spare. */
  verify?(manager: number): number;
};

/** One instance. The views are made again after the memory has grown. */
export class Core {
  readonly exports: CoreExports;
  /**
   * The description in the request block, so that it is not written again; `undefined` where the
   * block holds something else. All writers of the block set it.
   */
  written: object | undefined;
  #request: Uint32Array;
  #offsets: Uint32Array;
  #ports: Uint16Array;
  #bytes = new Uint8Array(0);

  constructor(module: WebAssembly.Module) {
    this.exports = instantiate<CoreExports>(module);
    this.#request = this.#offsets = new Uint32Array(0);
    this.#ports = new Uint16Array(0);
  }

  /** The request block, as 32-bit fields. */
  get request(): Uint32Array {
    if (this.#request.length === 0) this.#fetchViews();
    return this.#request;
  }

  /** The batch, as offsets that go in. */
  get offsets(): Uint32Array {
    if (this.#offsets.length === 0) this.#fetchViews();
    return this.#offsets;
  }

  /** The batch, as ports that go in or come out. */
  get ports(): Uint16Array {
    if (this.#ports.length === 0) this.#fetchViews();
    return this.#ports;
  }

  /** All of the memory. */
  get bytes(): Uint8Array {
    if (this.#bytes.length === 0) this.#fetchViews();
    return this.#bytes;
  }

  #fetchViews(): void {
    const { buffer } = this.exports.memory;
    this.#bytes = new Uint8Array(buffer);
    this.#request = new Uint32Array(buffer, REQUEST_AT, REQUEST_BYTES >> 2);
    this.#offsets = new Uint32Array(buffer, BATCH_AT, BATCH_MAX);
    this.#ports = new Uint16Array(buffer, BATCH_AT, BATCH_MAX);
  }
}

let own: Core | undefined;
const others = new WeakMap<WebAssembly.Module, Core>();

/**
 * The core of the module that a caller gives, or of the one inside the package.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (another module);
 * `ERR_WEBASSEMBLY_NOT_SUPPORTED` (none given, and the host does not let the package compile).
 */
export function coreOf(module: WebAssembly.Module | undefined): Core {
  if (module === undefined) {
    own ??= new Core(compile("module", "core.wasm", wasm));
    return own;
  }
  let core = others.get(module);
  if (core === undefined) {
    core = new Core(checkModule("module", "core.wasm", module));
    others.set(module, core);
  }
  return core;
}
