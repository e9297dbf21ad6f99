// Opening pools: from a checked description to a pool of the kind that its options ask for.

import { AvoidingCoolingPool, AvoidingPool } from "./avoiding.ts";
import { type CheckedCooldown, checkCooldown } from "./cooldown.ts";
import { CoolingPool } from "./cooling.ts";
import { cooldownCoreOf } from "./core/cooldown-core.ts";
import { INSIDE } from "./core/inside.ts";
import type { checkOpen } from "./open.ts";
import { PortPool } from "./pool.ts";
import { CoolingRecords, type ExplainPool, PoolRecord } from "./pool-record.ts";
import { writeKey } from "./requests/block.ts";
import { checkBoolean, checkPort } from "./requests/checks.ts";
import { type Asked, checkMode, type Key } from "./requests/parsing.ts";
import { showKey } from "./requests/printing.ts";
import type { Reserving } from "./reserving.ts";
import { checkPoolSelection } from "./selection.ts";

/** The manager of a pool. */
export interface PoolOwner {
  readonly reserving: Reserving;
  readonly settings: ReturnType<typeof checkOpen>;
  readonly pools: Set<PoolRecord>;
  readonly explain: ExplainPool;
}

/** The options of a pool, beside its description. */
export interface PoolKind {
  readonly mode: number;
  readonly isUnique: boolean;
  readonly isOrdered: boolean;
  readonly cooldown: CheckedCooldown;
  readonly avoid: number | undefined;
}

/** @throws PortError those of bad arguments. */
export function poolKind({ settings }: PoolOwner, asked: Asked): PoolKind {
  const { key } = asked;
  const cooldown = checkCooldown(asked.cooldown, settings.cooldown);
  const isOrdered = checkPoolSelection(asked.selection);
  const isCooling = cooldown.period > 0 || isOrdered;
  return {
    mode: checkMode(asked.mode, key),
    // A port that cools down, or is queued, must not be taken a second time under flags of reuse.
    isUnique: checkBoolean("unique", asked.unique) || (isCooling && key.flags !== 0),
    isOrdered,
    cooldown,
    avoid: asked.avoid === undefined ? undefined : checkPort(asked.avoid),
  };
}

/** @throws PortError `ENOBUFS`, `EBADF`. */
export function openPool(owner: PoolOwner, key: Key, kind: PoolKind): PortPool {
  const { reserving, settings } = owner;
  const { core } = reserving;
  const { cooldown, isOrdered, avoid } = kind;
  const isCooling = cooldown.period > 0 || isOrdered;
  const manager = reserving.open();
  writeKey(core, key);
  const handle = core.exports.openPool(manager, kind.mode, kind.isUnique ? 1 : 0) >>> 0;
  if (handle === 0) throw reserving.noMemory(showKey(key, 0));
  const records = isCooling ? openCooling(owner, handle, kind) : undefined;
  const record = new PoolRecord(reserving, handle, key, kind, records, owner.pools);
  const { random } = settings;
  if (avoid !== undefined) {
    const Pool = isCooling ? AvoidingCoolingPool : AvoidingPool;
    return new Pool(avoid, INSIDE, record, owner.explain, reserving, cooldown, random);
  }
  if (!isCooling) return new PortPool(INSIDE, record, owner.explain, reserving);
  return new CoolingPool(INSIDE, record, owner.explain, reserving, cooldown, random);
}

function openCooling(
  { reserving, settings }: PoolOwner,
  handle: number,
  { cooldown, isOrdered }: PoolKind,
): CoolingRecords {
  const { core } = reserving;
  try {
    const { exports } = cooldownCoreOf(core, settings.cooldownModule);
    return new CoolingRecords(exports, reserving.open(), cooldown.period, isOrdered);
  } catch (error) {
    core.exports.closePool(handle);
    throw error;
  }
}
