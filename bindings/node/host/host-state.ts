// HostState: the kernel's settings and sockets, and the limits of this process. On Linux they are
// read from /proc; elsewhere, and where a file cannot be read, they are not known, and `unknown`
// says so.

import { endianness } from "node:os";
import { wrongType } from "../../errors.ts";
import { parseAddress } from "../../requests/address.ts";
import type { PortRange } from "../../requests/range.ts";
import { builtin } from "../builtin.ts";
import {
  type FileLimits,
  parseCount,
  parseFileLimits,
  parsePortRange,
  parseReservedList,
  parseSocketRows,
  type SocketRow,
} from "./proc.ts";

/** The host at the time of reading. What is not known is `undefined`. */
export interface HostState {
  /** The range from which the kernel picks ports by itself (`ip_local_port_range`). */
  readonly portRange: PortRange | undefined;
  /**
   * Ports that the kernel does not pick (`ip_local_reserved_ports`), as `ReservedPorts` takes
   * them; `""` for none.
   */
  readonly reserved: string | undefined;
  /** `tcp_timestamps`: 0 off, 1 on with a random offset, 2 on without. */
  readonly tcpTimestamps: number | undefined;
  /**
   * `tcp_tw_reuse`: 0 never take over a port in TIME_WAIT, 1 after a second, 2 so on loopback
   * only.
   */
  readonly tcpTwReuse: number | undefined;
  /**
   * `tcp_fin_timeout`: seconds in FIN_WAIT2 without a socket. TIME_WAIT lasts 60 s, whatever this
   * says.
   */
  readonly tcpFinTimeout: number | undefined;
  /** `tcp_max_tw_buckets`: how many connections may be in TIME_WAIT; those beyond end at once. */
  readonly tcpMaxTwBuckets: number | undefined;
  /** `ip_unprivileged_port_start`: the lowest port that any user may bind. */
  readonly unprivilegedPortStart: number | undefined;
  /**
   * TCP sockets, in every state. A socket that is bound, but neither listens nor has connected, is
   * in none of the kernel's lists. The lists are of this network namespace, and of all its
   * processes.
   */
  readonly tcp: readonly SocketRow[] | undefined;
  /** UDP sockets. */
  readonly udp: readonly SocketRow[] | undefined;
  /** How many open files this process may have. */
  readonly fileLimits: FileLimits | undefined;
  /** How many files this process has open. */
  readonly openFiles: number | undefined;
  /** What is not known, and why: a sentence each. */
  readonly unknown: readonly string[];
}

/** The transports whose sockets are listed. */
export type HostTransport = "tcp" | "udp";

const PROC = "/proc";
const SYSCTL = "sys/net/ipv4";
/** More than any file under /proc/sys/net has: a list of every second port takes 190,000 bytes. */
const SYSCTL_BYTES_MAX = 262_144;

/**
 * Reads the host's state, synchronously: some milliseconds, in which the kernel walks its tables,
 * and a few more for each thousand sockets. What cannot be read is not known, and no error.
 * @param root the folder where /proc is. Another one is read on any system, for instance a
 * recorded one.
 * @throws PortError `ERR_INVALID_ARG_TYPE`: `root` is no text.
 */
export function readHostState(root: string = PROC): HostState {
  if (typeof root !== "string") throw wrongType("root", "a path", root);
  return readHost(root, true);
}

/**
 * The same, but the sockets, whose lists take the kernel most of the time, are read when they are
 * asked for: at that time, each time.
 */
export function readHostSettings(): HostState {
  return Object.defineProperties(readHost(PROC, false), {
    tcp: { get: () => readSockets("tcp") },
    udp: { get: () => readSockets("udp") },
  });
}

