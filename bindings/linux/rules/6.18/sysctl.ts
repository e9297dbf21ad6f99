// The sysctls that the rules of Linux 6.18 have, with the texts that its files take (measured).

import { parseNumber, printNumber } from "../../../groups/texts.ts";
import { SETTINGS, type Setting, type SysctlHost } from "../../sysctl.ts";
import { DELAY_MAX, FIN_SECONDS_MAX, TW_BUCKETS_MAX } from "./options.ts";

/** A system with these settings. */
export interface SysctlHost618 extends SysctlHost {
  autobindReuse: number;
  tcpTwReuseDelay: number;
  tcpTimestamps: number;
  tcpMaxTwBuckets: number;
  tcpFinTimeout: number;
}

type NumberName = {
  [Name in keyof SysctlHost618]: SysctlHost618[Name] extends number ? Name : never;
}[keyof SysctlHost618];

/** By name: the setting, and the least and the most that the file takes. */
const NUMBERS: readonly (readonly [file: string, name: NumberName, least: number, most: number])[] =
  [
    ["ip_autobind_reuse", "autobindReuse", 0, 1],
    ["tcp_tw_reuse", "tcpTwReuse", 0, 2],
    ["tcp_tw_reuse_delay", "tcpTwReuseDelay", 1, DELAY_MAX],
    ["tcp_timestamps", "tcpTimestamps", 0, 255],
    ["tcp_max_tw_buckets", "tcpMaxTwBuckets", 0, TW_BUCKETS_MAX],
    ["tcp_fin_timeout", "tcpFinTimeout", 0, FIN_SECONDS_MAX],
  ];

/** All settings by their sysctl names. */
export const SETTINGS_618: ReadonlyMap<string, Setting<SysctlHost618>> = new Map<
  string,
  Setting<SysctlHost618>
>([
  ...SETTINGS,
  ...NUMBERS.map(([file, name, least, most]): [string, Setting<SysctlHost618>] => [
    `net.ipv4.${file}`,
    {
      read: (host) => printNumber(host[name]),
      write(host, text) {
        host[name] = parseNumber(text, host[name], least, most);
      },
    },
  ]),
]);
