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

/** What has these settings. */
export interface SysctlHost {
  /** The range that automatic selection takes ports from. */
  portRange(): PortRange;
  setPortRange(first: number, last: number): void;
  /** What automatic selection passes over. */
  readonly reserved: { text: string };
  /** The lowest port that anybody may bind, 0..65535. */
  unprivilegedPortStart: number;
  /** May a connection take the place of one in TIME_WAIT? 0 or 1. */
  tcpTwReuse: number;
}

interface Setting {
  read(host: SysctlHost): string;
  write(host: SysctlHost, text: string): void;
}

const SETTINGS: ReadonlyMap<string, Setting> = new Map<string, Setting>([
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
        // No bytes are no list: the kernel does nothing then.
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
export class Sysctl {
  readonly #host: SysctlHost;

  constructor(host: SysctlHost) {
    this.#host = host;
  }

  /**
   * The text of a setting, with its newline.
   * @throws PortError `ENOENT` (no such name), `ERR_INVALID_ARG_TYPE`, and those of the host.
   */
  read(name: string): string {
    return settingOf(name).read(this.#host);
  }

  /**
   * Changes a setting. Numbers are decimal, octal (0...) or hexadecimal (0x...), as in the kernel.
   * @throws PortError `EINVAL` (`invalid-text`, `invalid-port-range`), `ENOENT` (no such name),
   * `ERR_INVALID_ARG_TYPE`, and those of the host.
   */
  write(name: string, text: string): void {
    settingOf(name).write(this.#host, checkText("text", text));
  }

  /** The names, sorted. */
  list(): string[] {
    return [...SETTINGS.keys()];
  }
}

function settingOf(name: string): Setting {
  const setting = SETTINGS.get(checkText("name", name));
  if (setting !== undefined) return setting;
  const known = [...SETTINGS.keys()].join(", ");
  throw new PortError("ENOENT", "not-found", `no sysctl ${show(name)}; known are ${known}`);
}
