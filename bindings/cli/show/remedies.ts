// Remedies: what to do where a limit of this host is reached, or nearly.

import { PORT_MAX } from "../../../assembly/abi.ts";
import { counted, figure } from "../../node/connector/words.ts";
import type { HostState } from "../../node/host/host-state.ts";
import { type LimitUse, rangeUse } from "../../node/host/use.ts";

/** What to do about a limit: one sentence each. */
export interface Remedies {
  readonly limit: LimitUse["name"];
  readonly changes: readonly string[];
}

/** From this part on a limit is nearly reached. */
const NEARLY = 0.9;
const UNPRIVILEGED_FIRST = 1024;

/** Remedies for each limit of which nine tenths are used. */
export function remediesFor(host: HostState, limits: readonly LimitUse[]): Remedies[] {
  return limits
    .filter(({ used, limit }) => used >= limit * NEARLY)
    .map(({ name, limit }) => ({ limit: name, changes: changesFor(name, limit, host) }));
}

function changesFor(name: LimitUse["name"], limit: number, host: HostState): string[] {
  if (name === "files") return fileChanges(host);
  if (name === "ports") return portChanges(host);
  return [`more connections in TIME_WAIT: sysctl -w net.ipv4.tcp_max_tw_buckets=${2 * limit}`];
}

function fileChanges({ fileLimits }: HostState): string[] {
  const hard = fileLimits?.hard ?? 0;
  const most = hard === Number.POSITIVE_INFINITY ? "unlimited" : String(hard);
  return hard > (fileLimits?.soft ?? 0)
    ? [`more open files: ulimit -n ${most}`]
    : [`more open files than ${figure(hard)} only by root: LimitNOFILE of a service, limits.conf`];
}

function portChanges(host: HostState): string[] {
  const { range, available } = rangeUse(host);
  const reserved = range.last - range.first + 1 - available;
  const wider = PORT_MAX - UNPRIVILEGED_FIRST + 1 - (range.last - range.first + 1);
  const hasTimestamps = (host.tcpTimestamps ?? 0) > 0;
  return [
    "more sources: each local address has these ports once more for each destination",
    "more destinations: an address or a port more at the other end has these ports once more",
    ...(wider > 0
      ? [
          `${counted(wider, "port")} more: sysctl -w net.ipv4.ip_local_port_range=` +
            `"${UNPRIVILEGED_FIRST} ${PORT_MAX}"`,
        ]
      : []),
    ...(reserved > 0
      ? [`${counted(reserved, "port")} of the range back: sysctl net.ipv4.ip_local_reserved_ports`]
      : []),
    ...(host.tcpTwReuse === 1 || !hasTimestamps
      ? []
      : ["ports in TIME_WAIT taken over after a second: sysctl -w net.ipv4.tcp_tw_reuse=1"]),
    ...(hasTimestamps
      ? []
      : ["TIME_WAIT taken over: sysctl -w net.ipv4.tcp_timestamps=1, at both ends"]),
    "what a load needs, simulated: portwarden plan",
  ];
}
