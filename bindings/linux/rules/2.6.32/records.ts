// Records: the sockets and TIME_WAITs of a system by the rules of Linux 2.6.32, as plain data; the
// lines of assembly/linux/rules/2.6.32/state.ts.

import { PORT_MAX } from "../../../../assembly/abi.ts";
import { textOf } from "../../../requests/address.ts";
import { openOf } from "../../system.ts";
import type { System } from "./socket.ts";

/**
 * What a socket is doing: `"closed"`, neither connected nor listening, as a new one or one that is
 * bound; `"gone"` once `close()` has been called.
 */
export type Linux2632State = "closed" | "listening" | "connected" | "gone";

/** A socket, or a connection in TIME_WAIT, as plain data. */
export interface Linux2632Record {
  /** The socket's {@link Linux2632Socket.id}; 0: a TIME_WAIT. */
  readonly id: number;
  readonly type: "tcp" | "udp";
  /** The local address; `""` is any, or none. */
  readonly address: string;
  /** The local port, 0..65535; 0: none. */
  readonly port: number;
  /** The other end of a TCP connection. */
  readonly remote: { readonly address: string; readonly port: number } | undefined;
  readonly state: Linux2632State | "time-wait";
  /** When a TIME_WAIT ends: milliseconds of the system's clock. */
  readonly until: number | undefined;
  readonly reuseAddr: boolean;
  /** The interface number, 0 for none. */
  readonly bindToDevice: number;
  /** The path of the socket's group. */
  readonly group: string | undefined;
}

/** A record, and whether it lets sockets with SO_REUSEADDR join. */
interface Listed2632 {
  readonly record: Linux2632Record;
  readonly isOpen: boolean;
}

const STATES: readonly Linux2632State[] = ["closed", "listening", "connected"];
const UNTIL_BYTES = 64;

/** All sockets, the oldest first, then the TIME_WAITs, the first to end first. */
export function listed2632(system: System): Listed2632[] {
  const { core, linux } = system;
  const at = openOf(system);
  const sockets: Listed2632[] = [];
  const waits: Listed2632[] = [];
  let record = linux.nextRecord(at, 0) >>> 0;
  for (; record !== 0; record = linux.nextRecord(at, record) >>> 0) {
    linux.readRecord(at, record);
    const one = listed(system, core.offsets);
    (one.record.id === 0 ? waits : sockets).push(one);
  }
  return [...sockets.reverse(), ...waits];
}

function listed({ groups }: System, line: Uint32Array): Listed2632 {
  const at = (index: number): number => line[index] as number;
  const id = at(0);
  const bits = at(3);
  const until = new DataView(line.buffer, line.byteOffset).getFloat64(UNTIL_BYTES, true);
  const remote = { address: addressIn(line, 10), port: at(14) & PORT_MAX };
  const record: Linux2632Record = {
    id,
    type: (bits & 2) === 0 ? "tcp" : "udp",
    address: addressIn(line, 6),
    port: at(1),
    remote: (bits & 8) === 0 ? undefined : remote,
    state: id === 0 ? "time-wait" : (STATES[at(2)] as Linux2632State),
    until: id === 0 ? until : undefined,
    reuseAddr: (bits & 1) !== 0,
    bindToDevice: at(4),
    group: groups.get(at(5))?.path,
  };
  return { record, isOpen: (bits & 4) !== 0 };
}

function addressIn(line: Uint32Array, at: number): string {
  return textOf([...line.subarray(at, at + 4)]);
}