function readHost(root: string, withSockets: boolean): HostState {
  const { platform } = process;
  if (root === PROC && platform !== "linux") return unknownHost(platform);
  const reader = new Reader(root);
  const count = (name: string): number | undefined =>
    reader.read(`${SYSCTL}/${name}`, name, parseCount);
  return {
    portRange: reader.read(
      `${SYSCTL}/ip_local_port_range`,
      "the kernel's own port range",
      parsePortRange,
    ),
    reserved: reader.read(
      `${SYSCTL}/ip_local_reserved_ports`,
      "the reserved ports",
      parseReservedList,
    ),
    tcpTimestamps: count("tcp_timestamps"),
    tcpTwReuse: count("tcp_tw_reuse"),
    tcpFinTimeout: count("tcp_fin_timeout"),
    tcpMaxTwBuckets: count("tcp_max_tw_buckets"),
    unprivilegedPortStart: count("ip_unprivileged_port_start"),
    tcp: withSockets ? reader.sockets("tcp") : undefined,
    udp: withSockets ? reader.sockets("udp") : undefined,
    fileLimits: reader.read("self/limits", "the limit of open files", parseFileLimits),
    openFiles: reader.openFiles(),
    unknown: reader.unknown,
  };
}

/**
 * The sockets of one transport, now.
 * @returns `undefined` where the host does not tell.
 */
function readSockets(transport: HostTransport): readonly SocketRow[] | undefined {
  if (process.platform !== "linux") return undefined;
  return new Reader(PROC).sockets(transport);
}

/**
 * The sockets that concern a local address: those on it, and those on a wildcard. `0.0.0.0`
 * concerns every IPv4 address, and `::` every address, since it cannot be seen whether its socket
 * is IPv6 only. For a wildcard it is the other way round: the sockets on any of its addresses.
 * @param address an IPv4 or IPv6 address as text; `""` is `::`.
 * @returns `undefined` where the host does not tell.
 * @throws PortError `ERR_INVALID_IP_ADDRESS`, `ERR_INVALID_ARG_TYPE`.
 */
export function socketsAt(
  host: HostState,
  address: string,
  transport: HostTransport,
): SocketRow[] | undefined {
  const local = parseAddress("address", address).text || (address.includes(".") ? V4_ANY : V6_ANY);
  return host[transport]?.filter((row) => overlap(row.address, local));
}

/**
 * The ports that are in use for a local address, ascending, each once: see {@link socketsAt}. It
 * is how things were when the host was read; this process's own sockets are among them.
 * @param address an IPv4 or IPv6 address as text; `""` is `::`.
 * @returns `undefined` where the host does not tell.
 * @throws PortError `ERR_INVALID_IP_ADDRESS`, `ERR_INVALID_ARG_TYPE`.
 */
export function usedPorts(
  host: HostState,
  address: string,
  transport: HostTransport,
): number[] | undefined {
  const sockets = socketsAt(host, address, transport);
  if (sockets === undefined) return undefined;
  return [...new Set(sockets.map(({ port }) => port))].sort((a, b) => a - b);
}

