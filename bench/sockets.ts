// Sockets: what the linux benchmark does to a machine's ports, on our side and on the twin's. One
// operation is a socket from its beginning to its end: it is made, gets a port by bind() or
// connect(), and is closed.
//
// Both sides begin with the same ports held and are given the same draws and offsets, so they must
// pick the same ports.

import {
  type ConnectOptions,
  LinuxPorts,
  type LinuxSocket,
  type PortRange,
  type ReservedPorts,
  type SocketOptions,
} from "../bindings/index.ts";
import { NaiveLinuxPorts } from "./baselines/naive-linux.ts";
import type { Work } from "./interleaved.ts";
import { offsetsOf } from "./workloads.ts";

/** Which way a socket gets its port. */
export type Kind = "bind" | "connect";

/** A machine's ports before the first operation. */
export interface Setting {
  readonly kind: Kind;
  readonly range: PortRange;
  readonly held: readonly number[];
  readonly reserved?: ReservedPorts;
  /** What each socket is made with. */
  readonly socket?: SocketOptions;
}

/** One side at work. */
export interface Side extends Work {
  /** The ports that so many operations pick. */
  picks(operations: number): number[];
}

/** Operations in a batch of ours, after which draws and offsets come again. */
export const BATCH = 1000;
export const KINDS: readonly Kind[] = ["bind", "connect"];
export const CALLS: Readonly<Record<Kind, string>> = { bind: "bind(0)", connect: "connect()" };

const LOCAL = "10.0.0.1";
const REMOTE = "10.9.0.1";
const REMOTE_PORT = 443;
const OFFSETS: Uint32Array = offsetsOf(2, BATCH);

// ── Ours ──────────────────────────────────────────────────────────────────────────────────

/** Whole operations. */
export function ours(setting: Setting): Side {
  const ports = openOurs(setting);
  return {
    ...sideOf(BATCH, (index) => finish(ports.socket(setting.socket), setting.kind, index)),
    close: () => ports.close(),
  };
}

/** The same on sockets that were made beforehand: what is timed is the pick, and close(). */
export function oursPrepared(setting: Setting): Side {
  const ports = openOurs(setting);
  const sockets: LinuxSocket[] = [];
  const prepare = (): void => {
    for (let index = 0; index < BATCH; index++) sockets[index] = ports.socket(setting.socket);
  };
  const once = (index: number): number =>
    finish(sockets[index] as LinuxSocket, setting.kind, index);
  return { ...sideOf(BATCH, once, prepare), close: () => ports.close() };
}

const WAYS: readonly ConnectOptions[] = Array.from(OFFSETS, (offset) => ({ offset }));

function finish(socket: LinuxSocket, kind: Kind, index: number): number {
  const port =
    kind === "bind" ? socket.bind(LOCAL, 0) : socket.connect(REMOTE, REMOTE_PORT, WAYS[index]);
  socket.close();
  return port;
}

function openOurs({ kind, range, held, reserved }: Setting): LinuxPorts {
  const ports = LinuxPorts.open({
    portRange: range,
    localAddress: LOCAL,
    random: inTurn(OFFSETS),
    ...(reserved && { reserved }),
  });
  for (const port of held) {
    const socket = ports.socket();
    if (kind === "bind") socket.bind(LOCAL, port);
    else socket.connect(REMOTE, REMOTE_PORT, { offset: offsetTo(port, range, ports.hint) });
  }
  return ports;
}

// ── The twin ──────────────────────────────────────────────────────────────────────────────

/** Whole operations of the naive twin, so many in a batch. */
export function twin({ kind, range, held }: Setting, batch: number): Side {
  const ports = new NaiveLinuxPorts(inTurn(OFFSETS));
  ports.range = range;
  const root = ports.group("/");
  const way = { local: LOCAL, remote: REMOTE, remotePort: REMOTE_PORT };
  for (const port of held) {
    const socket = ports.socket(false, 0, root);
    if (kind === "bind") ports.bind(socket, LOCAL, port);
    else ports.connect(socket, way, offsetTo(port, range, ports.stats().hint));
  }
  return sideOf(batch, (index) => {
    const socket = ports.socket(false, 0, root);
    const port =
      kind === "bind"
        ? ports.bind(socket, LOCAL, 0)
        : ports.connect(socket, way, OFFSETS[index] as number);
    ports.close(socket);
    return port as number;
  });
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** @param once one operation, the index-th of its batch: the port that it picked. */
function sideOf(batch: number, once: (index: number) => number, prepare = (): void => {}): Side {
  return {
    prepare,
    run() {
      for (let index = 0; index < batch; index++) once(index);
    },
    picks(operations) {
      prepare();
      return Array.from({ length: operations }, (_, index) => once(index));
    },
  };
}

/** The offset with which connect() looks at that port first: one step behind hint and offset. */
function offsetTo(port: number, { first }: PortRange, hint: number): number {
  return (port - first - 1 - hint) >>> 0;
}

/** The values one after another, again and again. */
function inTurn(values: Uint32Array): () => number {
  let at = 0;
  return () => {
    const value = values[at] as number;
    at = at + 1 === values.length ? 0 : at + 1;
    return value;
  };
}
