// Sockets of Linux 6.18: one operation is a socket from its beginning to its end, by portwarden and
// by the reference model. Both begin with the same ports held and are given the same draws.

import type { LinuxConnectOptions, LinuxSocket, PortRange } from "../../bindings/index.ts";
import { LinuxPorts } from "../../bindings/index.ts";
import { Kernel, type Socket } from "../../test/models/linux-6.18/kernel.ts";
import {
  BATCH,
  inTurn,
  type Kind,
  LOCAL,
  OFFSETS,
  type Picking,
  REMOTE,
  REMOTE_PORT,
  type Setting,
} from "./sockets.ts";

export const KINDS_618: readonly Kind[] = ["bind", "connect", "connect in range", "udp"];
const OPTIONS: readonly LinuxConnectOptions[] = Array.from(OFFSETS, (offset) => ({ offset }));

/**
 * The order in which searches from random starts find all ports: every other one first, and those
 * behind a run of held ones oftener than others, so that runs grow and free ports lie together.
 */
export function searched618(range: PortRange, kind: Kind): number[] {
  using ports = LinuxPorts.open({ portRange: range, localAddress: LOCAL, seed: 3, exact: true });
  return Array.from({ length: range.last - range.first + 1 }, () => pick(ports, kind, range).port);
}

// ── portwarden ────────────────────────────────────────────────────────────────────────────

export function linuxPorts618({ kind, range, held }: Setting): Picking {
  const draw = inTurn(OFFSETS);
  const ports = LinuxPorts.open({ portRange: range, localAddress: LOCAL, random: draw });
  // A range of one port makes connect() pick that port.
  for (const port of held) pick(ports, kind, { first: port, last: port }, port);
  const picked = new Uint16Array(BATCH);
  const run = (): void => {
    for (let index = 0; index < BATCH; index++) {
      const socket = pick(ports, kind, range, 0, OPTIONS[index]);
      picked[index] = socket.port;
      socket.close({ reset: true });
    }
  };
  return { operations: BATCH, picked, run, close: () => ports.close() };
}

function pick(
  ports: LinuxPorts,
  kind: Kind,
  range: PortRange,
  port = 0,
  options?: LinuxConnectOptions,
): LinuxSocket {
  const socket = ports.socket(kind === "udp" ? { type: "udp4" } : undefined);
  if (kind === "bind" || kind === "udp") {
    socket.bind(LOCAL, port);
    return socket;
  }
  if (port !== 0 || kind === "connect in range") socket.localPortRange = range;
  socket.connect(REMOTE, REMOTE_PORT, options);
  return socket;
}

// ── The reference model ───────────────────────────────────────────────────────────────────

export function linuxModel618({ kind, range, held }: Setting, batch: number): Picking {
  const draw = inTurn(OFFSETS);
  const kernel = new Kernel({ random: (bound) => draw() % bound, udpSlots: 4096 });
  kernel.host.settings.range = range;
  for (const port of held) pickInModel(kernel, kind, { first: port, last: port }, port);
  const picked = new Uint16Array(batch);
  const run = (): void => {
    // Each batch begins with the first draw, as portwarden's do.
    const draws = inTurn(OFFSETS);
    kernel.host.random = (bound) => draws() % bound;
    for (let index = 0; index < batch; index++) {
      const socket = pickInModel(kernel, kind, range, 0);
      picked[index] = socket.port;
      kernel.close(socket, true);
    }
  };
  return { operations: batch, picked, run };
}

function pickInModel(kernel: Kernel, kind: Kind, range: PortRange, port: number): Socket {
  const socket = kernel.socket(kind === "udp" ? "udp4" : "tcp4");
  if (kind === "bind" || kind === "udp") {
    kernel.bind(socket, LOCAL, port);
    return socket;
  }
  if (port !== 0 || kind === "connect in range") {
    kernel.setRange(socket, range.first, range.last);
  }
  kernel.connect(socket, REMOTE, REMOTE_PORT, "accepts", LOCAL);
  return socket;
}
