// Refusals: what the port manager's core refused, as errors that say what was asked and searched.

import {
  type EMPTY_RANGE,
  GROUP_BIND,
  GROUP_CONNECT,
  NO_MEMORY,
  OUTSIDE_GROUP,
} from "../assembly/abi.ts";
import { noMemory, PortError } from "./errors.ts";
import { explainEmpty, type PortGroup } from "./groups/group.ts";
import { ANY } from "./requests/address.ts";
import { type PortRange, showRange } from "./requests/range.ts";
import { addressText, type Key, showKey } from "./requests/request.ts";

/** A port that was named. */
export function refused(
  refusal: number,
  key: Key,
  port: number,
  limit: number,
  why = "the port is taken",
): PortError {
  if (refusal === NO_MEMORY) return noMemory(`${showKey(key, port)}, limit ${limit} bytes`);
  if (refusal === OUTSIDE_GROUP)
    return outsideGroup(OUTSIDE_GROUP, key, port, { first: port, last: port });
  const details = { syscall: "bind", address: addressText(key), port };
  return new PortError("EADDRINUSE", "port-in-use", `${why}: ${showKey(key, port)}`, details);
}

/** The group does not allow what was asked for: a port that was named, or a range to be searched. */
export function outsideGroup(
  refusal: typeof OUTSIDE_GROUP | typeof EMPTY_RANGE,
  key: Key,
  port: number,
  asked: PortRange,
): PortError {
  const kind = isConnect(key) ? GROUP_CONNECT : GROUP_BIND;
  const why = explainEmpty(key.group as PortGroup, kind, asked);
  const reason = refusal === OUTSIDE_GROUP ? "outside-group" : "empty-range";
  const details = { syscall: syscallOf(key), address: addressText(key), port };
  return new PortError("EACCES", reason, `${showKey(key, port)}: ${why}`, details);
}

/** A range that was searched. */
export function exhausted(
  refusal: number,
  key: Key,
  searched: PortRange,
  isDrawn: boolean,
  limit: number,
): PortError {
  if (refusal === NO_MEMORY) return noMemory(`${showKey(key, 0)}, limit ${limit} bytes`);
  const count = searched.last - searched.first + 1;
  const taken = key.reserved === undefined ? "taken" : "taken or reserved";
  const why = isDrawn
    ? `none of ${count} draws from ${showRange(searched)} met a port that is not ${taken}`
    : `all ${count} of ${showRange(searched)} are ${taken}`;
  return new PortError(
    isConnect(key) ? "EADDRNOTAVAIL" : "EADDRINUSE",
    "no-port-available",
    `no port is available: ${showKey(key, 0)}, ${why}`,
    { syscall: syscallOf(key), address: addressText(key), port: 0, searched },
  );
}

function isConnect(key: Key): boolean {
  return key.destination !== ANY;
}

function syscallOf(key: Key): string {
  return isConnect(key) ? "connect" : "bind";
}
