// Versions: a pool that has been idle for 2^32 changes makes a new plan. Counting so far would
// take hours, so the versions are set in memory.

import { describe, expect, test } from "vitest";
import {
  EXHAUSTED,
  MODE_BIND,
  REQUEST_ADDRESS,
  REQUEST_AT,
  REQUEST_BYTES,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_TRANSPORT,
  TRANSPORT_TCP,
} from "../../assembly/abi.ts";
import { coreOf } from "../../bindings/core/core.ts";
import { BUILDS, freshModule } from "../support/builds.ts";

const PORT = 5000;
const OTHER = 6000;
const NO_LIMIT = 0xffff_ffff;
const WRAP = 1n << 32n;
/** Where a manager has its tree version (assembly/netstack/manager.ts). */
const TREE_VERSION = 80;
/** Where the version of the limits lies (assembly/memory/layout.ts). */
const LIMITS_VERSION = 2040;

describe.each(BUILDS)("in the %s build", (build) => {
  test("an idle pool sees a port taken at another address, 2^32 changes of the tree later", () => {
    const { pool, exports, manager, view } = fixture(build);
    const version = view().getBigUint64(manager + TREE_VERSION, true);
    request(exports.memory, 0);
    expect(exports.reservePort(manager, PORT)).toBe(PORT);
    expect(view().getBigUint64(manager + TREE_VERSION, true)).toBeGreaterThan(version);
    view().setBigUint64(manager + TREE_VERSION, version + WRAP, true);
    expect(exports.take(pool, 0)).toBe(EXHAUSTED);
    expect(exports.takeMany(pool, 1)).toBe(0);
  });

  test("an idle pool sees another range, 2^32 changes of limits later", () => {
    const { pool, exports, manager, view } = fixture(build);
    const version = view().getBigUint64(LIMITS_VERSION, true);
    exports.setRange(manager, OTHER, OTHER);
    view().setBigUint64(LIMITS_VERSION, version + WRAP, true);
    expect(exports.take(pool, 0)).toBe(OTHER);
  });

  test("a version that came back would let the pool trust its old plan", () => {
    const { pool, exports, manager, view } = fixture(build);
    const version = view().getBigUint64(LIMITS_VERSION, true);
    exports.setRange(manager, OTHER, OTHER);
    view().setBigUint64(LIMITS_VERSION, version, true);
    expect(exports.take(pool, 0)).toBe(PORT);
  });
});

/** A pool of one port, on a specific address, that has remembered its plan. */
function fixture(build: (typeof BUILDS)[number]) {
  const { exports } = coreOf(freshModule(build));
  const manager = exports.openManager(1, 2, NO_LIMIT) >>> 0;
  exports.setRange(manager, PORT, PORT);
  request(exports.memory, 0x0100_007f);
  const pool = exports.openPool(manager, MODE_BIND, 0) >>> 0;
  return { exports, manager, pool, view: () => new DataView(exports.memory.buffer) };
}

/** A TCP request over IPv4, whose local address ends in these four bytes; 0: any. */
function request(memory: WebAssembly.Memory, address: number): void {
  const block = new DataView(memory.buffer, REQUEST_AT, REQUEST_BYTES);
  for (let at = 0; at < REQUEST_BYTES; at += 4) block.setUint32(at, 0, true);
  block.setUint32(REQUEST_TRANSPORT, TRANSPORT_TCP, true);
  block.setUint32(REQUEST_ADDRESS + 12, address, true);
  block.setUint32(REQUEST_NETWORK_COUNT, 1, true);
  block.setUint32(REQUEST_NETWORKS, 4, true);
}
