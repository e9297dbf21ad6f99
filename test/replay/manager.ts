// The port manager as a system to replay on, by either of its two ways in.
//
// Words: every operation is a call with a request, by value. Handles: whatever a pool can do
// goes through a pool, one per distinct key, and the rest through words on the same manager,
// so the two ways in are seen to share one state.

import {
  EXHAUSTED,
  FLAG_MASK,
  IN_USE,
  LOAD_BALANCED,
  MOST_RECENT,
  TUPLE_ONLY,
} from "../../assembly/abi.ts";
import { PortError, PortManager, type PortPool } from "../../bindings/index.ts";
import type { Key, System, Tester } from "./system.ts";

type ManagerOptions = NonNullable<Parameters<typeof PortManager.open>[0]>;

export function openReservations(options?: ManagerOptions): System<Wording> {
  return new Words(options);
}

export function openPools(options?: ManagerOptions): System<Wording> {
  return new Handles(options);
}

/** One key, worded once; only the port or the offset is written before a call. */
interface Wording {
  readonly key: Wanted;
  readonly named: Wanted & { port: number };
  readonly ephemeral: Wanted & { offset: number };
  pool: PortPool | undefined;
}

interface Wanted {
  readonly networks: readonly number[];
  readonly transport: number;
  readonly address: string;
  readonly bindToDevice: number;
  readonly destination: { readonly address: string; readonly port: number };
  readonly flags: Flags;
}

interface Flags {
  readonly mostRecent: boolean;
  readonly loadBalanced: boolean;
  readonly tupleOnly: boolean;
}

/** By the vectors' number for them. */
const FLAGS: readonly Flags[] = Array.from({ length: FLAG_MASK + 1 }, (_, bits) => ({
  mostRecent: (bits & MOST_RECENT) !== 0,
  loadBalanced: (bits & LOAD_BALANCED) !== 0,
  tupleOnly: (bits & TUPLE_ONLY) !== 0,
}));

class Words implements System<Wording> {
  protected readonly manager: PortManager;
  readonly #usedAtOpen: number;

  constructor(options?: ManagerOptions) {
    this.manager = PortManager.open(options);
    this.#usedAtOpen = this.manager.stats().memory.used;
  }

  request(key: Key): Wording {
    const flags = FLAGS[key.flags];
    if (flags === undefined) throw new RangeError(`flags ${key.flags} are not three bits`);
    const wanted: Wanted = {
      networks: key.networks,
      transport: key.transport,
      address: key.addr,
      bindToDevice: key.device,
      destination: { address: key.dest.addr, port: key.dest.port },
      flags,
    };
    return {
      key: wanted,
      named: { ...wanted, port: 0 },
      ephemeral: { ...wanted, offset: 0 },
      pool: undefined,
    };
  }

  reserve(wording: Wording, port: number, test?: Tester): number {
    wording.named.port = port;
    return answer(() => this.manager.reservePort(wording.named, test).port);
  }

  reserveEphemeral(wording: Wording, offset: number, test?: Tester): number {
    wording.ephemeral.offset = offset;
    return answer(() => this.manager.reservePort(wording.ephemeral, test).port);
  }

  reserveTuple(wording: Wording, port: number): boolean {
    wording.named.port = port;
    return answer(() => this.manager.reserveTuple(wording.named).port) !== IN_USE;
  }

  release(wording: Wording, port: number): boolean {
    wording.named.port = port;
    return this.manager.releasePort(wording.named);
  }

  pick(offset: number, test: Tester): number {
    return answer(() => this.manager.pickEphemeralPort(test, offset));
  }

  pickStable(offset: number, test: Tester): number {
    return answer(() => this.manager.pickEphemeralPortStable(offset, test));
  }

  setPortRange(first: number, last: number): boolean {
    try {
      this.manager.setPortRange(first, last);
      return true;
    } catch (error) {
      if (error instanceof PortError && error.reason === "invalid-port-range") return false;
      throw error;
    }
  }

  portRange(): { first: number; last: number } {
    return this.manager.portRange();
  }

  stats(): { descriptors: number; counters: number; refs: number } {
    const { descriptors, counters, references } = this.manager.stats();
    return { descriptors, counters, refs: references };
  }

  close(): number {
    const left = this.manager.stats().memory.used - this.#usedAtOpen;
    this.manager.close();
    return left;
  }
}

class Handles extends Words {
  readonly #pools: PortPool[] = [];

  override reserve(wording: Wording, port: number, test?: Tester): number {
    if (test !== undefined) return super.reserve(wording, port, test);
    return this.#pool(wording).takeAt(port);
  }

  override reserveEphemeral(wording: Wording, offset: number, test?: Tester): number {
    if (test !== undefined) return super.reserveEphemeral(wording, offset, test);
    return this.#pool(wording).take(offset);
  }

  override release(wording: Wording, port: number): boolean {
    return this.#pool(wording).free(port);
  }

  override close(): number {
    for (const pool of this.#pools) pool.close();
    return super.close();
  }

  #pool(wording: Wording): PortPool {
    if (wording.pool === undefined) {
      wording.pool = this.manager.pool({ ...wording.key, mode: "bind" });
      this.#pools.push(wording.pool);
    }
    return wording.pool;
  }
}

/** A refusal as the number that it was inside. Any other error is no answer. */
export function answer(ask: () => number): number {
  try {
    return ask();
  } catch (error) {
    if (error instanceof PortError && error.reason === "port-in-use") return IN_USE;
    if (error instanceof PortError && error.reason === "no-port-available") return EXHAUSTED;
    throw error;
  }
}
