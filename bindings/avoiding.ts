// Avoiding pool: a pool whose `take` passes over one port, that of the destination of connections
// from an address to itself. Such a connection would connect to itself, by a simultaneous open,
// without a listener.

import { EXHAUSTED } from "../assembly/abi.ts";
import { CoolingPool } from "./cooling.ts";
import { checkPorts } from "./core/batch.ts";
import { checkEnough, PortPool, rangeOf } from "./pool.ts";
import type { PoolRecord } from "./pool-record.ts";

// biome-ignore lint/suspicious/noExplicitAny: TypeScript wants it of a class that is extended.
type PoolClass = new (...options: any[]) => PortPool;

/** A kind of pool whose `take` passes over a port, the first argument of its constructor. */
function avoiding<Base extends PoolClass>(base: Base) {
  return class extends base {
    readonly #avoid: number;
    readonly #record: PoolRecord;

    // biome-ignore lint/suspicious/noExplicitAny: as above.
    constructor(...[avoid, ...options]: any[]) {
      super(...options);
      this.#avoid = avoid;
      this.#record = options[1];
    }

    override take(offset?: number): number {
      const port = super.take(offset);
      if (port !== this.#avoid) return port;
      // While it is held the search does not find it again, unless the pool shares its ports.
      const other = super.take(port - (rangeOf(this)?.first ?? 1) + 1);
      this.#giveBack(port);
      if (other !== port) return other;
      this.#giveBack(port);
      return this.#record.counts.refuse(EXHAUSTED);
    }

    #giveBack(port: number): void {
      this.free(port);
      this.#record.countTaken(-1);
    }

    override takeMany(ports: Uint16Array, offsets?: Uint32Array): number {
      checkPorts(ports);
      if (offsets !== undefined) checkEnough(offsets, ports.length);
      for (let taken = 0; taken < ports.length; taken++) {
        const port = this.take(offsets?.[taken]);
        if (port < 0) return taken;
        ports[taken] = port;
      }
      return ports.length;
    }
  };
}

/** A {@link PortPool} that avoids a port. */
export const AvoidingPool: PoolClass = avoiding(PortPool);
/** A {@link CoolingPool} that avoids a port. */
export const AvoidingCoolingPool: PoolClass = avoiding(CoolingPool as PoolClass);
