// Leased pool: a PortPool that takes ports from leased blocks alone. The core's pool has the mask
// of the leased blocks as its reserved ports; the ports that it takes and frees are also counted by
// block.
//
//   manager ── store ──┬── LeasedPorts of tcp/10.0.0.1 ──┬── pool to one destination
//                      │                                 └── pool to another
//                      └── LeasedPorts of udp/10.0.0.1 ───── pool
//
// Must stay true: no call of a pool looks at a clock.

import { type Registry, registerCleanup } from "../../core/cleanup.ts";
import { wrongValue } from "../../errors.ts";
import { type PortManager, type PortPool, Refusal, ReservedPorts } from "../../index.ts";
import type { PoolStore } from "../../leasing.ts";
import { atEnd, countsOf, isRandomPool } from "../../pool.ts";
import { parseAddress } from "../../requests/address.ts";
import type { PoolOptions } from "../../requests/request.ts";
import { type BlockStore, blockOf } from "./block-store.ts";
import type { LeasedPorts } from "./leased-ports.ts";
import { Leases } from "./leases.ts";
import type { PairUse } from "./pair-use.ts";

/** The manager whose pools a store serves. */
interface Tenant {
  /** Weak: a manager may become garbage. */
  readonly manager: WeakRef<PortManager>;
  readonly reserved: ReservedPorts | undefined;
  readonly leases: Leases;
}

const TENANTS: WeakMap<BlockStore, Tenant> = new WeakMap();
/**
 * A timer keeps the leases alive until they are closed: by the manager, or when it has become
 * garbage.
 */
const cleanup: Registry<Leases> = registerCleanup((leases) => leases.close());
const SOME_PORTS = new Uint16Array(256);

/**
 * Opens a pool on the blocks of a store.
 * @throws PortError `ERR_INVALID_ARG_VALUE`: the store serves another manager, or a connector; the
 * address is a wildcard; pools of one store have different `reserved`; and what opening a pool
 * throws.
 */
export function openLeased(this: PoolStore, manager: PortManager, options: PoolOptions): PortPool {
  const { leases } = tenantOf(this, manager, options.reserved);
  const leased = leases.of(parseAddress("address", options.address ?? "").text, options.transport);
  const pool = manager.pool({ ...options, reserved: leased.mask });
  const use = leased.join();
  atEnd(pool, (isManagers) => {
    leased.leave(use);
    if (isManagers) leases.close();
  });
  return takingFrom(pool, leased, use);
}

function tenantOf(
  store: BlockStore,
  manager: PortManager,
  reserved: ReservedPorts | undefined,
): Tenant {
  const known = TENANTS.get(store);
  if (known !== undefined) {
    if (known.manager.deref() !== manager) throw wrongValue("blocks", "a store of its own", store);
    if (known.reserved === reserved) return known;
    throw wrongValue("reserved", "the same list for all pools of a store of blocks", reserved);
  }
  const none = (): void => {};
  const weak = new WeakRef(manager);
  const leases = new Leases({
    ...{
      store,
      seed: undefined,
      destroys: false,
      isWaited: () => false,
      onChange: none,
      expire: none,
    },
    reserved: reserved ?? new ReservedPorts(),
    range: () => weak.deref()?.portRange(),
  });
  cleanup.register(manager, leases);
  const tenant = { manager: weak, reserved, leases };
  TENANTS.set(store, tenant);
  return tenant;
}

/** The methods that take and free ports, over those of the pool's class. */
function takingFrom(pool: PortPool, leased: LeasedPorts, use: PairUse): PortPool {
  const take = pool.take.bind(pool);
  const takeAt = pool.takeAt.bind(pool);
  const free = pool.free.bind(pool);
  const expire = pool.expire.bind(pool);
  const isRandom = isRandomPool(pool);
  const counts = countsOf(pool);
  const own: Partial<PortPool> = {
    take(offset) {
      // A new block is better than a cooling port that may be taken over.
      if (leased.isFull(use)) leased.grow();
      for (;;) {
        const port = take(offset ?? (isRandom ? leased.startOffset() : undefined));
        if (port > 0) use.add(port);
        if (port !== Refusal.EXHAUSTED && port !== Refusal.COOLING) return port;
        if (!leased.grow()) return port;
        counts.goOn();
      }
    },
    takeAt(port) {
      // Another holder may have it, in a block that is not leased here.
      if (!leased.holds(blockOf(port))) return counts.refuse(Refusal.IN_USE);
      const taken = takeAt(port);
      if (taken > 0) use.add(taken);
      return taken;
    },
    takeMany(ports, offsets) {
      for (let at = 0; at < ports.length; at++) {
        const port = pool.take(offsets?.[at]);
        if (port < 0) return at;
        ports[at] = port;
      }
      return ports.length;
    },
    free(port) {
      const isFreed = free(port);
      if (isFreed) use.delete(port);
      return isFreed;
    },
    freeMany(ports) {
      let count = 0;
      for (const port of ports) if (port !== 0 && pool.free(port)) count++;
      return count;
    },
    expire(now, freed) {
      let sum = 0;
      for (;;) {
        const some = freed?.subarray(sum) ?? SOME_PORTS;
        const count = expire(now, some);
        for (const port of some.subarray(0, count)) use.delete(port);
        sum += count;
        if (count < some.length || freed !== undefined) return sum;
      }
    },
  };
  return Object.assign(pool, own);
}
