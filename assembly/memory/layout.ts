// Layout: the fixed part of linear memory, below the heap.
//
//   byte     0 ┌──────────────────────┐
//              │ null                 │  address 0 is never allocated: it means "none"
//   byte     8 ├──────────────────────┤
//              │ instance account     │  pays for what belongs to no manager (arena.ts)
//   byte    16 ├──────────────────────┤
//              │ arena header         │  end of the heap, free lists (arena.ts)
//   byte  2040 ├──────────────────────┤
//              │ version of limits    │  u64: changes with every range and list of reserved ports
//   byte  2048 ├──────────────────────┤
//              │ request block        │  the description of a reservation or pool (abi.ts)
//   byte  2304 ├──────────────────────┤
//              │ records of the       │  spaces, hosts and rings, per network
//              │ request              │  (netstack/reservations.ts)
//   byte  2496 ├──────────────────────┤
//              │ bill                 │  memory that an operation will need (bill.ts)
//   byte  2504 ├──────────────────────┤
//              │ list of one          │  of an offset or a port, like a batch
//   byte  2512 ├──────────────────────┤
//              │ ends of searches     │  where the last search of a table ended (table.ts)
//   byte  2560 ├──────────────────────┤
//              │ plan header          │  the sets that decide a request (netstack/conflicts.ts)
//   byte  3072 ├──────────────────────┤
//              │ request cache        │  the last request (netstack/request-cache.ts)
//   byte  4096 ├──────────────────────┤
//              │ batch                │  offsets in, ports in and out
//   byte  8192 ├──────────────────────┤
//              │ the heap …           │  in a debug build the texts of the asserts come first
//              ╵                      ╵
//
// Only the arena header, the version and the heap are state. The rest is used during one call.
// Three modules share the memory, core, linux and cooldown, and each of them may allocate: all are
// compiled with this file, so that they agree on the start of the heap. Only debug builds have
// static data, texts:
//
//              release        debug
//   byte  8192 │ heap …       │ texts of core.debug     each module writes its texts when it is
//   byte 12288 │              │ texts of linux.debug    instantiated, when the heap may be in
//   byte 16384 │              │ texts of cooldown.debug use already
//   byte 20480 │              │ heap …

import { BATCH_AT, BATCH_MAX, NETWORKS_MAX, REQUEST_AT, REQUEST_BYTES } from "../abi";

export const INSTANCE_ACCOUNT: usize = 8;
export const ARENA_AT: usize = 16;
export const VERSION_AT: usize = 2040; // behind the arena header
export const REQUEST: usize = <usize>REQUEST_AT;
export const SPACES_AT: usize = 2304;
export const HOSTS_AT: usize = SPACES_AT + <usize>NETWORKS_MAX * 4;
export const RINGS_AT: usize = HOSTS_AT + <usize>NETWORKS_MAX * 4;
export const BILL_AT: usize = 2496;
export const LIST_OF_ONE: usize = 2504;
export const SEARCH_AT: usize = 2512;
export const PLAN_AT: usize = 2560;
export const REQUEST_CACHE_AT: usize = 3072;
export const BATCH: usize = <usize>BATCH_AT;
const BATCH_END: usize = 8192; // `memoryBase` of core.debug in asconfig.json
export const LINUX_TEXTS_AT: usize = 12288; // `memoryBase` of linux.debug
export const COOLDOWN_TEXTS_AT: usize = 16384; // `memoryBase` of cooldown.debug
export const HEAP_AT: usize = ASC_NO_ASSERT ? BATCH_END : 20480;

if (REQUEST + <usize>REQUEST_BYTES > SPACES_AT) ERROR("The request runs into its records");
if (RINGS_AT + <usize>NETWORKS_MAX * 4 > BILL_AT)
  ERROR("The records of the request run into the bill");
if (BATCH + <usize>BATCH_MAX * 4 > BATCH_END) ERROR("The batch runs into the heap");

/**
 * A number that changes with every range of a manager or group, and every list of reserved ports.
 * It has 64 bits, so no number comes back.
 */
export function limitsVersion(): u64 {
  return load<u64>(VERSION_AT);
}

export function changeLimits(): void {
  store<u64>(VERSION_AT, limitsVersion() + 1);
}

/** Where the first block begins; its header of 4 bytes lies in front. */
export function heapStart(): usize {
  return (HEAP_AT + 4 + 7) & ~7;
}
