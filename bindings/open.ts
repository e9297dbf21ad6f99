// Open: the options of a manager and their checks, and the types of its figures.

import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from "../assembly/abi.ts";
import {
  type CheckedCooldown,
  type CooldownOption,
  checkCooldown,
  NO_COOLDOWN,
} from "./cooldown.ts";
import { checkModule } from "./core/module.ts";
import { cryptoRandom, type Random, SeededRandom } from "./core/random.ts";
import type { RefusedCalls } from "./counts.ts";
import { checkInteger, checkUint32, readOptions } from "./requests/checks.ts";
import { checkRangeObject, type PortRange } from "./requests/range.ts";
import {
  type CheckedSelection,
  checkSelection,
  type PolicyName,
  type SelectionOptions,
} from "./selection.ts";

/** The options of a new manager. Its `cooldown` is the default of its pools. */
export interface OpenOptions extends CooldownOption {
  /** The ephemeral range, 16000..65535 by default (gVisor). */
  portRange?: PortRange | undefined;
  /**
   * Makes the random offsets repeatable: 0..4294967295. Without it they come from the host's
   * cryptographic source. With it, an observer of a few ports can compute the next.
   */
  seed?: number | undefined;
  /**
   * How an ephemeral port is picked when no offset says where to start: the name of a policy, or
   * its options. `"random"` by default, as gVisor does. `"fifo"` is for pools.
   */
  selection?: PolicyName | SelectionOptions | undefined;
  /** Bytes of memory that the manager's records may take: 1024..4294967295, the default. */
  memoryLimit?: number | undefined;
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module | undefined;
  /**
   * `cooldown.wasm`, likewise: needed by the first pool with a cooldown or the selection `"fifo"`.
   */
  cooldownModule?: WebAssembly.Module | undefined;
}

/** Live figures of a manager. */
export interface Stats {
  /** How many (network, transport, port) are held. */
  readonly descriptors: number;
  /** How many (network, transport, port, address, device, destination) are held. */
  readonly counters: number;
  /** Reservations, counted as gVisor counts references. */
  readonly references: number;
  readonly memory: {
    /** Bytes in records of this manager; back to the figure at open when all is released. */
    readonly used: number;
    /** Bytes of linear memory of the core, shared by all managers of one module. */
    readonly taken: number;
    /** The limit of `used`. */
    readonly limit: number;
  };
  /** Since the manager was opened, or restored, which counts what the snapshot holds as taken. */
  readonly totals: {
    /** The most references that there have been at a time. */
    readonly peak: number;
    /** References taken in all. */
    readonly taken: number;
    /** Calls refused in all, by the name of the {@link Refusal}; a batch cut short is one. */
    readonly refused: RefusedCalls;
  };
}

/** Options that have been checked. */
interface CheckedOpen {
  readonly random: Random;
  readonly limit: number;
  readonly range: PortRange | undefined;
  readonly selection: CheckedSelection;
  readonly cooldown: CheckedCooldown;
  readonly module: WebAssembly.Module | undefined;
  readonly cooldownModule: WebAssembly.Module | undefined;
}

const NAMES = [
  ...["portRange", "seed", "selection", "cooldown", "memoryLimit", "module", "cooldownModule"],
];
export const RANGE_ADVICE: string = `the default is ${EPHEMERAL_FIRST}..${EPHEMERAL_LAST}`;
const LIMIT_MIN = 1024;
const LIMIT_MAX = 0xffffffff;

/**
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_VALUE`, `EINVAL`
 * (range).
 */
export function checkOpen(options: OpenOptions): CheckedOpen {
  const given = readOptions("options", options, NAMES);
  const { seed, portRange, memoryLimit = LIMIT_MAX, module, cooldownModule } = given;
  return {
    random: seed === undefined ? cryptoRandom : new SeededRandom(checkUint32("seed", seed)),
    limit: checkInteger("memoryLimit", memoryLimit, LIMIT_MIN, LIMIT_MAX),
    range:
      portRange === undefined ? undefined : checkRangeObject("portRange", portRange, RANGE_ADVICE),
    selection: checkSelection(given.selection),
    cooldown: checkCooldown(given.cooldown, NO_COOLDOWN),
    module,
    cooldownModule:
      cooldownModule === undefined
        ? undefined
        : checkModule("cooldownModule", "cooldown.wasm", cooldownModule),
  };
}
