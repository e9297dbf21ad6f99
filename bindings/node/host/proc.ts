// Texts of Linux's /proc, parsed: pure functions that know no files. A text that is not understood
// gives `undefined`, never a guess.
//
// A line of /proc/net/{tcp,udp}{,6} (net/ipv4/tcp_ipv4.c, get_tcp4_sock) begins
//
//      0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 ...
//         local address and port, remote address and port, state: all hexadecimal
//
// An address is one 32-bit word, or four, each printed as a number of the machine's own byte
// order: 0100007F is 127.0.0.1 on a little-endian machine, the only kind this understands.

import { parseReserved } from "../../groups/texts.ts";
import { groupsOf, groupsText } from "../../requests/address.ts";
import { isRange, type PortRange } from "../../requests/range.ts";

/** The states of a socket by the kernel's number less one (include/net/tcp_states.h). */
const STATES = [
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
] as const;

/** The state of a socket, in the kernel's words. A UDP socket without a peer is in `CLOSE`. */
export type SocketRowState = (typeof STATES)[number] | "UNKNOWN";

/** A socket in the kernel's lists: a port that is in use. */
export interface SocketRow {
  /**
   * The local address: `0.0.0.0` or `::` for all, an IPv4-mapped one as IPv4. Link-local ones have
   * no zone.
   */
  readonly address: string;
  /** The local port, 0..65535. */
  readonly port: number;
  /** The peer's address; `0.0.0.0` or `::` where there is none. */
  readonly remoteAddress: string;
  /** The peer's port; 0 where there is none. */
  readonly remotePort: number;
  readonly state: SocketRowState;
}

/**
 * Open files that a process may have: the limit that counts, and how far it may be raised.
 * `Infinity`: no limit.
 */
export interface FileLimits {
  readonly soft: number;
  readonly hard: number;
}

// Digits of one word of an address, of all four, and of a port; groups of an IPv6 address as text.
const WORD = 8;
const WORDS = 32;
const PORT = 4;
/** Two ends, state, queues, timer, retransmissions, user and timeout; then the inode. */
const UP_TO_INODE = /: \S+ \S+ \S+ \S+ \S+ \S+ +\d+ +\d+ +(\d+)/y;
const PORT_BITS = 16;
/** Instead of the place of a line: several lines have these two ports. */
const SEVERAL = -1;
// The third word of an IPv4-mapped address, ::ffff:a.b.c.d, as a little-endian machine reads it.
const MAPPED = "0000000000000000FFFF0000";

/** The sockets of /proc/net/{tcp,udp}{,6}, as {@link eachSocket} finds them. */
export function parseSocketRows(text: string): SocketRow[] {
  const rows: SocketRow[] = [];
  eachSocket(text, (row) => rows.push(row));
  return rows;
}

/**
 * Calls for each socket of /proc/net/{tcp,udp}{,6}, and says where its line begins. A line that is
 * cut short before its state ends is left out, and so is one that the kernel repeats: it goes on by
 * place, in a chain of sockets or in the whole table, to which others may have come since (Linux
 * `tcp_seek_last_pos`, `tcp_seq_start`).
 */
export function eachSocket(text: string, call: (row: SocketRow, start: number) => void): void {
  const names = new Map<string, string>();
  const firstWith = new Map<number, number>();
  const identities = new Set<string>();
  const isNew = ({ port, remotePort }: SocketRow, start: number): boolean => {
    const ports = (port << PORT_BITS) | remotePort;
    const first = firstWith.get(ports);
    firstWith.set(ports, first === undefined ? start : SEVERAL);
    if (first === undefined) return true;
    if (first !== SEVERAL) identities.add(identityIn(text, first));
    const count = identities.size;
    return identities.add(identityIn(text, start)).size > count;
  };
  for (let start = 0, end = 0; start < text.length; start = end + 1) {
    end = endOfLine(text, start);
    const row = rowIn(text, start, end, names);
    if (row !== undefined && isNew(row, start)) call(row, start);
  }
}

