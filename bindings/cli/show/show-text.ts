// The answer of `portwarden show` in words.

import { TIME_WAIT_MS } from "../../node/connector/connector-options.ts";
import { HEADROOM_SHARE } from "../../node/connector/headroom.ts";
import { counted, figure } from "../../node/connector/words.ts";
import type { HostState, HostTransport } from "../../node/host/host-state.ts";
import {
  type LimitUse,
  type PairUse,
  type RangeUse,
  rangeUse,
  statesOf,
  untouchedIn,
} from "../../node/host/use.ts";
import { showRange } from "../../requests/range.ts";
import { bullet, percent, table, title, wrapped } from "../output.ts";
import type { Program } from "./programs.ts";
import type { Remedies } from "./remedies.ts";
import type { Shown } from "./show.ts";

const UNKNOWN = "not known";
const TIME_WAIT_S = TIME_WAIT_MS / 1000;

/** What is known, for people. */
export function showText(shown: Shown): string {
  const { host, limits, remedies } = shown;
  return [
    ...ports(host),
    ...(["tcp", "udp"] as const).map((transport) => sockets(host, transport)),
    "",
    ...pairs(shown),
    "",
    title("Settings"),
    ...settings(host).map((text) => bullet(text)),
    "",
    title("Limits"),
    ...limitLines(limits),
    ...rateLine(host),
    ...remedies.flatMap(remedyLines),
    ...(host.unknown.length === 0 ? [] : ["", title("Not known")]),
    ...host.unknown.map((text) => bullet(text)),
  ].join("\n");
}

function remedyLines({ limit, changes }: Remedies): string[] {
  const what = LIMITS[limit].split(/[,;]/)[0];
  return [
    "",
    title(`Nearly used up: ${what}. What helps:`),
    ...changes.map((text) => bullet(text)),
  ];
}

/** What the ports carry for one source and one destination. */
function rateLine(host: HostState): string[] {
  if (host.portRange === undefined) return [];
  const { available } = rangeUse(host);
  const rate = figure(Math.floor(available / TIME_WAIT_S));
  return [
    `  With TIME_WAIT of ${TIME_WAIT_S} s after each, one source has ${rate} connections/s to one destination.`,
  ];
}

function programsShown(programs: readonly Program[] = []): string {
  const [first, ...more] = programs;
  if (first === undefined) return "";
  return `${first.name} (${first.pid})${more.length > 0 ? ` and ${figure(more.length)} more` : ""}`;
}

function ports(host: HostState): string[] {
  const { portRange, reserved, unprivilegedPortStart } = host;
  const use = rangeUse(host);
  const range =
    portRange === undefined
      ? UNKNOWN
      : `${showRange(portRange)}, ${counted(use.available, "port")} of it not reserved`;
  const lowest =
    unprivilegedPortStart === undefined ? UNKNOWN : `by any user from ${unprivilegedPortStart} on`;
  return [
    `${title("Range")}     ${range}`,
    `${title("Reserved")}  ${reserved === undefined ? UNKNOWN : reservedShown(reserved, use)}`,
    `${title("Bindable")}  ${lowest}`,
    `${title("Others")}    ${othersShown(host)}`,
  ];
}

/** The ports left to programs that let the kernel pick. */
function othersShown(host: HostState): string {
  if (host.portRange === undefined || host.tcp === undefined) return UNKNOWN;
  const { available } = rangeUse(host);
  const untouched = counted(untouchedIn(host, "tcp"), "port");
  const free = figure(Math.floor(available * HEADROOM_SHARE));
  return (
    `${untouched} that no TCP socket has, surely left to connect(); ` +
    `connectors keep ${free} free`
  );
}

function reservedShown(list: string, { range, reserved, available }: RangeUse): string {
  if (list === "") return "none";
  const inRange = range.last - range.first + 1 - available;
  return `${list}: ${counted(reserved.size, "port")}, ${figure(inRange)} of the range`;
}

function sockets(host: HostState, transport: HostTransport): string {
  const rows = host[transport];
  const name = title(transport.toUpperCase());
  if (rows === undefined) return `${name}       ${UNKNOWN}`;
  const states = Object.entries(statesOf(rows))
    .sort(([, a], [, b]) => b - a)
    .map(([state, count]) => `${figure(count)} ${state}`);
  return `${name}       ${counted(rows.length, "socket")}${states.length > 0 ? `: ${states.join(", ")}` : ""}`;
}

function pairs({ host, pairs: all, programs, top }: Shown): string[] {
  if (host.tcp === undefined && host.udp === undefined) return ["Connections: not known"];
  if (all.length === 0) return ["No connections from here."];
  const { available } = rangeUse(host);
  const heading = [
    "",
    "source",
    "destination",
    "sockets",
    "TIME_WAIT",
    "of range",
    "used",
    "left",
    "by connect()",
    "program",
  ];
  const rows = all
    .slice(0, top)
    .map((pair, index) => [
      pair.transport,
      pair.source,
      ends(pair),
      pair.sockets,
      pair.timeWait,
      pair.usedInRange,
      percent(pair.usedInRange, available).padStart(7),
      pair.left,
      pair.leftToKernel,
      programsShown(programs[index]),
    ]);
  const more = all.length > top ? [`  and ${figure(all.length - top)} more (--top)`] : [];
  return [
    title("Connections from here, by source and destination"),
    table(heading, rows),
    ...more,
    wrapped(LEFT, "  "),
  ];
}

const LEFT =
  "Left: ports that a connector could still use, or the kernel's own connect() for certain, which " +
  "passes over each port that any socket was bound to. Sockets whose local port, or localAddress, was " +
  "chosen are bound, and the kernel does not tell which.";

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
