// Sockets: what the linux and limits benchmarks do to a machine's ports, on our side and on the
// model's. One operation is a socket from its beginning to its end: it is made, gets a port by bind()
// or connect(), and is closed.
//
// Both sides begin with the same ports held and are given the same draws and offsets, so they must
// pick the same ports. Each has a loop of its own: what the engine learns in one shall not blur
// another.

import {
  LinuxPorts,
  type LinuxSocket,
  type PortRange,
  type ReservedPorts,
  type SocketConnectOptions,
  type SocketOptions,
} from "../../bindings/index.ts";
import { type ReferenceGroup, ReferenceLinuxPorts } from "../../test/models/reference-linux.ts";
import { portsOf } from "../harness/local-range.ts";
import type { Work } from "../harness/measure.ts";
import { offsetsOf } from "../harness/workloads.ts";

/** Which way a socket gets its port. */
export type Kind = "bind" | "connect";

/** A machine's ports before the first operation. */
export interface Setting {
  readonly kind: Kind;
  readonly range: PortRange;
  readonly held: readonly number[];
  readonly reserved?: ReservedPorts;
  /** What each of our sockets is made with. */
  readonly socket?: SocketOptions;
}

/** One side at work. */
export interface Side extends Work {
  /** The ports that the last batch has picked. */
  readonly picked: Uint16Array;
}

/** Operations in a batch of ours, after which draws and offsets come again. */
export const BATCH = 1000;
export const KINDS: readonly Kind[] = ["bind", "connect"];

const LOCAL = "10.0.0.1";
const REMOTE = "10.9.0.1";
const REMOTE_PORT = 443;
const OFFSETS: Uint32Array = offsetsOf(2, BATCH);

/** What a side picks first. */
export function picksOf({ prepare, run, picked }: Side, count: number): Uint16Array {
  prepare?.();
  run();
  return picked.slice(0, count);
}

// ── Ours ──────────────────────────────────────────────────────────────────────────────────

const WAYS: readonly SocketConnectOptions[] = Array.from(OFFSETS, (offset) => ({ offset }));

/** Whole operations. */
export function ours(setting: Setting): Side {
  const ports = openOurs(setting);
  const picked = new Uint16Array(BATCH);
  const once = setting.kind === "bind" ? bindAll : connectAll;
  const run = (): void => once(ports, setting.socket, picked);
  return { operations: BATCH, picked, run, close: () => ports.close() };
}

function bindAll(ports: LinuxPorts, options: SocketOptions | undefined, picked: Uint16Array): void {
  for (let index = 0; index < BATCH; index++) {
    const socket = ports.socket(options);
    picked[index] = socket.bind(LOCAL, 0);
    socket.close();
  }
}

function connectAll(
  ports: LinuxPorts,
  options: SocketOptions | undefined,
  picked: Uint16Array,
): void {
  for (let index = 0; index < BATCH; index++) {
    const socket = ports.socket(options);
    picked[index] = socket.connect(REMOTE, REMOTE_PORT, WAYS[index]);
    socket.close();
  }
}

/** The same on sockets that were made beforehand: what is timed is the pick, and close(). */
export function oursPrepared(setting: Setting): Side {
  const ports = openOurs(setting);
  const picked = new Uint16Array(BATCH);
  const sockets: LinuxSocket[] = [];
  const prepare = (): void => {
    for (let index = 0; index < BATCH; index++) sockets[index] = ports.socket(setting.socket);
  };
  const once = setting.kind === "bind" ? bindPrepared : connectPrepared;
  const run = (): void => once(sockets, picked);
  return { operations: BATCH, picked, prepare, run, close: () => ports.close() };
}

function bindPrepared(sockets: readonly LinuxSocket[], picked: Uint16Array): void {
  for (let index = 0; index < BATCH; index++) {
    const socket = sockets[index] as LinuxSocket;
    picked[index] = socket.bind(LOCAL, 0);
    socket.close();
  }
}

function connectPrepared(sockets: readonly LinuxSocket[], picked: Uint16Array): void {
  for (let index = 0; index < BATCH; index++) {
    const socket = sockets[index] as LinuxSocket;
    picked[index] = socket.connect(REMOTE, REMOTE_PORT, WAYS[index]);
    socket.close();
  }
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

// ── The model ──────────────────────────────────────────────────────────────────────────────

const WAY = { local: LOCAL, remote: REMOTE, remotePort: REMOTE_PORT };

/** Whole operations of the reference model, so many in a batch. It knows no groups. */
export function model({ kind, range, held, reserved }: Setting, batch: number): Side {
  const ports = new ReferenceLinuxPorts(inTurn(OFFSETS));
  ports.range = range;
  if (reserved) ports.reserved = new Set(portsOf(range).filter((port) => reserved.has(port)));
  const root = ports.group("/");
  for (const port of held) {
    const socket = ports.socket(false, 0, root);
    if (kind === "bind") ports.bind(socket, LOCAL, port);
    else ports.connect(socket, WAY, offsetTo(port, range, ports.stats().hint));
  }
  const picked = new Uint16Array(batch);
  const once = kind === "bind" ? modelBindAll : modelConnectAll;
  return { operations: batch, picked, run: () => once(ports, root, picked) };
}

function modelBindAll(ports: ReferenceLinuxPorts, root: ReferenceGroup, picked: Uint16Array): void {
  for (let index = 0; index < picked.length; index++) {
    const socket = ports.socket(false, 0, root);
    picked[index] = ports.bind(socket, LOCAL, 0) as number;
    ports.close(socket);
  }
}

function modelConnectAll(
  ports: ReferenceLinuxPorts,
  root: ReferenceGroup,
  picked: Uint16Array,
): void {
  for (let index = 0; index < picked.length; index++) {
    const socket = ports.socket(false, 0, root);
    picked[index] = ports.connect(socket, WAY, OFFSETS[index] as number) as number;
    ports.close(socket);
  }
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

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