/** The inode of the socket whose line begins there: 0 if no file has it. `undefined`: cut short. */
export function inodeIn(text: string, start: number): string | undefined {
  UP_TO_INODE.lastIndex = text.indexOf(": ", start);
  return UP_TO_INODE.exec(text)?.[1];
}

/** ip_local_port_range: two ports. */
export function parsePortRange(text: string): PortRange | undefined {
  const match = /^\s*(\d+)\s+(\d+)\s*$/.exec(text);
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2])];
  return isRange(first, last) ? { first, last } : undefined;
}

/**
 * ip_local_reserved_ports: a list as `ReservedPorts` takes it, without the newline; empty for
 * none.
 */
export function parseReservedList(text: string): string | undefined {
  const list = text.trim();
  try {
    parseReserved(list);
    return list;
  } catch {
    return undefined;
  }
}

/** A file that holds one whole number, zero or more. */
export function parseCount(text: string): number | undefined {
  const match = /^\s*(\d+)\s*$/.exec(text);
  return match === null ? undefined : Number(match[1]);
}

/** The open files of /proc/self/limits. */
export function parseFileLimits(text: string): FileLimits | undefined {
  const match = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)\b/m.exec(text);
  if (match === null) return undefined;
  const [soft, hard] = [limitOf(match[1]), limitOf(match[2])];
  return { soft, hard };
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function limitOf(text: string | undefined): number {
  return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text);
}

/**
 * The ends of a line, and the inode, by which sockets differ that share all else. Those that their
 * program has closed have none, and count once for the same ends.
 */
function identityIn(text: string, start: number): string {
  const local = text.indexOf(": ", start) + 2;
  const afterEnds = text.indexOf(" ", text.indexOf(" ", local) + 1);
  return `${text.slice(local, afterEnds)} ${inodeIn(text, start)}`;
}

function endOfLine(text: string, start: number): number {
  const end = text.indexOf("\n", start);
  return end < 0 ? text.length : end;
}

/**
 * Everything after the row's number has its place: read by position, since there may be many
 * thousands.
 */
function rowIn(
  text: string,
  start: number,
  end: number,
  names: Map<string, string>,
): SocketRow | undefined {
  const local = text.indexOf(": ", start) + 2;
  if (local < start + 2) return undefined; // the heading
  const width = text[local + WORD] === ":" ? WORD : WORDS;
  const remote = local + width + 1 + PORT + 1;
  const state = remote + width + 1 + PORT + 1;
  if (state + 2 >= end) return undefined;
  const port = hexAt(text, remote - 1 - PORT, PORT);
  const remotePort = hexAt(text, state - 1 - PORT, PORT);
  const number = hexAt(text, state, 2);
  if (port < 0 || remotePort < 0 || number < 0) return undefined;
  return {
    address: nameOf(text.slice(local, local + width), names),
    port,
    remoteAddress: nameOf(text.slice(remote, remote + width), names),
    remotePort,
    state: STATES[number - 1] ?? "UNKNOWN",
  };
}

/** The number that `count` hexadecimal digits say; negative if they are none. */
function hexAt(text: string, at: number, count: number): number {
  let value = 0;
  for (let index = at; index < at + count; index++) {
    const digit = digitOf(text.charCodeAt(index));
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** The kernel writes capital letters. */
function digitOf(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  return code >= 65 && code <= 70 ? code - 55 : -1;
}

/** An address of 8 or 32 digits, as canonical text. The same ones come again and again. */
function nameOf(words: string, names: Map<string, string>): string {
  const known = names.get(words);
  if (known !== undefined) return known;
  const name = addressOf(words);
  names.set(words, name);
  return name;
}

function addressOf(words: string): string {
  if (words.length === WORD) return ipv4Of(words, 0);
  if (words.startsWith(MAPPED)) return ipv4Of(words, MAPPED.length);
  const ofAddress = [0, 1, 2, 3].map((index) => hexAt(words, index * WORD, WORD));
  return groupsText(groupsOf(ofAddress));
}

/** A word's lowest byte is the first of the address. */
function ipv4Of(words: string, at: number): string {
  const word = hexAt(words, at, WORD);
  return `${word & 255}.${(word >>> 8) & 255}.${(word >>> 16) & 255}.${word >>> 24}`;
}
