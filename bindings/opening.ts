// Opening: makes the records of a manager in the core, with its selection, and frees them.

import { NO_MEMORY } from "../assembly/abi.ts";
import { type Registry, registerCleanup } from "./core/cleanup.ts";
import { type Core, coreOf } from "./core/core.ts";
import { cryptoRandom } from "./core/random.ts";
import { noMemory } from "./errors.ts";
import type { PortGroup } from "./groups/group.ts";
import type { checkOpen } from "./open.ts";
import type { PoolRecord } from "./pool-record.ts";
import { groupAt, liveGroupAt } from "./requests/block.ts";
import { type Key, withGroup } from "./requests/parsing.ts";
import { Reserving } from "./reserving.ts";
import { Selection } from "./selection.ts";

/** @throws PortError `ENOBUFS`, `ERR_WEBASSEMBLY_NOT_SUPPORTED`. */
export function openReserving(settings: ReturnType<typeof checkOpen>): Reserving {
  const { limit, range, random } = settings;
  const core = coreOf(settings.module);
  const selection = new Selection(core, random, settings.selection);
  // The hash table's seed is secret even where the offsets are not.
  const manager = core.exports.openManager(cryptoRandom.next(), cryptoRandom.next(), limit) >>> 0;
  if (manager === 0) {
    selection.close();
    throw noMemory(`a manager, limit ${limit} bytes`);
  }
  if (range !== undefined) core.exports.setRange(manager, range.first, range.last);
  return new Reserving(core, manager, limit, selection);
}

/** The memory of a manager. */
interface ManagerResources {
  readonly core: Core;
  readonly manager: number;
  readonly pools: Set<PoolRecord>;
}

export function closeResources({ core, manager, pools }: ManagerResources): void {
  for (const pool of pools) pool.end();
  core.exports.closeManager(manager);
}

/** Frees the memory of a manager that has become garbage. */
export const managerCleanup: Registry<ManagerResources> =
  registerCleanup<ManagerResources>(closeResources);

/**
 * Moves a reservation to another group, and returns its description there.
 * @throws PortError `ENOBUFS`, `EBADF`, `ENOENT`.
 */
export function moveKey(reserving: Reserving, key: Key, group: PortGroup | undefined): Key {
  const manager = reserving.open();
  const { core } = reserving;
  const from = liveGroupAt(core, key.group);
  const to = groupAt(core, group);
  if (core.exports.moveGroupUse(manager, from, to) === NO_MEMORY) {
    throw reserving.noMemory(`a reservation in group ${group?.path}`);
  }
  return withGroup(key, group);
}
