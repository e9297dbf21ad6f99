// Linux options: what a system is opened with, checked before anything is made.

import { type Core, coreOf } from "../../../core/core.ts";
import { cryptoRandom, type Random, SeededRandom } from "../../../core/random.ts";
import { invalid, wrongValue } from "../../../errors.ts";
import { type ReservedPorts, reservedAddress } from "../../../groups/reserved.ts";
import { type Address, type AddressLike, parseLocal } from "../../../requests/address.ts";
import { checkTime, checkUint32, readOptions } from "../../../requests/checks.ts";
import { checkRangeObject, type PortRange } from "../../../requests/range.ts";
import {
  type CheckedSelection,
  checkSelection,
  type PolicyName,
  type SelectionOptions,
} from "../../../selection.ts";
import {
  checkDuration,
  checkedDraw,
  checkLimit,
  checkStart,
  DEFAULT_RANGE,
  RANGE_ADVICE,
  UNPRIVILEGED_DEFAULT,
} from "../../checks.ts";
import { linuxOver } from "../../core.ts";
import type { Exports2632 } from "./core.ts";

/** The options of a new system. */
export interface Linux2632Options {
  /** `net.ipv4.ip_local_port_range`: 32768..60999 by default. */
  portRange?: PortRange | undefined;
  /** `net.ipv4.ip_local_reserved_ports`: a list of its own, empty, by default. */
  reserved?: ReservedPorts | undefined;
  /**
   * `net.ipv4.ip_unprivileged_port_start`: 0..65535, not above the range's first; 1024 by default.
   */
  unprivilegedPortStart?: number | undefined;
  /**
   * `net.ipv4.tcp_tw_reuse`: whether an automatic connect() may take over a TIME_WAIT. 0 by
   * default.
   */
  tcpTwReuse?: 0 | 1 | undefined;
  /** How long TIME_WAIT lasts: milliseconds, 0..4294967295; 60000 by default. */
  timeWaitMs?: number | undefined;
  /** Where the clock starts: milliseconds, 0..4294967000000; 0 by default. */
  time?: number | undefined;
  /** Where connect()'s hint starts: 0..4294967295; 0 by default. */
  hint?: number | undefined;
  /** The local address that routing would choose for a socket without one: 127.0.0.1 by default. */
  localAddress?: AddressLike | undefined;
  /** Whose rules: those of Linux 2.6.32 with ranges for control groups. */
  rules: "2.6.32";
  /** How bind() with port 0 picks; `"random"` by default, as the kernel does. */
  bindSelection?: PolicyName | SelectionOptions | undefined;
  /**
   * How connect() picks; `"hash"` by default, as the kernel does: a keyed hash of the tuple plus
   * one hint for all destinations, which moves by the number of ports that were looked at.
   */
  connectSelection?: PolicyName | SelectionOptions | undefined;
  /**
   * Makes random numbers repeatable: 0..4294967295. Without it they come from the host's
   * cryptographic source, and so do keys. With it, an observer of a few ports can compute the next.
   */
  seed?: number | undefined;
  /**
   * The random numbers of bind(), one for each run of its search: answers 0..4294967295, and the
   * search starts at `first + answer % count`. For tests and simulations; not together with `seed`.
   */
  random?: (() => number) | undefined;
  /** Bytes of memory that the system's records may take: 8192..4294967295, the default. */
  memoryLimit?: number | undefined;
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module | undefined;
  /**
   * `linux.wasm`, compiled by such a host: it runs over the memory of `module`. That inside the
   * package by default.
   */
  linuxModule?: WebAssembly.Module | undefined;
}

/** The same where the rules are known. */
export type Linux2632Settings = Omit<Linux2632Options, "rules"> & { rules?: "2.6.32" | undefined };

const OPTION_NAMES = [
  ...["portRange", "reserved", "unprivilegedPortStart", "tcpTwReuse", "timeWaitMs", "time"],
  ...["hint", "localAddress", "rules", "bindSelection", "connectSelection", "seed", "random"],
  ...["memoryLimit", "module", "linuxModule"],
];

/** How bind() and connect() pick. */
export interface ChosenPolicies {
  readonly bind: CheckedSelection;
  readonly connect: CheckedSelection;
}

/** Options that have been checked. */
interface CheckedOptions {
  readonly core: Core;
  readonly linux: Exports2632;
  readonly module: WebAssembly.Module | undefined;
  readonly range: PortRange;
  readonly reserved: ReservedPorts | undefined;
  readonly start: number;
  readonly reuse: number;
  readonly duration: number;
  readonly now: number;
  readonly hint: number;
  readonly local: Address;
  readonly by: ChosenPolicies;
  readonly random: Random;
  readonly draw: () => number;
  /**
   * Whether the caller gives the random numbers or their seed, and so can see how many were drawn.
   */
  readonly isWatched: boolean;
  readonly limit: number;
}

/**
 * Checks all options.
 * @param chosen what a snapshot says of policies; else the options do.
 */
export function checkLinuxOptions(
  options: Linux2632Settings,
  chosen?: ChosenPolicies,
): CheckedOptions {
  const {
    portRange = DEFAULT_RANGE,
    reserved,
    unprivilegedPortStart = UNPRIVILEGED_DEFAULT,
    tcpTwReuse = 0,
    timeWaitMs,
    time = 0,
    hint = 0,
    localAddress = "127.0.0.1",
    bindSelection,
    connectSelection = { algorithm: "hash", from: 0 },
    seed,
    random,
    memoryLimit,
    module,
    linuxModule,
  } = readOptions("options", options, OPTION_NAMES);
  const range = checkRangeObject("portRange", portRange, RANGE_ADVICE);
  const by = chosen ?? {
    bind: checkSelection(bindSelection, "bindSelection"),
    connect: checkSelection(connectSelection, "connectSelection"),
  };
  checkChance(seed, random, by.bind);
  const source = seed === undefined ? cryptoRandom : new SeededRandom(checkUint32("seed", seed));
  const core = coreOf(module);
  const linux = linuxOver<Exports2632>(core, linuxModule, "2632");
  if (reserved !== undefined) reservedAddress(reserved, core);
  return {
    core,
    linux,
    module,
    range,
    reserved,
    start: checkStart(unprivilegedPortStart, range),
    reuse: checkReuse(tcpTwReuse),
    duration: checkDuration(timeWaitMs),
    now: Math.trunc(checkTime("time", time)),
    hint: checkUint32("hint", hint),
    local: parseLocal(localAddress),
    by,
    random: source,
    draw: random === undefined ? () => source.next() : checkedDraw(random),
    isWatched: random !== undefined || seed !== undefined,
    limit: checkLimit(memoryLimit),
  };
}

export function checkReuse(value: unknown): number {
  if (value === 0 || value === 1) return value;
  throw wrongValue("tcpTwReuse", "0 or 1", value);
}

function checkChance(seed: unknown, random: unknown, { algorithm }: CheckedSelection): void {
  if (random === undefined) return;
  if (seed !== undefined) {
    const message = "seed and random both say where chance comes from: give one of them";
    throw invalid("ERR_INVALID_ARG_VALUE", message);
  }
  if (algorithm === "random") return;
  const message = `random gives the draws of bindSelection "random", and that is "${algorithm}"`;
  throw invalid("ERR_INVALID_ARG_VALUE", message);
}
