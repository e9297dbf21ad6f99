// The sysctls of net.ipv4 that the model of Linux 6.18 knows, as numbers.

import type { Range } from "./picking.ts";

export interface Settings {
  range: Range;
  reserved: Set<number>;
  unprivilegedStart: number;
  autobindReuse: boolean;
  /** 0: never; 1: always; 2: on loopback. */
  twReuse: number;
  twReuseDelay: number;
  timestamps: boolean;
  maxTimeWait: number;
  /** Milliseconds that a half-open connection without a socket stays. */
  finTimeout: number;
}

/** The kernel's own. */
export function defaultSettings(): Settings {
  return {
    range: { first: 32768, last: 60999 },
    reserved: new Set(),
    unprivilegedStart: 1024,
    autobindReuse: false,
    twReuse: 2,
    twReuseDelay: 1000,
    timestamps: true,
    maxTimeWait: 262_144,
    finTimeout: 60_000,
  };
}

/** Sets a sysctl, given by its name below net.ipv4 and a text without mistakes. */
export function setSysctl(settings: Settings, name: string, text: string): void {
  const [first = 0, last = settings.range.last] = text.split(/\s+/).map(Number);
  switch (name) {
    case "ip_local_port_range":
      settings.range = { first, last };
      return;
    case "ip_local_reserved_ports":
      settings.reserved = new Set(text === "" ? [] : text.split(",").flatMap(portsOf));
      return;
    case "ip_unprivileged_port_start":
      settings.unprivilegedStart = first;
      return;
    case "ip_autobind_reuse":
      settings.autobindReuse = first !== 0;
      return;
    case "tcp_tw_reuse":
      settings.twReuse = first;
      return;
    case "tcp_tw_reuse_delay":
      settings.twReuseDelay = first;
      return;
    case "tcp_timestamps":
      settings.timestamps = first !== 0;
      return;
    case "tcp_max_tw_buckets":
      settings.maxTimeWait = first;
      return;
    case "tcp_fin_timeout":
      settings.finTimeout = first * 1000;
      return;
    default:
      throw new Error(`the model knows no sysctl ${name}`);
  }
}

function portsOf(span: string): number[] {
  const [first = 0, last = first] = span.split("-").map(Number);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
