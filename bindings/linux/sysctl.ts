// Sysctl: settings under the names and in the texts of Linux's /proc/sys/net/ipv4.

import { PortError, show } from "../errors.ts";
import {
  checkText,
  parseLocalRange,
  parseTwReuse,
  parseUnprivilegedStart,
  printLocalRange,
  printNumber,
} from "../groups/texts.ts";
import type { PortRange } from "../requests/range.ts";

/** A system with these settings. */
export interface SysctlHost {
  /** The range that automatic selection takes ports from. */
  portRange(): PortRange;
  setPortRange(first: number, last: number): void;
  /** The ports that automatic selection passes over. */
  readonly reserved: { text: string };
  /** The lowest port that any user may bind, 0..65535. */
  unprivilegedPortStart: number;
  /** May a connection take the place of one in TIME_WAIT? 0 or 1. */
  tcpTwReuse: number;
}

/** A setting of hosts of that kind. */
export interface Setting<Host> {
  read(host: Host): string;
  write(host: Host, text: string): void;
}

/** The settings that all rules have. */
export const SETTINGS: ReadonlyMap<string, Setting<SysctlHost>> = new Map<
  string,
  Setting<SysctlHost>
>([
  [
    "net.ipv4.ip_local_port_range",
    {
      read: (host) => printLocalRange(host.portRange()),
      write(host, text) {
        const range = parseLocalRange(text, host.portRange(), host.unprivilegedPortStart);
        host.setPortRange(range.first, range.last);
      },
    },
  ],
  [
    "net.ipv4.ip_local_reserved_ports",
    {
      read: (host) => `${host.reserved.text}\n`,
      write(host, text) {
        // Writing no bytes changes nothing, as in the kernel.
        if (text !== "") host.reserved.text = text;
      },
    },
  ],
  [
    "net.ipv4.ip_unprivileged_port_start",
    {
      read: (host) => printNumber(host.unprivilegedPortStart),
      write(host, text) {
        const { unprivilegedPortStart: start } = host;
        host.unprivilegedPortStart = parseUnprivilegedStart(text, start, host.portRange());
      },
    },
  ],
  [
    "net.ipv4.tcp_tw_reuse",
    {
      read: (host) => printNumber(host.tcpTwReuse),
      write(host, text) {
        host.tcpTwReuse = parseTwReuse(text, host.tcpTwReuse);
      },
    },
  ],
]);

/**
 * The settings of Linux's local-port allocation by their sysctl names, in the kernel's texts:
 *
 * | name | text, as read | source |
 * |---|---|---|
 * | `net.ipv4.ip_local_port_range` | `32768\t60999\n` | Linux `ipv4_local_port_range` |
 * | `net.ipv4.ip_local_reserved_ports` | `8080,9000-9010\n` | Linux `proc_do_large_bitmap` |
 * | `net.ipv4.ip_unprivileged_port_start` | `1024\n` | Linux `ipv4_privileged_ports` |
 * | `net.ipv4.tcp_tw_reuse` | `0\n` | Linux 2.6.32: 0 or 1 |
 *
 * Writing what was read changes nothing, and neither does the empty text: "\n" empties the list of
 * reserved ports. A text that is refused leaves everything as it was.
 */
export class Sysctl<Host extends SysctlHost = SysctlHost> {
  readonly #host: Host;
  readonly #settings: ReadonlyMap<string, Setting<Host>>;

  constructor(host: Host, settings: ReadonlyMap<string, Setting<Host>> = SETTINGS) {
    this.#host = host;
    this.#settings = settings;
  }

  /**
   * The text of a setting, with its newline.
   * @throws PortError `ENOENT` (no such name), `ERR_INVALID_ARG_TYPE`, and those of the host.
   */
  read(name: string): string {
    return settingOf(this.#settings, name).read(this.#host);
  }

  /**
   * Changes a setting. Numbers are decimal, octal (0...) or hexadecimal (0x...), as in the kernel.
   * @throws PortError `EINVAL` (`invalid-text`, `invalid-port-range`), `ENOENT` (no such name),
   * `ERR_INVALID_ARG_TYPE`, and those of the host.
   */
  write(name: string, text: string): void {
    settingOf(this.#settings, name).write(this.#host, checkText("text", text));
  }

  /** The names, sorted. */
  list(): string[] {
    return [...this.#settings.keys()];
  }
}

function settingOf<Host>(
  settings: ReadonlyMap<string, Setting<Host>>,
  name: string,
): Setting<Host> {
  const setting = settings.get(checkText("name", name));
  if (setting !== undefined) return setting;
  const known = [...settings.keys()].join(", ");
  throw new PortError("ENOENT", "not-found", `no sysctl ${show(name)}; known are ${known}`);
}
