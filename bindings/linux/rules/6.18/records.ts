// Records: the sockets and TIME_WAITs of a system, from the core's lines to what callers see.

import type { PortGroup } from "../../../groups/group.ts";
import { copyLines, LINE_WORDS } from "../../lines.ts";
import { isV4Words, printAddress } from "./address.ts";
import {
  A_TIME_WAIT,
  DEVICE,
  ENDS,
  FLAGS,
  GROUP,
  HALF_OPEN,
  ID,
  IS_LAST,
  IS_UDP,
  IS_V6,
  KIND,
  LOCAL,
  ONLY,
  PORTS,
  REMOTE,
  REMOTE_PORT,
  REUSE_ADDR,
  REUSE_PORT,
  SHARES_PORT,
  STATE,
  STATE_SHIFT,
  TUPLE_THERE,
  UID,
  UNANSWERED,
  V6ONLY,
  WHAT,
} from "./core.ts";
import type { LinuxRecord, LinuxSocketState } from "./record.ts";
import { STATES, type System } from "./socket-options.ts";

/** The records of all sockets and TIME_WAITs, or of those in a group, as they are at the first one. */
export function* socketsOf(system: System, group?: PortGroup): Generator<LinuxRecord> {
  const { lines } = copyLines(system);
  for (let at = 0; at < lines.length; at += LINE_WORDS) {
    const line = lines.subarray(at, at + LINE_WORDS);
    const isWanted = group === undefined || system.groups.get(line[GROUP] as number) === group;
    if (isWanted) yield recordIn(system, line);
  }
}

function stateOfGone(flags: number): LinuxSocketState | "time-wait" {
  if ((flags & UNANSWERED) !== 0) return (flags & IS_LAST) !== 0 ? "last-ack" : "fin-wait-1";
  return (flags & HALF_OPEN) !== 0 ? "fin-wait-2" : "time-wait";
}

/** The record of a line. */
export function recordIn(system: System, line: Uint32Array): LinuxRecord {
  const at = (index: number): number => line[index] as number;
  const flags = at(FLAGS);
  const isGone = at(WHAT) === A_TIME_WAIT;
  const kind = isGone ? at(KIND) : (flags >>> 2) & 3;
  const isV6 = isGone ? !isV4Words(line.subarray(LOCAL, REMOTE)) : (flags & IS_V6) !== 0;
  const type = `${!isGone && (flags & IS_UDP) !== 0 ? "udp" : "tcp"}${isV6 ? 6 : 4}` as const;
  const remote = {
    address: printAddress(line.subarray(REMOTE, REMOTE + 4), isV6),
    port: at(REMOTE_PORT),
  };
  return {
    id: at(ID) + at(ID + 1) * 2 ** 32,
    type,
    address: printAddress(line.subarray(LOCAL, LOCAL + 4), isV6),
    port: at(PORTS) & 0xffff,
    remote: (at(STATE) & TUPLE_THERE) === 0 ? undefined : remote,
    state: isGone ? stateOfGone(flags) : (STATES[flags >>> STATE_SHIFT] as LinuxSocketState),
    until: isGone ? at(ENDS) + at(ENDS + 1) * 2 ** 32 : undefined,
    reuseAddr: isGone ? (kind & 1) !== 0 : (flags & REUSE_ADDR) !== 0,
    reusePort: isGone ? (kind & SHARES_PORT) !== 0 : (flags & REUSE_PORT) !== 0,
    v6only: isGone ? (kind & ONLY) !== 0 : (flags & V6ONLY) !== 0,
    bindToDevice: at(DEVICE),
    uid: isGone ? 0 : at(UID),
    group: system.groups.get(at(GROUP))?.path,
  };
}
