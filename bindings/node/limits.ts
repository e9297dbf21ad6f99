// Limits: what this machine allows a process that wants many connections. Open files, because
// each end of a connection is one, and the ports that the kernel hands out by itself, because
// whoever chooses ports had better choose others.

import { readdirSync, readFileSync } from "node:fs";
import type { PortRange } from "../index.ts";

/** Open files of this process. */
interface OpenFiles {
  /** How many it may have. Node has raised it to what the system lets it. */
  readonly limit: number;
  /** How many it has. */
  readonly used: number;
}

const PORT_MAX = 65535;
const UNPRIVILEGED_FIRST = 1024;
// What a fresh Node process has open, where they cannot be counted: about 20.
const USED_ASSUMED = 40;
// Where the kernel does not say: the range that IANA sets aside, as macOS and Windows use it.
const DYNAMIC_PORTS: PortRange = { first: 49152, last: 65535 };

/** The limit of open files, or `undefined` where there is none (Windows, or set to unlimited). */
export function openFiles(): OpenFiles | undefined {
  const report = process.report.getReport() as {
    userLimits?: { open_files?: { soft: number | string } };
  };
  const limit = Number(report.userLimits?.open_files?.soft);
  return Number.isInteger(limit) ? { limit, used: countOpenFiles() } : undefined;
}

function countOpenFiles(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return USED_ASSUMED;
  }
}

/**
 * A range of `count` ports that the kernel does not hand out by itself: above its own range, or
 * else just below it. Where neither has room, the last ports there are.
 */
export function chooseRange(count: number): PortRange {
  const kernel = kernelRange();
  if (PORT_MAX - kernel.last >= count) {
    return { first: kernel.last + 1, last: kernel.last + count };
  }
  if (kernel.first - UNPRIVILEGED_FIRST >= count) {
    return { first: kernel.first - count, last: kernel.first - 1 };
  }
  return { first: PORT_MAX - count + 1, last: PORT_MAX };
}

/** The ports from which the kernel takes one when a program does not choose. */
function kernelRange(): PortRange {
  try {
    const text = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
    const [first, last] = text.trim().split(/\s+/).map(Number);
    if (first !== undefined && last !== undefined && first <= last) return { first, last };
  } catch {
    // Not Linux, or /proc is hidden.
  }
  return DYNAMIC_PORTS;
}
