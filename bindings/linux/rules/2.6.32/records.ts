// Records: the sockets and TIME_WAITs of a system by the rules of Linux 2.6.32, as plain data.

import { PORT_MAX } from "../../../../assembly/abi.ts";
import type { PortGroup } from "../../../groups/group.ts";
import { textOf } from "../../../requests/address.ts";
import { copyLines, LINE_WORDS } from "../../lines.ts";
import type { Linux2632Record, Linux2632State } from "./record.ts";
import { STATES, type System } from "./socket-options.ts";

/** A record and its group. */
interface Listed2632 {
  readonly record: Linux2632Record;
  readonly group: PortGroup | undefined;
  /** Does the owner let sockets with SO_REUSEADDR join? */
  readonly isOpen: boolean;
  /**
   * Does the owner keep its tuple from a socket that has the port? A TIME_WAIT with timestamps does
   * not.
   */
  readonly isLasting: boolean;
}

// The line of a record, in words (assembly/linux/rules/2.6.32/state.ts).
export const ID = 0;
export const PORT = 1;
export const STATE = 2;
export const BITS = 3;
export const DEVICE = 4;
export const GROUP = 5;
export const LOCAL = 6;
export const REMOTE = 10;
export const REMOTE_PORT = 14;
export const FASTREUSE = 15;
export const ENTERED = 16;
export const DUE = 18;
// Bits.
const REUSES = 1;
export const UDP = 2;
const OPEN = 4;
export const HAS_REMOTE = 8;
export const IS_DUE = 64;

/** All sockets, the oldest first, then the TIME_WAITs, the first to end first. */
export function listed2632(system: System): Listed2632[] {
  const { lines, records } = copyLines(system);
  return records.map((_, index) => {
    return listed(system, lines.subarray(index * LINE_WORDS, (index + 1) * LINE_WORDS));
  });
}

function listed({ groups, duration }: System, line: Uint32Array): Listed2632 {
  const at = (index: number): number => line[index] as number;
  const id = at(ID);
  const bits = at(BITS);
  const group = groups.get(at(GROUP));
  const remote = { address: addressIn(line, REMOTE), port: at(REMOTE_PORT) & PORT_MAX };
  const record: Linux2632Record = {
    id,
    type: (bits & UDP) === 0 ? "tcp" : "udp",
    address: addressIn(line, LOCAL),
    port: at(PORT),
    remote: (bits & HAS_REMOTE) === 0 ? undefined : remote,
    state: id === 0 ? "time-wait" : (STATES[at(STATE)] as Linux2632State),
    until: id === 0 ? enteredIn(line) + duration : undefined,
    reuseAddr: (bits & REUSES) !== 0,
    bindToDevice: at(DEVICE),
    group: group?.path,
  };
  const isLasting = id !== 0 || at(DUE) === 0;
  return { record, group, isOpen: (bits & OPEN) !== 0, isLasting };
}

/** When a TIME_WAIT became one. */
export function enteredIn(line: Uint32Array): number {
  return new DataView(line.buffer, line.byteOffset).getFloat64(4 * ENTERED, true);
}

function addressIn(line: Uint32Array, at: number): string {
  return textOf([...line.subarray(at, at + 4)]);
}
