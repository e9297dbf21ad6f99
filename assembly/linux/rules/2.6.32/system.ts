// System: one model of the kernel's TCP and UDP ports.
//
//   system   0 ┌────────────────────┐
//              │ manager            │  a port manager whose records say which port is held
//          312 ├────────────────────┤
//              │ bound       set    │  ports whose bucket came from bind(): fastreuse 0 or 1
//          336 ├────────────────────┤
//              │ reusable    set    │  ports whose bucket has fastreuse 1
//          360 ├────────────────────┤
//              │ hint        u32    │  where connect() last ended, for all destinations
//          364 ├────────────────────┤
//              │ reserved    u32    │  ip_local_reserved_ports (ports/reserved.ts)
//          368 ├────────────────────┤
//              │ tw reuse    u32    │  net.ipv4.tcp_tw_reuse
//          372 ├────────────────────┤
//              │ duration    u32    │  of TIME_WAIT, milliseconds
//          376 ├────────────────────┤
//              │ now         u64    │  milliseconds
//          384 ├────────────────────┤
//              │ counts      u32    │  x 3: buckets, sockets that own a port, TIME_WAIT
//          396 ├────────────────────┤
//              │ sockets     u32    │  list of all sockets (socket.ts)
//          400 ├────────────────────┤
//              │ queues             │  x 3: first and last TIME_WAIT (time-wait.ts)
//          424 ├────────────────────┤
//              │ unprivileged  u32  │  first port that needs no privilege
//          428 ├────────────────────┤
//              │ udp sockets   u32  │  UDP sockets that have a port
//          432 ├────────────────────┤
//              │ page table         │  of the buckets of TCP ports (ports/page-table.ts)
//         2488 ├────────────────────┤
//              │ bind cache         │  the last bind() with port 0 (bind-cache.ts)
//         2572 ├────────────────────┤
//              │ last id       u32  │  of a socket
//         2576 └────────────────────┘
//
// The port manager's record tree serves as it is. An owner of a port holds it in the flow of its
// local address, device and destination, where a bound or listening socket has the wildcard as
// destination. One flag decides whether owners may share a port: the tree's TupleOnly stands for
// "has SO_REUSEADDR and does not listen". Then the manager's question about a wildcard destination,
// with that flag or with none, is the kernel's bind conflict, word by word of 64 ports. No request
// asks for the other two flags: they tell the owners of one destination apart.
//
//   class of a flow:   TupleOnly, or not   +   0  sockets
//                                              1  TIME_WAIT that connect() must leave alone
//                                              2  TIME_WAIT that connect() may take over
//
// TCP and UDP have a space each, for both IPv4 and IPv6, which share one any address.

import { LINUX_FIRST, LINUX_LAST, LOAD_BALANCED, MOST_RECENT, TUPLE_ONLY } from "../../../abi";
import { Address } from "../../../memory/arena";
import { forgetPlan } from "../../../netstack/fast-path";
import { closeManager, newManager } from "../../../netstack/manager";
import { MANAGER_BYTES } from "../../../netstack/records";
import { Port } from "../../../ports/bitmap";
import { closePageTable, openPageTable, PAGE_TABLE_BYTES } from "../../../ports/page-table";
import { rangeOf } from "../../../ports/range";
import { clearSet } from "../../../ports/set";

