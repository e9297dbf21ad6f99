// What `portwarden show` says in words.

import { counted, figure } from "../../node/connector/words.ts";
import type { HostState, HostTransport } from "../../node/host/host-state.ts";
import { type LimitUse, type PairUse, rangeUse, statesOf } from "../../node/host/use.ts";
import { showRange } from "../../requests/range.ts";
import { bullet, percent, table, title } from "../output.ts";
import type { Shown } from "./show.ts";

const UNKNOWN = "not known";

/** What is known, for people. */
export function showText(shown: Shown): string {
  const { machine, limits } = shown;
  return [
    ...ports(machine),
    ...(["tcp", "udp"] as const).map((transport) => sockets(machine, transport)),
    "",
    ...pairs(shown),
    "",
    title("Settings"),
    ...settings(machine).map((text) => bullet(text)),
    "",
    title("Limits"),
    ...limitLines(limits),
    ...(machine.unknown.length === 0 ? [] : ["", title("Not known")]),
    ...machine.unknown.map((text) => bullet(text)),
  ].join("\n");
}

function ports(machine: HostState): string[] {
  const { portRange, reserved, unprivilegedPortStart } = machine;
  const use = rangeUse(machine);
  const range =
    portRange === undefined
      ? UNKNOWN
      : `${showRange(portRange)}, ${counted(use.available, "port")} of it not reserved`;
  const lowest =
    unprivilegedPortStart === undefined ? UNKNOWN : `by anybody from ${unprivilegedPortStart} on`;
  return [
    `${title("Range")}     ${range}`,
    `${title("Reserved")}  ${reserved === undefined ? UNKNOWN : reserved || "none"}`,
    `${title("Bindable")}  ${lowest}`,
  ];
}

function sockets(machine: HostState, transport: HostTransport): string {
  const rows = machine[transport];
  const name = title(transport.toUpperCase());
  if (rows === undefined) return `${name}       ${UNKNOWN}`;
  const states = Object.entries(statesOf(rows))
    .sort(([, a], [, b]) => b - a)
    .map(([state, count]) => `${figure(count)} ${state}`);
  return `${name}       ${counted(rows.length, "socket")}${states.length > 0 ? `: ${states.join(", ")}` : ""}`;
}

function pairs({ machine, pairs: all, top }: Shown): string[] {
  if (machine.tcp === undefined && machine.udp === undefined) return ["Connections: not known"];
  if (all.length === 0) return ["No connections from here."];
  const { available } = rangeUse(machine);
  const heading = ["", "source", "destination", "sockets", "TIME_WAIT", "of range", "used", "left"];
  const rows = all
    .slice(0, top)
    .map((pair) => [
      pair.transport,
      pair.source,
      ends(pair),
      pair.sockets,
      pair.timeWait,
      pair.usedInRange,
      percent(pair.usedInRange, available).padStart(7),
      pair.left,
    ]);
  const more = all.length > top ? [`  and ${figure(all.length - top)} more (--top)`] : [];
  return [title("Connections from here, by source and destination"), table(heading, rows), ...more];
}

function ends({ destination, destinationPort }: PairUse): string {
  return destination.includes(":")
    ? `[${destination}]:${destinationPort}`
    : `${destination}:${destinationPort}`;
}

function settings({ tcpTimestamps, tcpTwReuse, tcpFinTimeout }: HostState): string[] {
  const finTimeout =
    tcpFinTimeout === undefined
      ? UNKNOWN
      : `${tcpFinTimeout} s: in FIN_WAIT2; TIME_WAIT is 60 s, whatever this says`;
  return [
    `tcp_timestamps ${tcpTimestamps ?? UNKNOWN}${meaning(tcpTimestamps, [
      "off: a port in TIME_WAIT stays closed to its destination for 60 s",
      "on: who names the port may take it out of TIME_WAIT, if the other end has timestamps, too",
    ])}`,
    `tcp_tw_reuse ${tcpTwReuse ?? UNKNOWN}${meaning(tcpTwReuse, [
      "the kernel's own choice never takes a port out of TIME_WAIT",
      "the kernel's own choice may take a port out of TIME_WAIT after a second",
      "as 1, but only between addresses of this machine",
    ])}`,
    `tcp_fin_timeout ${finTimeout}`,
  ];
}

function meaning(value: number | undefined, meanings: readonly string[]): string {
  if (value === undefined) return "";
  return `: ${meanings[Math.min(value, meanings.length - 1)]}`;
}

const LIMITS: Record<LimitUse["name"], string> = {
  ports: "ports, for the busiest source and destination",
  files: "open files of a process, as this one has them",
  timeWait: "connections in TIME_WAIT; beyond, they end at once",
};

function limitLines(limits: readonly LimitUse[]): string[] {
  const [first] = limits;
  if (first === undefined) return [`  ${UNKNOWN}`];
  const rows = limits.map(({ name, used, limit, left }) => [LIMITS[name], used, limit, left]);
  const next = limits.find(({ name }) => name !== "timeWait") ?? first;
  return [
    table(["", "used", "limit", "left"], rows),
    `  First met by connections to one destination: ${LIMITS[next.name].split(/[,;]/)[0]}, ` +
      `after ${figure(next.left)} more.`,
  ];
}
