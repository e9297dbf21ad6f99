// How much the vectors hold: what every replay of all of them must have played, wherever it runs.

import type { Counts } from "./netstack.ts";

/** gVisor's: what portwarden answers otherwise on purpose is skipped, and counted by its kind. */
export const NETSTACK: Counts = {
  traces: 446,
  operations: 94_747,
  mismatching: 0,
  mismatches: [],
  skipped: new Map(
    Object.entries({ "full-range": 5, "port-zero": 5, "u32-wrap": 8, "duplicate-networks": 5 }),
  ),
};

/** The kernel's: none is skipped. */
export const LINUX_SEED: Counts = {
  traces: 360,
  operations: 54_435,
  mismatching: 0,
  mismatches: [],
  skipped: new Map(),
};
