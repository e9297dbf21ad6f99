// System: one machine's ports as Linux 6.8 to 6.18 hands them out.
//
//   system   0 ┌────────────────────┐
//              │ account, table     │  what its records cost, and the hash table of its nodes
//           84 ├────────────────────┤
//              │ range       u32    │  net.ipv4.ip_local_port_range
//           88 │ reserved    u32    │  net.ipv4.ip_local_reserved_ports (ports/reserved.ts)
//          100 │ start       u32    │  net.ipv4.ip_unprivileged_port_start
//          104 │ switches    u8 x 4 │  autobind reuse, tw reuse, timestamps, exact order
//          108 │ delay       u32    │  net.ipv4.tcp_tw_reuse_delay
//          112 │ maximum     u32    │  net.ipv4.tcp_max_tw_buckets
//          116 │ fin timeout u32    │  milliseconds
//          120 │ duration    u32    │  of TIME_WAIT, milliseconds
//          124 │ udp slots   u32    │  of the kernel's UDP hash table, a power of two
//          128 │ now         u64    │  milliseconds
//          136 │ counts      u32    │  x 4: buckets, TCP sockets, UDP sockets, TIME_WAIT
//          152 │ sockets     u32    │  list of all sockets (socket.ts)
//          156 │ queues             │  x 3: first and last TIME_WAIT (time-wait.ts)
//          180 │ sets        u32    │  the sets that a search looks at: where, and how many fit
//          184 │ room        u32    │
//          188 │ perturb     u32    │  65,536 counters of connect(), or 0
//          192 │ closed      set    │  TCP ports that an automatic connect() may not use
//          216 │ secret             │  16 bytes: the key of connect()'s hash
//          232 │ TCP ports          │  their buckets (ports/page-table.ts)
//         2284 │ UDP ports          │  their sockets
//         4336 │ order      f64 x 2 │  of UDP sockets: where the next one in front, and behind, is
//         4352 │ own list    set    │  the reserved ports as TCP's slots
//         4376 │ version     u64    │  of the list that it was made from
//         4384 │ last id     u64    │  that a socket was given
//         4392 └────────────────────┘
//
// TCP looks at every other port, even offsets before odd ones or the other way round. So its sets
// do not hold ports but slots: even ports come first, then odd ones, and every other port of a
// range is one run of slots, which a search by words and summaries passes quickly.
//
//   slot  0 ┌──────────────────┐
//           │ ports 0, 2, 4 …  │
//     32768 ├──────────────────┤
//           │ ports 1, 3, 5 …  │
//     65536 └──────────────────┘

import { LINUX_FIRST, LINUX_LAST } from "../../../abi";
import {
  ACCOUNT_LIMIT,
  ACCOUNT_USED,
  Address,
  alloc,
  allocZero,
  boot,
  free,
} from "../../../memory/arena";
import { INSTANCE_ACCOUNT } from "../../../memory/layout";
import { closeTable, openTable, TABLE_END } from "../../../memory/table";
import {
  BITMAP_BYTES,
  bitmapWord,
  Port,
  renewMask,
  setBit,
  versionOf,
  WORD_COUNT,
  WORD_SHIFT,
} from "../../../ports/bitmap";
import {
  closePageTable,
  hasRoom,
  openPageTable,
  PAGE_TABLE_BYTES,
} from "../../../ports/page-table";
import { rangeOf } from "../../../ports/range";
import { maskOfReserved, setOfReserved, unlessEmpty } from "../../../ports/reserved";
import { clearSet, makeBitmap, portsOf } from "../../../ports/set";

