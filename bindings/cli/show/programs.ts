// Programs: which processes have the sockets of a source and destination, as far as this user may
// read /proc.
//
// A line of /proc/net/tcp names a socket by its inode; /proc/PID/fd has links to "socket:[INODE]".
// Of other users' processes only root may read them. A connection in TIME_WAIT belongs to no
// process.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { HostTransport } from "../../node/host/host-state.ts";
import { eachSocket, inodeIn, type SocketRow } from "../../node/host/proc.ts";
import type { PairUse } from "../../node/host/use.ts";

/** A process, and how many sockets it has of a source and destination. */
export interface Program {
  readonly pid: number;
  readonly name: string;
  readonly sockets: number;
}

const PROC = "/proc";

/** A socket and its process, where this user may see it. */
export interface OwnedRow extends SocketRow {
  readonly transport: HostTransport;
  readonly pid: number | undefined;
  /** Empty where this user may not see it. */
  readonly program: string;
}

/** The sockets that are wanted, each once. */
export function ownedRows(isWanted: (row: SocketRow) => boolean, root: string = PROC): OwnedRow[] {
  const owners = ownersOf(root);
  const rows: OwnedRow[] = [];
  for (const transport of ["tcp", "udp"] as const) {
    for (const file of [transport, `${transport}6`]) {
      const text = textOf(`${root}/net/${file}`);
      eachSocket(text, (row, start) => {
        if (!isWanted(row)) return;
        const pid = owners.get(inodeIn(text, start) ?? "");
        const program = pid === undefined ? "" : nameOf(pid, root);
        rows.push({ ...row, transport, pid, program });
      });
    }
  }
  return rows;
}

/**
 * The programs of each pair, those with most sockets first; none where this user may not see them.
 */
export function programsOf(pairs: readonly PairUse[], root: string = PROC): Program[][] {
  if (pairs.length === 0) return [];
  const programs = new Map(pairs.map((pair) => [keyOf(pair), new Map<number, Program>()]));
  const known = (row: SocketRow, transport: HostTransport): Map<number, Program> | undefined => {
    const { address: source, remoteAddress: destination, remotePort: destinationPort } = row;
    return programs.get(keyOf({ transport, source, destination, destinationPort }));
  };
  const isWanted = (row: SocketRow): boolean =>
    known(row, "tcp") !== undefined || known(row, "udp") !== undefined;
  for (const row of ownedRows(isWanted, root)) {
    const { pid, program: name, transport } = row;
    if (pid === undefined) continue;
    const found = known(row, transport);
    found?.set(pid, { pid, name, sockets: (found.get(pid)?.sockets ?? 0) + 1 });
  }
  return pairs.map((pair) =>
    [...(programs.get(keyOf(pair))?.values() ?? [])].sort(
      (a, b) => b.sockets - a.sockets || a.pid - b.pid,
    ),
  );
}

type Endpoints = Pick<PairUse, "transport" | "source" | "destination" | "destinationPort">;

function keyOf({ transport, source, destination, destinationPort }: Endpoints): string {
  return `${transport} ${source} ${destination} ${destinationPort}`;
}

/** The process of each socket, by inode as text. */
export function ownersOf(root: string): Map<string, number> {
  const owners = new Map<string, number>();
  for (const pid of namesIn(root)) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of namesIn(`${root}/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkAt(`${root}/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) owners.set(inode, Number(pid));
    }
  }
  return owners;
}

// Entries that may not be read, or have gone meanwhile, are left out.

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function linkAt(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** The name of a process. */
export function nameOf(pid: number, root: string): string {
  return textOf(`${root}/${pid}/comm`).split("\n", 1)[0] ?? "";
}