export const BOUND: usize = <usize>MANAGER_BYTES;
export const REUSABLE: usize = BOUND + 24;
export const HINT: usize = REUSABLE + 24;
export const RESERVED: usize = HINT + 4;
const TW_REUSE: usize = RESERVED + 4;
const DURATION: usize = TW_REUSE + 4;
const NOW: usize = DURATION + 4;
export const BUCKETS: usize = NOW + 8;
export const OWNING: usize = BUCKETS + 4;
export const WAITING: usize = OWNING + 4;
export const SOCKETS: usize = WAITING + 4;
export const QUEUES: usize = SOCKETS + 4;
const UNPRIVILEGED: usize = QUEUES + 24;
export const UDP_SOCKETS: usize = UNPRIVILEGED + 4;
export const PAGE_TABLE: usize = UDP_SOCKETS + 4;
export const BIND_CACHE: usize = (PAGE_TABLE + PAGE_TABLE_BYTES + 7) & ~7;
export const LAST_ID: usize = 2572; // behind the bind cache's 84
const SYSTEM_BYTES: u32 = <u32>LAST_ID + 4;
if (BIND_CACHE != 2488) ERROR("System no longer matches its diagram");

/** The class of an owner that lets other owners in. */
export const REUSE_ADDR: u32 = TUPLE_ONLY;
export const TW_BLOCKING: u32 = MOST_RECENT;
export const TW_REUSABLE: u32 = LOAD_BALANCED;

/**
 * A new system without sockets, or 0 when there is no memory for it. The seed is that of its hash
 * table.
 */
export function openLinux(
  seedLow: u32,
  seedHigh: u32,
  limitBytes: u32,
  reserved: Address,
  hint: u32,
  duration: u32,
  now: f64,
): Address {
  const range = rangeOf(LINUX_FIRST, LINUX_LAST);
  const system = newManager(SYSTEM_BYTES, range, seedLow, seedHigh, limitBytes);
  if (!system) return 0;
  if (!openPageTable(system, system + PAGE_TABLE)) {
    closeManager(system);
    return 0;
  }
  store<u32>(system, <u32>reserved, RESERVED);
  store<u32>(system, hint, HINT);
  store<u32>(system, duration, DURATION);
  store<u64>(system, <u64>now, NOW);
  forgetPlan(system + BIND_CACHE, system);
  return system;
}

/** Gives back what is left of a system whose sockets and TIME_WAITs are gone. */
export function freeSystem(system: Address): void {
  closePageTable(system, system + PAGE_TABLE);
  clearSet(system, system + BOUND);
  clearSet(system, system + REUSABLE);
  closeManager(system);
}

/** Any socket may bind ports from this one on. */
export function setUnprivilegedStart(system: Address, port: Port): void {
  store<u32>(system, port, UNPRIVILEGED);
}

export function unprivilegedStart(system: Address): Port {
  return load<u32>(system, UNPRIVILEGED);
}

export function connectHint(system: Address): u32 {
  return load<u32>(system, HINT);
}

/** The id of the socket that was opened last. */
export function lastId(system: Address): u32 {
  return load<u32>(system, LAST_ID);
}

export function setLastId(system: Address, id: u32): void {
  store<u32>(system, id, LAST_ID);
}

export function setTimeWaitReuse(system: Address, value: u32): void {
  store<u32>(system, value, TW_REUSE);
}

export function timeWaitReuse(system: Address): u32 {
  return load<u32>(system, TW_REUSE);
}

export function durationOf(system: Address): u32 {
  return load<u32>(system, DURATION);
}

export function nowOf(system: Address): u64 {
  return load<u64>(system, NOW);
}

export function storeNow(system: Address, now: u64): void {
  store<u64>(system, now, NOW);
}

// ── Figures ───────────────────────────────────────────────────────────────────────────────

/** TCP sockets that own a port (the kernel's `bsockets`). */
export function owningCount(system: Address): u32 {
  return load<u32>(system, OWNING);
}

/** Counts of a system: buckets, TCP sockets with a port, UDP sockets with a port, TIME_WAITs. */
export function countOf(system: Address, what: u32): u32 {
  if (what == 0) return load<u32>(system, BUCKETS);
  if (what == 1) return load<u32>(system, OWNING);
  return load<u32>(system + (what == 2 ? UDP_SOCKETS : WAITING));
}

export function count(system: Address, what: usize, by: i32): void {
  store<u32>(system + what, load<u32>(system + what) + by);
}
