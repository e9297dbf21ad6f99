// Options of a system by the rules of Linux 6.18, checked before anything is made.

import { PORT_COUNT } from "../../../../assembly/abi.ts";
import { type Core, coreOf } from "../../../core/core.ts";
import { cryptoRandom, type Random, SeededRandom } from "../../../core/random.ts";
import { wrongType, wrongValue } from "../../../errors.ts";
import { type ReservedPorts, reservedAddress } from "../../../groups/reserved.ts";
import {
  checkBoolean,
  checkInteger,
  checkTime,
  checkUint32,
  readOptions,
} from "../../../requests/checks.ts";
import { checkRangeObject, type PortRange } from "../../../requests/range.ts";
import {
  checkDuration,
  checkedDraw,
  checkLimit,
  checkStart,
  DEFAULT_RANGE,
  orDefault,
  RANGE_ADVICE,
  UNPRIVILEGED_DEFAULT,
} from "../../checks.ts";
import { linuxOver } from "../../core.ts";
import { type Address, isAnyAddress, readAddress } from "./address.ts";
import type { Exports618 } from "./core.ts";

/** The options of a new system. */
export interface LinuxOptions {
  /**
   * Whose rules: `"6.18"`, the default; with `"2.6.32"` other options count: {@link
   * Linux2632Options}.
   */
  rules?: "6.18" | undefined;
  /** `net.ipv4.ip_local_port_range`: 32768..60999 by default. */
  portRange?: PortRange | undefined;
  /** `net.ipv4.ip_local_reserved_ports`: a list of its own, empty, by default. */
  reserved?: ReservedPorts | undefined;
  /**
   * `net.ipv4.ip_unprivileged_port_start`: 0..65535, not above the range's first; 1024 by default.
   */
  unprivilegedPortStart?: number | undefined;
  /** `net.ipv4.ip_autobind_reuse`: 0 by default. */
  autobindReuse?: 0 | 1 | undefined;
  /** `net.ipv4.tcp_tw_reuse`: 0 never, 1 always, 2 on loopback only, the default. */
  tcpTwReuse?: 0 | 1 | 2 | undefined;
  /** `net.ipv4.tcp_tw_reuse_delay`: milliseconds, 1..60000; 1000 by default. */
  tcpTwReuseDelay?: number | undefined;
  /** `net.ipv4.tcp_timestamps`: 0 is off, up to 255 is on; 1 by default. */
  tcpTimestamps?: number | undefined;
  /** `net.ipv4.tcp_max_tw_buckets`: how many TIME_WAITs there may be; 262144 by default. */
  tcpMaxTwBuckets?: number | undefined;
  /** `net.ipv4.tcp_fin_timeout`: seconds, 60 by default. */
  tcpFinTimeout?: number | undefined;
  /** How long TIME_WAIT lasts: milliseconds; 60000 by default, as in the kernel. */
  timeWaitMs?: number | undefined;
  /** Where the clock starts: milliseconds; 0 by default. */
  time?: number | undefined;
  /**
   * The machine's addresses beside loopback, which bind() takes and where the machine itself
   * answers connections. By default bind() takes every address, and loopback alone answers.
   */
  addresses?: readonly string[] | undefined;
  /** The numbers of the devices that there are; 1 is loopback. By default there are all. */
  devices?: readonly number[] | undefined;
  /** The local address that routing chooses for a remote one that is not the machine's. */
  localAddress?: string | undefined;
  /**
   * Looks at every port of a range with an odd number of them, where the kernel overlooks its first
   * or last one. False by default.
   */
  exact?: boolean | undefined;
  /** Slots of the kernel's UDP hash table: a power of two, 256..65536; 4096 by default. */
  udpHashSlots?: number | undefined;
  /** Makes random numbers repeatable: 0..4294967295. */
  seed?: number | undefined;
  /** The source of random numbers: answers 0..4294967295. Not together with `seed`. */
  random?: (() => number) | undefined;
  /** Bytes of memory that the system's records may take: 8192..4294967295, the default. */
  memoryLimit?: number | undefined;
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module | undefined;
  /** `linux.wasm`, compiled by such a host. */
  linuxModule?: WebAssembly.Module | undefined;
}

/** Options that have been checked. */
interface CheckedOptions {
  readonly core: Core;
  readonly linux: Exports618;
  readonly module: WebAssembly.Module | undefined;
  readonly range: PortRange;
  readonly reserved: ReservedPorts | undefined;
  readonly start: number;
  readonly switches: number;
  readonly delay: number;
  readonly most: number;
  readonly finTimeout: number;
  readonly duration: number;
  readonly now: number;
  readonly addresses: ReadonlySet<string> | undefined;
  readonly devices: ReadonlySet<number> | undefined;
  readonly source: Address | undefined;
  readonly udpSlots: number;
  readonly secrets: Random;
  readonly draw: () => number;
  readonly limit: number;
}