/** How many more files the process may open. */
export function filesLeft({ fileLimits, openFiles = 0 }: HostState): number {
  return fileLimits === undefined ? Infinity : Math.max(0, fileLimits.soft - openFiles);
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

const V4_ANY = "0.0.0.0";
const V6_ANY = "::";

/** Do two local addresses, canonical, have an address in common? */
function overlap(a: string, b: string): boolean {
  if (a === b || a === V6_ANY || b === V6_ANY) return true;
  return (a === V4_ANY && !b.includes(":")) || (b === V4_ANY && !a.includes(":"));
}

/** Reads files, and notes which it could not read. */
class Reader {
  readonly unknown: string[] = [];
  readonly #root: string;
  readonly #buffer: Buffer = Buffer.allocUnsafe(SYSCTL_BYTES_MAX);

  constructor(root: string) {
    this.#root = root;
  }

  read<T>(path: string, what: string, parse: (text: string) => T | undefined): T | undefined {
    const text = this.#text(path, what);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) this.#note(what, path, "does not read as expected");
    return value;
  }

  /** The sockets of both families. A kernel without IPv6 has no list of its own for it. */
  sockets(transport: HostTransport): SocketRow[] | undefined {
    const what = `the ${transport.toUpperCase()} ports in use`;
    if (endianness() !== "LE") {
      this.#note(what, `net/${transport}`, "is understood on little-endian machines only");
      return undefined;
    }
    const rows = this.read(`net/${transport}`, what, parseSocketRows);
    if (rows === undefined || (transport === "tcp" && this.#hasNoTcp6())) return rows;
    return rows.concat(this.read(`net/${transport}6`, `${what} by IPv6`, parseSocketRows) ?? []);
  }

  /**
   * Does the kernel count no socket of TCP over IPv6, and none in TIME_WAIT of either family? Then
   * its list is empty, which is known sooner: for a list it walks the table of both families, some
   * milliseconds (Linux `sockstat_seq_show`, `tcp6_seq_ops`).
   */
  #hasNoTcp6(): boolean {
    const { readFileSync } = builtin("fs");
    try {
      const [both, six] = ["sockstat", "sockstat6"].map((name) =>
        readFileSync(`${this.#root}/net/${name}`, "latin1"),
      ) as [string, string];
      return /^TCP6: inuse 0$/m.test(six) && /^TCP: .* tw 0 /m.test(both);
    } catch {
      return false;
    }
  }

  openFiles(): number | undefined {
    try {
      // Reading the folder is itself an open file.
      return builtin("fs").readdirSync(`${this.#root}/self/fd`).length - 1;
    } catch (error) {
      this.#note("how many files are open", "self/fd", failure(error));
      return undefined;
    }
  }

  #text(path: string, what: string): string | undefined {
    try {
      const file = `${this.#root}/${path}`;
      return path.startsWith("sys/")
        ? this.#textAtOnce(file)
        : builtin("fs").readFileSync(file, "latin1");
    } catch (error) {
      this.#note(what, path, failure(error));
      return undefined;
    }
  }

  /**
   * The text of a file under /proc/sys. One read must do: of a list of ports the kernel answers a
   * second read with nothing (`proc_do_large_bitmap`), and `readFileSync` reads 8 KiB at a time.
   */
  #textAtOnce(file: string): string {
    const { closeSync, openSync, readSync } = builtin("fs");
    const descriptor = openSync(file, "r");
    try {
      const length = readSync(descriptor, this.#buffer, 0, SYSCTL_BYTES_MAX, 0);
      if (length === SYSCTL_BYTES_MAX) throw new RangeError(`more than ${length - 1} bytes`);
      return this.#buffer.toString("latin1", 0, length);
    } finally {
      closeSync(descriptor);
    }
  }

  #note(what: string, path: string, why: string): void {
    this.unknown.push(`${sentence(what)} not known: ${this.#root}/${path} ${why}.`);
  }
}

/** The beginning of a sentence about one thing, or several. */
function sentence(what: string): string {
  const verb = /\bports\b/.test(what) ? "are" : "is";
  return `${what.charAt(0).toUpperCase()}${what.slice(1)} ${verb}`;
}

function failure(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ENOENT" || code === "ENOTDIR") return "is not there";
  if (code === "EACCES" || code === "EPERM") return "may not be read";
  return `cannot be read (${code ?? error})`;
}

function unknownHost(platform: string): HostState {
  return {
    portRange: undefined,
    reserved: undefined,
    tcpTimestamps: undefined,
    tcpTwReuse: undefined,
    tcpFinTimeout: undefined,
    tcpMaxTwBuckets: undefined,
    unprivilegedPortStart: undefined,
    tcp: undefined,
    udp: undefined,
    fileLimits: undefined,
    openFiles: undefined,
    unknown: [
      `Ranges, reserved ports and ports in use are not known: Linux tells them in ${PROC}, and this is ${platform}.`,
      "Settings of TIME_WAIT and the limit of open files are not known, for the same reason.",
    ],
  };
}