export const RANGE: usize = 84;
const RESERVED: usize = 88;
export const START: usize = 100;
export const AUTOBIND_REUSE: usize = 104;
export const TW_REUSE: usize = 105;
export const TIMESTAMPS: usize = 106;
export const EXACT: usize = 107;
export const DELAY: usize = 108;
export const TW_MAX: usize = 112;
export const FIN_TIMEOUT: usize = 116;
const DURATION: usize = 120;
export const UDP_SLOTS: usize = 124;
const NOW: usize = 128;
export const BUCKETS: usize = 136;
export const TCP_SOCKETS: usize = 140;
export const UDP_SOCKETS: usize = 144;
export const TIME_WAITS: usize = 148;
export const SOCKETS: usize = 152;
export const QUEUES: usize = 156;
export const SETS: usize = 180;
const ROOM: usize = 184;
const PERTURB: usize = 188;
export const CLOSED_PORTS: usize = 192;
export const SECRET: usize = 216;
export const TCP_PORTS: usize = 232;
export const UDP_PORTS: usize = TCP_PORTS + PAGE_TABLE_BYTES;
const FRONT: usize = UDP_PORTS + PAGE_TABLE_BYTES;
const BACK: usize = FRONT + 8;
const OWN_LIST: usize = BACK + 8;
const LIST_VERSION: usize = OWN_LIST + 24;
const LAST_ID: usize = LIST_VERSION + 8;
const SYSTEM_BYTES: u32 = <u32>LAST_ID + 8;
if (RANGE < TABLE_END) ERROR("A system's own fields run into its table");
if (SYSTEM_BYTES != 4392) ERROR("System no longer matches its diagram");

const ROOM_MIN: u32 = 32;
/** How many counters connect() has. */
export const COUNTERS: u32 = 65536;

/** A new system without sockets, or 0 when there is no memory for it. */
export function open618(
  seedLow: u32,
  seedHigh: u32,
  limitBytes: u32,
  reserved: Address,
  duration: u32,
  now: f64,
): Address {
  boot();
  const system = allocZero(INSTANCE_ACCOUNT, SYSTEM_BYTES);
  if (!system) return 0;
  store<u32>(system, limitBytes, ACCOUNT_LIMIT);
  if (!openTable(system, ((<u64>seedHigh) << 32) | seedLow)) {
    free(INSTANCE_ACCOUNT, system);
    return 0;
  }
  if (!openParts(system)) {
    free618(system);
    return 0;
  }
  store<u32>(system, rangeOf(LINUX_FIRST, LINUX_LAST), RANGE);
  store<u32>(system, <u32>reserved, RESERVED);
  store<u32>(system, duration, DURATION);
  store<u64>(system, <u64>now, NOW);
  return system;
}

/** Allocates the parts that exist from the beginning; the instance pays for some of them. */
function openParts(system: Address): bool {
  const list = allocZero(INSTANCE_ACCOUNT, BITMAP_BYTES);
  if (!list) return false;
  makeBitmap(system + OWN_LIST, list);
  renewMask(list);
  const sets = alloc(INSTANCE_ACCOUNT, ROOM_MIN << 2);
  store<u32>(system, <u32>sets, SETS);
  store<u32>(system, ROOM_MIN, ROOM);
  return (
    sets != 0 &&
    openPageTable(system, system + TCP_PORTS) &&
    openPageTable(system, system + UDP_PORTS)
  );
}

/** Gives back a system whose sockets and TIME_WAITs are gone. */
export function free618(system: Address): void {
  freePage(system, system + TCP_PORTS);
  freePage(system, system + UDP_PORTS);
  clearSet(system, system + CLOSED_PORTS);
  closeTable(system);
  const list = portsOf(system + OWN_LIST);
  if (list) renewMask(list); // for bitmaps that were searched under it
  freeOwn(list);
  freeOwn(load<u32>(system, SETS));
  freeOwn(load<u32>(system, PERTURB));
  freeOwn(system);
}

function freePage(system: Address, table: Address): void {
  if (hasRoom(table, 1)) closePageTable(system, table);
}

function freeOwn(block: Address): void {
  if (block) free(INSTANCE_ACCOUNT, block);
}

// ── Settings ──────────────────────────────────────────────────────────────────────────────

/** Which 32-bit setting: its place in the system's record. */
export function set618(system: Address, setting: u32, value: u32): void {
  store<u32>(system + <usize>setting, value);
}

export function setting618(system: Address, setting: u32): u32 {
  return load<u32>(system + <usize>setting);
}

export function portRange618(system: Address): u32 {
  return load<u32>(system, RANGE);
}

export function setPortRange618(system: Address, first: Port, last: Port): void {
  store<u32>(system, rangeOf(first, last), RANGE);
}

/** Any user may bind ports from this one on. */
export function setStart618(system: Address, port: Port): void {
  store<u32>(system, port, START);
}

export function start618(system: Address): Port {
  return load<u32>(system, START);
}

/** Sets 4 bytes of the key of connect()'s hash: words 0..3. */
export function secret618(system: Address, index: u32, value: u32): void {
  store<u32>(system + ((<usize>index) << 2), value, SECRET);
}

