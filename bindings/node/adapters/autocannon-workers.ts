// autocannon with the option `workers`: each worker is a thread with a connector of its own, and
// they share the ports of every source.
//
//   first ├── worker 0 ──┼── worker 1 ──┼── worker 2 ──┤ last
//
// or lease blocks of them on this host, each with a store of its own.
//
// The settings for workers go through autocannon's own options, as plain data.

import { fileURLToPath } from "node:url";
import { wrongValue } from "../../errors.ts";
import { checkInteger } from "../../requests/checks.ts";
import type { PortRange } from "../../requests/range.ts";
import { hostBlocks, isHostBlocks } from "../blocks/host-blocks.ts";
import { type ConnectorOptions, checkOptions } from "../connector/connector-options.ts";
import { readHostSettings } from "../host/host-state.ts";

const WORKERS_MAX = 1024;

/** The options that {@link autocannonWorkers} adds to those of autocannon. */
export interface AutocannonWorkerOptions {
  /** As autocannon's own. */
  workers: number;
  /** The file that workers load. autocannon takes a path here, and its types a function. */
  setupClient: string & ((client: object) => void);
  /** The settings that the file reads; autocannon passes them on. */
  portwarden: AutocannonShares;
}

/** The settings of all workers. */
export interface AutocannonShares {
  /** Options of their connectors, but for the range; what is kept free is reserved. */
  readonly options: ConnectorOptions;
  /** Does each lease blocks of the whole range, in place of its share? */
  readonly leasesBlocks: boolean;
  /** The range that they share. */
  readonly range: PortRange;
  readonly workers: number;
  /** How many workers have asked for their share: one number that all of them see. */
  readonly count: SharedArrayBuffer;
}

/** Options that no other thread could be given. */
const OF_ONE_THREAD = ["group", "lookup"] as const;

/**
 * Options for autocannon with several `workers`: each worker opens its connections through a
 * connector of its own, from all sources, on its share of the port range, so that no two workers
 * meet. For one worker see {@link autocannonSetup}, which does the same.
 * @param workers how many: 1..1024, and no more than the range has ports.
 * @param options of each connector, without `group` and `lookup`. With `blocks: hostBlocks()` each
 * worker leases blocks of the whole range. `memoryLimit`, `wait` and all else count for each worker.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`, and what
 * `createConnector` throws.
 * @example
 * const result = await autocannon({
 *   url: "http://127.0.0.1:8080",
 *   connections: 1000,
 *   ...autocannonWorkers(4, { sources: "127.0.0.2-127.0.0.5" }),
 * });
 */
export function autocannonWorkers(
  workers: number,
  options: ConnectorOptions,
): AutocannonWorkerOptions {
  checkInteger("workers", workers, 1, WORKERS_MAX);
  const { portRange: range, reserved } = checkOptions(options, readHostSettings());
  // The ports that are kept free are those of the whole range: of a share each worker would find
  // enough outside.
  const { text } = reserved;
  reserved.close();
  for (const name of OF_ONE_THREAD) {
    if (options[name] === undefined) continue;
    throw wrongValue(name, "left out: only plain data goes to a worker", options[name]);
  }
  const { blocks, ...plain } = options;
  if (blocks !== undefined && !isHostBlocks(blocks)) {
    throw wrongValue("blocks", "hostBlocks(), which each worker can make for itself", blocks);
  }
  if (range.last - range.first + 1 < workers) {
    throw wrongValue("portRange", `a range of at least ${workers} ports, one per worker`, range);
  }
  const count = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  return {
    workers,
    setupClient: workerFile() as AutocannonWorkerOptions["setupClient"],
    portwarden: {
      options: { ...plain, reserved: text, headroom: 0 },
      leasesBlocks: blocks !== undefined,
      ...{ range, workers, count },
    },
  };
}

/** Not before it is needed: in a bundle that is no ES module there is no such URL. */
function workerFile(): string {
  return fileURLToPath(new URL("autocannon-worker.js", import.meta.url));
}

/** The share of the worker that asks, which asks once. */
export function shareOf({ options, leasesBlocks, range, workers, count }: AutocannonShares): {
  index: number;
  options: ConnectorOptions & { portRange: PortRange };
} {
  // Workers of a warm-up have ended when the next ones come.
  const index = Atomics.add(new Int32Array(count), 0, 1) % workers;
  if (leasesBlocks)
    return { index, options: { ...options, portRange: range, blocks: hostBlocks() } };
  const ports = range.last - range.first + 1;
  const first = range.first + Math.floor((ports * index) / workers);
  const last = range.first + Math.floor((ports * (index + 1)) / workers) - 1;
  return { index, options: { ...options, portRange: { first, last } } };
}