const NAMES = [
  ...["rules", "portRange", "reserved", "unprivilegedPortStart", "autobindReuse", "tcpTwReuse"],
  ...["tcpTwReuseDelay", "tcpTimestamps", "tcpMaxTwBuckets", "tcpFinTimeout", "timeWaitMs"],
  ...["time", "addresses", "devices", "localAddress", "exact", "udpHashSlots", "seed", "random"],
  ...["memoryLimit", "module", "linuxModule"],
];
export const TW_BUCKETS_MAX = 0x7fffffff;
export const DELAY_MAX = 60_000;
const SLOTS_MIN = 256;
/** Milliseconds of 32 bits. */
export const FIN_SECONDS_MAX = 4_294_967;

export function checkOptions(given: LinuxOptions): CheckedOptions {
  const options = readOptions("options", given, NAMES);
  const { rules = "6.18" } = options;
  if (rules !== "6.18") throw wrongValue("rules", '"6.18" or "2.6.32"', rules);
  const { portRange = DEFAULT_RANGE, seed, random, module, linuxModule } = options;
  const range = checkRangeObject("portRange", portRange, RANGE_ADVICE);
  const core = coreOf(module);
  const linux = linuxOver<Exports618>(core, linuxModule, "618");
  if (options.reserved !== undefined) reservedAddress(options.reserved, core);
  if (seed !== undefined && random !== undefined) {
    throw wrongValue("random", "left out where there is a seed", random);
  }
  const source = seed === undefined ? cryptoRandom : new SeededRandom(checkUint32("seed", seed));
  const finTimeout = checkInteger(
    "tcpFinTimeout",
    orDefault(options.tcpFinTimeout, 60),
    0,
    FIN_SECONDS_MAX,
  );
  return {
    core,
    linux,
    module,
    range,
    reserved: options.reserved,
    start: checkStart(orDefault(options.unprivilegedPortStart, UNPRIVILEGED_DEFAULT), range),
    switches: switchesOf(options),
    delay: checkInteger("tcpTwReuseDelay", orDefault(options.tcpTwReuseDelay, 1000), 1, DELAY_MAX),
    most: checkInteger(
      "tcpMaxTwBuckets",
      orDefault(options.tcpMaxTwBuckets, 262_144),
      0,
      TW_BUCKETS_MAX,
    ),
    finTimeout: finTimeout * 1000,
    duration: checkDuration(options.timeWaitMs),
    now: Math.trunc(checkTime("time", orDefault(options.time, 0))),
    addresses: addressesOf(options.addresses),
    devices: devicesOf(options.devices),
    source: sourceOf(options.localAddress),
    udpSlots: slotsOf(orDefault(options.udpHashSlots, 4096)),
    secrets: source,
    draw: random === undefined ? () => source.next() : checkedDraw(random),
    limit: checkLimit(options.memoryLimit),
  };
}

function switchesOf(options: LinuxOptions): number {
  const autobind = checkInteger("autobindReuse", orDefault(options.autobindReuse, 0), 0, 1);
  const reuse = checkInteger("tcpTwReuse", orDefault(options.tcpTwReuse, 2), 0, 2);
  const stamps = checkInteger("tcpTimestamps", orDefault(options.tcpTimestamps, 1), 0, 255);
  const exact = checkBoolean("exact", options.exact) ? 1 : 0;
  return autobind | (reuse << 8) | (stamps << 16) | (exact << 24);
}

function addressesOf(addresses: unknown): ReadonlySet<string> | undefined {
  if (addresses === undefined) return undefined;
  if (!Array.isArray(addresses)) throw wrongType("addresses", "a list of IP addresses", addresses);
  return new Set(addresses.map((text) => readAddress("addresses", text, false).plain));
}

function devicesOf(devices: unknown): ReadonlySet<number> | undefined {
  if (devices === undefined) return undefined;
  if (!Array.isArray(devices)) throw wrongType("devices", "a list of numbers", devices);
  return new Set(devices.map((device) => checkInteger("devices", device, 1, 0x7fffffff)));
}

function sourceOf(text: string | undefined): Address | undefined {
  if (text === undefined) return undefined;
  const source = readAddress("localAddress", text, false);
  if (isAnyAddress(source)) throw wrongValue("localAddress", "one address of this machine", text);
  return source;
}

function slotsOf(slots: unknown): number {
  const checked = checkInteger("udpHashSlots", slots, SLOTS_MIN, PORT_COUNT);
  if ((checked & (checked - 1)) === 0) return checked;
  throw wrongValue("udpHashSlots", "a power of two", slots);
}
