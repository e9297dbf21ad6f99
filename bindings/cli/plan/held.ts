// Connections that are all open at once: how many find a port is arithmetic, and so is what to
// change.

import { PORT_MAX } from "../../../assembly/abi.ts";
import type { PortRange } from "../../index.ts";
import { counted, figure } from "../../node/connector/words.ts";
import type { HostState } from "../../node/host/host-state.ts";
import { showRange } from "../../requests/range.ts";
import { bullet, paint, title, titled, wrapped } from "../output.ts";
import { type Load, passedOverText, portsOf, reservedIn, withoutHeadroom } from "./load.ts";
import { leftToOthers, othersText } from "./others.ts";
import { widened } from "./remedies.ts";

const UNPRIVILEGED_FIRST = 1024;

/** Changes that would make the connections fit. */
type Change =
  | { readonly change: "sources" | "destinations" | "files"; readonly value: number }
  | { readonly change: "range"; readonly value: PortRange }
  | { readonly change: "headroom"; readonly value: 0 };

/** How many connections may be open at once. */
interface Held {
  readonly load: Load;
  readonly host: HostState;
  /** How many are asked for. */
  readonly connections: number;
  readonly fits: boolean;
  /** The limit that is met first, if they do not fit. */
  readonly exhausted: "range" | "files" | undefined;
  /** Ports that each source has for each destination. */
  readonly ports: number;
  /** How many find a port: sources x destinations x ports. */
  readonly total: number;
  /** How many do in plain Node with `localAddress`: sources x ports. */
  readonly plain: number;
  readonly changes: readonly Change[];
}

/** Answers for a load whose rate is the number of connections. */
export function holds(load: Load, host: HostState): Held {
  const { sources, destinations, files, rate: connections } = load;
  const ports = portsOf(load);
  const total = sources * destinations * ports;
  const hasPorts = total >= connections;
  const fits = hasPorts && files >= connections;
  return {
    ...{ load, host },
    connections,
    fits,
    exhausted: fits ? undefined : files < total ? "files" : "range",
    ports,
    total,
    plain: sources * portsOf(withoutHeadroom(load)),
    changes: hasPorts ? fileChange(load) : portChanges(load, ports),
  };
}

function fileChange({ rate, files }: Load): Change[] {
  return files >= rate ? [] : [{ change: "files", value: rate }];
}

function portChanges(load: Load, ports: number): Change[] {
  const { sources, destinations, range, rate } = load;
  const changes: Change[] = [];
  if (ports > 0) {
    changes.push({ change: "sources", value: Math.ceil(rate / (destinations * ports)) });
    changes.push({ change: "destinations", value: Math.ceil(rate / (sources * ports)) });
  }
  const all = portsOf(withoutHeadroom(load));
  if (all > ports && all * sources * destinations >= rate) {
    changes.push({ change: "headroom", value: 0 });
  }
  const more = Math.ceil(rate / (sources * destinations)) - ports;
  const most =
    PORT_MAX - Math.min(UNPRIVILEGED_FIRST, range.first) + 1 - (range.last - range.first + 1);
  for (let wider = more; wider <= most; wider++) {
    // Of the ports that are added some may be reserved.
    const value = widened(range, wider);
    const left = portsOf({ ...load, range: value });
    if (left * sources * destinations >= rate) return [...changes, { change: "range", value }];
    wider += Math.ceil(rate / (sources * destinations)) - left - 1;
  }
  return changes;
}

/** Names that stay as they are: programs read them. */
export function heldDocument(held: Held): object {
  const { load, host, fits, exhausted, connections, ports, total, plain, changes } = held;
  return {
    fits,
    exhausted,
    connections,
    ports: { perPair: ports, total, reserved: reservedIn(load) },
    leftToOthers: leftToOthers(load, host),
    files: load.files,
    plainNode: { fits: plain >= connections, ports: plain },
    changes,
  };
}

/** The answer, for people. */
export function heldText(held: Held): string {
  const { load, connections, ports, total, plain, changes } = held;
  const { sources, destinations, range } = load;
  const load_ =
    `${counted(connections, "connection")} open at once, from ${counted(sources, "source")} ` +
    `to ${counted(destinations, "destination")}`;
  const files = load.files === Number.POSITIVE_INFINITY ? "no limit known" : figure(load.files);
  const shares = destinations > 1 ? "shares no port among destinations" : "has the same ports";
  return [
    titled("Load", load_),
    titled(
      "Ports",
      `${showRange(range)}${passedOverText(load)}: ${figure(ports)} for each source and destination, ` +
        `${figure(total)} in all`,
    ),
    titled("Files", files),
    "",
    verdict(held),
    bullet(`Plain Node with localAddress ${shares}: ${figure(plain)} in all.`),
    bullet(othersText(held)),
    ...(changes.length === 0 ? [] : ["", title("Any one of these makes it fit:")]),
    ...changes.map((change) => bullet(changeText(change, held))),
  ].join("\n");
}

function verdict({ fits, exhausted, connections, total, load }: Held): string {
  if (fits)
    return paint("green", `It fits: each of ${counted(connections, "connection")} has a port.`);
  const [most, what] =
    exhausted === "files"
      ? [load.files, "no more files may be open"]
      : [total, "every port is in use for its source and destination"];
  const part = `${figure(Math.min(most, load.files))} of ${counted(connections, "connection")}`;
  return paint("red", wrapped(`It does not fit: ${part} can be open, then ${what}.`));
}

function changeText(change: Change, { load, connections }: Held): string {
  const files = load.files < connections && change.change !== "files";
  const more = files ? `, and ${counted(connections, "open file")}` : "";
  if (change.change === "range") {
    return `ports ${showRange(change.value)} instead of ${showRange(load.range)}${more}`;
  }
  if (change.change === "headroom") {
    return `headroom 0 instead of ${figure(load.keptFree.length)}${more}`;
  }
  const what = { sources: "source", destinations: "destination", files: "open file" }[
    change.change
  ];
  return `${counted(change.value, what)} instead of ${figure(load[change.change])}${more}`;
}