export function secretOf618(system: Address, index: u32): u32 {
  return load<u32>(system + ((<usize>index) << 2), SECRET);
}

/** One of the 65,536 counters of connect(). */
export function counter618(system: Address, index: u32): u32 {
  const table: Address = load<u32>(system, PERTURB);
  return table ? load<u32>(table + ((<usize>index) << 2)) : 0;
}

/** Sets a counter. 0: no memory. */
export function setCounter618(system: Address, index: u32, value: u32): u32 {
  const table = openCounters(system);
  if (!table) return 0;
  store<u32>(table + ((<usize>index) << 2), value);
  return 1;
}

/** The counters of connect(), made when they are first used; 0: no memory. */
export function openCounters(system: Address): Address {
  const known: Address = load<u32>(system, PERTURB);
  if (known) return known;
  const table = allocZero(INSTANCE_ACCOUNT, COUNTERS << 2);
  store<u32>(system, <u32>table, PERTURB);
  return table;
}

export function hasSwitch(system: Address, at: usize): bool {
  return load<u8>(system + at) != 0;
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

/** Bytes in records of the system. */
export function used618(system: Address): u32 {
  return load<u32>(system, ACCOUNT_USED);
}

export function currentTime618(system: Address): f64 {
  return <f64>nowOf(system);
}

export function count(system: Address, what: usize, by: i32): void {
  store<u32>(system + what, load<u32>(system + what) + by);
}

/** The place of a UDP socket among those of its port: before all others, or behind them. */
export function nextOrder(system: Address, isLast: bool): f64 {
  const at = system + (isLast ? BACK : FRONT);
  const order = load<f64>(at) + (isLast ? 1 : -1);
  store<f64>(at, order);
  return order;
}

/** A number that no other socket of the system has had. */
export function nextId(system: Address): u64 {
  const id = load<u64>(system, LAST_ID) + 1;
  store<u64>(system, id, LAST_ID);
  return id;
}

/** How far numbers have come: 0: orders in front, which go down; 1: orders behind, up; 2: ids. */
export function reached618(system: Address, what: u32): f64 {
  if (what == 2) return <f64>load<u64>(system, LAST_ID);
  return load<f64>(system + (what ? BACK : FRONT));
}

export function setReached618(system: Address, what: u32, value: f64): void {
  if (what == 2) store<u64>(system, <u64>value, LAST_ID);
  else store<f64>(system + (what ? BACK : FRONT), value);
}

// ── Slots ─────────────────────────────────────────────────────────────────────────────────

export function slotOf(port: Port): Port {
  return (port >> 1) | ((port & 1) << 15);
}

export function portOf(slot: Port): Port {
  return ((slot & 0x7fff) << 1) | (slot >> 15);
}

/** The reserved ports for a search of UDP's ports: a set that is a bitmap, or 0. */
export function reservedPorts(system: Address): Address {
  return setOfReserved(unlessEmpty(load<u32>(system, RESERVED)));
}

/** The reserved ports as slots, for a search of TCP's: a set that is a bitmap, or 0. */
export function reservedSlots(system: Address): Address {
  const map = maskOfReserved(load<u32>(system, RESERVED));
  if (!map) return 0;
  const set = system + OWN_LIST;
  const version = versionOf(map);
  if (load<u64>(system, LIST_VERSION) == version) return set;
  store<u64>(system, version, LIST_VERSION);
  const list = portsOf(set);
  memory.fill(list, 0, BITMAP_BYTES);
  for (let word: u32 = 0; word < WORD_COUNT; word++) {
    for (let bits = bitmapWord(map, word); bits; bits &= bits - 1) {
      setBit(list, slotOf((word << WORD_SHIFT) + <u32>ctz(bits)));
    }
  }
  renewMask(list);
  return set;
}

// ── Sets that a search looks at ───────────────────────────────────────────────────────────

/** Makes room for so many sets. False: no memory. */
export function hasRoomForSets(system: Address, count: u32): bool {
  if (count <= load<u32>(system, ROOM)) return true;
  const room = count << 1;
  const sets = alloc(INSTANCE_ACCOUNT, room << 2);
  if (!sets) return false;
  free(INSTANCE_ACCOUNT, load<u32>(system, SETS));
  store<u32>(system, <u32>sets, SETS);
  store<u32>(system, room, ROOM);
  return true;
}
