// The fixed partial of linear memory: what lies where before the heap begins.
//
//   byte     0 ┌──────────────────────┐
//              │ null                 │  address 0 is never handed out: it means "none"
//   byte     8 ├──────────────────────┤
//              │ instance account     │  who pays for what belongs to no manager (arena.ts)
//   byte    16 ├──────────────────────┤
//              │ arena header         │  heap end, free lists (arena.ts)
//   byte  2040 ├──────────────────────┤
//              │ version of limits    │  changes with every range and list of reserved ports
//   byte  2048 ├──────────────────────┤
//              │ request block        │  what a word asks for (abi.ts)
//   byte  2304 ├──────────────────────┤
//              │ rungs of the request │  spaces, hosts and flows, per network (reservations.ts)
//   byte  2496 ├──────────────────────┤
//              │ bill                 │  what an operation is going to need (bill.ts)
//   byte  2560 ├──────────────────────┤
//              │ plan header          │  what a search looks at (conflicts.ts)
//   byte  4096 ├──────────────────────┤
//              │ batch                │  offsets in, ports in and out
//   byte  8192 ├──────────────────────┤
//              │ the heap …           │  in a debug build the texts of its asserts come first
//
// Only the arena header, the version and the heap are state. The rest is scratch for the length of one call.
// Three modules share the memory, core, linux and cooldown, and each may be the one that allocates: all are
// compiled with this file, and are to agree on where the heap begins. Only debug builds have static data, texts:
//
//              release        debug
//   byte  8192 │ heap …       │ texts of core.debug     each module writes its own when it is
//   byte 12288 │              │ texts of linux.debug    instantiated, over a heap that may be
//   byte 16384 │              │ texts of cooldown.debug in use already
//   byte 20480 │              │ heap …

import { BATCH_AT, BATCH_MAX, NETWORKS_MAX, REQUEST_AT, REQUEST_BYTES } from "../abi";

export const INSTANCE_ACCOUNT: usize = 8;
export const ARENA_AT: usize = 16;
export const VERSION_AT: usize = 2040; // behind the arena header
export const REQUEST: usize = <usize>REQUEST_AT;
export const SPACES_AT: usize = 2304;
export const HOSTS_AT: usize = SPACES_AT + <usize>NETWORKS_MAX * 4;
export const FLOWS_AT: usize = HOSTS_AT + <usize>NETWORKS_MAX * 4;
export const BILL_AT: usize = 2496;
export const PLAN_AT: usize = 2560;
export const BATCH: usize = <usize>BATCH_AT;
const BATCH_END: usize = 8192; // `memoryBase` of core.debug in asconfig.json
export const LINUX_TEXTS_AT: usize = 12288; // `memoryBase` of linux.debug
export const COOLDOWN_TEXTS_AT: usize = 16384; // `memoryBase` of cooldown.debug
export const HEAP_AT: usize = ASC_NO_ASSERT ? BATCH_END : 20480;

if (REQUEST + <usize>REQUEST_BYTES > SPACES_AT) ERROR("The request runs into its rungs");
if (FLOWS_AT + <usize>NETWORKS_MAX * 4 > BILL_AT) ERROR("The rungs run into the bill");
if (BATCH + <usize>BATCH_MAX * 4 > BATCH_END) ERROR("The batch runs into the heap");

/** Changes whenever a range that limits picks, or a list of reserved ports, does. */
export function limitsVersion(): u32 {
  return load<u32>(VERSION_AT);
}

export function changeLimits(): void {
  store<u32>(VERSION_AT, load<u32>(VERSION_AT) + 1);
}

/** Where the first block begins; its header of 4 bytes lies in front. */
export function heapStart(): usize {
  return (HEAP_AT + 4 + 7) & ~7;
}
