// Sockets: one operation is a socket from its beginning to its end: it is made, gets a port by
// bind() or connect(), and is closed; by portwarden and by the reference model.
//
// Both begin with the same ports held and are given the same draws and offsets, so they must pick
// the same ports.

import type { Linux2632ConnectOptions, PortRange } from "../../bindings/index.ts";
import { Linux2632Ports } from "../../bindings/linux/rules/2.6.32/ports.ts";
import { type ReferenceGroup, ReferenceLinuxPorts } from "../../test/models/reference-linux.ts";
import type { Work } from "../harness/measure.ts";
import { offsetsOf } from "../harness/workloads.ts";

/** How a socket gets its port. */
export type Kind = "bind" | "connect" | "connect in range" | "udp";

/** A system's ports before the first operation. */
export interface Setting {
  readonly kind: Kind;
  readonly range: PortRange;
  readonly held: readonly number[];
}

/** A system at work, and the ports that its last batch has picked. */
export interface Picking extends Work {
  readonly picked: Uint16Array;
}

/** Operations in a batch of portwarden's, after which draws and offsets come again. */
export const BATCH = 1000;
export const KINDS: readonly Kind[] = ["bind", "connect"];

export const LOCAL = "10.0.0.1";
export const REMOTE = "10.9.0.1";
export const REMOTE_PORT = 443;
export const OFFSETS: Uint32Array = offsetsOf(2, BATCH);

/** What is picked first. */
export function picksOf({ run, picked }: Picking, count: number): Uint16Array {
  run();
  return picked.slice(0, count);
}

// ── portwarden ────────────────────────────────────────────────────────────────────────────

const OPTIONS: readonly Linux2632ConnectOptions[] = Array.from(OFFSETS, (offset) => ({ offset }));

export function linuxPorts(setting: Setting): Picking {
  const ports = open(setting);
  const picked = new Uint16Array(BATCH);
  const once = setting.kind === "bind" ? bindAll : connectAll;
  const run = (): void => once(ports, picked);
  return { operations: BATCH, picked, run, close: () => ports.close() };
}

function bindAll(ports: Linux2632Ports, picked: Uint16Array): void {
  for (let index = 0; index < BATCH; index++) {
    const socket = ports.socket();
    picked[index] = socket.bind(LOCAL, 0);
    socket.close();
  }
}

function connectAll(ports: Linux2632Ports, picked: Uint16Array): void {
  for (let index = 0; index < BATCH; index++) {
    const socket = ports.socket();
    picked[index] = socket.connect(REMOTE, REMOTE_PORT, OPTIONS[index]);
    socket.close();
  }
}

function open({ kind, range, held }: Setting): Linux2632Ports {
  const ports = Linux2632Ports.open({
    portRange: range,
    localAddress: LOCAL,
    random: inTurn(OFFSETS),
  });
  for (const port of held) {
    const socket = ports.socket();
    if (kind === "bind") socket.bind(LOCAL, port);
    else socket.connect(REMOTE, REMOTE_PORT, { offset: offsetTo(port, range, ports.hint) });
  }
  return ports;
}

// ── The reference model ───────────────────────────────────────────────────────────────────

const CONNECTION = { local: LOCAL, remote: REMOTE, remotePort: REMOTE_PORT };

/** The reference model, with so many operations in a batch. */
export function linuxModel({ kind, range, held }: Setting, batch: number): Picking {
  const ports = new ReferenceLinuxPorts(inTurn(OFFSETS));
  ports.range = range;
  const root = ports.group("/");
  for (const port of held) {
    const socket = ports.socket(false, 0, root);
    if (kind === "bind") ports.bind(socket, LOCAL, port);
    else ports.connect(socket, CONNECTION, offsetTo(port, range, ports.stats().hint));
  }
  const picked = new Uint16Array(batch);
  const once = kind === "bind" ? bindAllInModel : connectAllInModel;
  return { operations: batch, picked, run: () => once(ports, root, picked) };
}

function bindAllInModel(
  ports: ReferenceLinuxPorts,
  root: ReferenceGroup,
  picked: Uint16Array,
): void {
  for (let index = 0; index < picked.length; index++) {
    const socket = ports.socket(false, 0, root);
    picked[index] = ports.bind(socket, LOCAL, 0) as number;
    ports.close(socket);
  }
}

function connectAllInModel(
  ports: ReferenceLinuxPorts,
  root: ReferenceGroup,
  picked: Uint16Array,
): void {
  for (let index = 0; index < picked.length; index++) {
    const socket = ports.socket(false, 0, root);
    picked[index] = ports.connect(socket, CONNECTION, OFFSETS[index] as number) as number;
    ports.close(socket);
  }
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** The offset with which connect() looks at that port first: one step behind hint and offset. */
function offsetTo(port: number, { first }: PortRange, hint: number): number {
  return (port - first - 1 - hint) >>> 0;
}

/** The values one after another, again and again. */
export function inTurn(values: Uint32Array): () => number {
  let at = 0;
  return () => {
    const value = values[at] as number;
    at = at + 1 === values.length ? 0 : at + 1;
    return value;
  };
}
