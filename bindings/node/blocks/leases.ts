// Leases: all leased ports of one connector, by source and transport, and their events and counts.

import { type Channel, channel } from "node:diagnostics_channel";
import { cryptoRandom, type Random, SeededRandom } from "../../core/random.ts";
import { wrongValue } from "../../errors.ts";
import type { PortRange, ReservedPorts } from "../../index.ts";
import { type BlockGrant, type BlockStore, blockScope, scopeName } from "./block-store.ts";
import { type ClockTimer, SYSTEM_CLOCK } from "./clock.ts";
import { LeasedPorts, type LeasedPortsListener } from "./leased-ports.ts";
import { isLending, type LendingStore } from "./loans.ts";

/** The channel of `node:diagnostics_channel` for {@link BlockEvent}s. */
export const BLOCKS_CHANNEL = "portwarden:blocks";

/** How often ports and blocks that are left over are given back. */
const TIDY_MS = 1000;

/** An event of blocks; messages on the channel `portwarden:blocks`. */
export interface BlockEvent {
  /**
   * `acquired`, `returned`; `lost`: the store gave them to another, or the term ended; `refused`:
   * none could be had; `error`: the store could not be asked.
   */
  readonly kind: "acquired" | "returned" | "lost" | "refused" | "error";
  /** The store's name. */
  readonly store: string;
  /** The source's address. */
  readonly source: string;
  /** 6 (TCP) or 17 (UDP). */
  readonly transport: number;
  /** The blocks; block b is the ports 64 b to 64 b + 63. */
  readonly blocks: readonly number[];
  /** The holders of blocks, for `refused`, as far as the store knows them. */
  readonly holders: readonly string[];
  readonly error: unknown;
}

/** Blocks of a connector: how many it has now, and counters. */
export interface BlockMetrics {
  /** Blocks leased now, those that run dry among them. */
  readonly held: number;
  /** Leased blocks that no more ports are taken from: they go back when their last port is free. */
  readonly draining: number;
  /** Ports of the leased blocks that may be used. */
  readonly ports: number;
  /** Blocks leased since the connector was made. */
  readonly acquired: number;
  /** Blocks given back. */
  readonly returned: number;
  /** Blocks that ended otherwise: the store gave them to another, or was not heard of in time. */
  readonly lost: number;
  /** Requests for a block that the store refused, or could not be asked. */
  readonly refused: number;
  /** Requests that failed, or that the store did not answer in time. */
  readonly storeErrors: number;
  /** Ports borrowed now of blocks that others have. */
  readonly borrowed: number;
  /** Ports of the leased blocks that are lent to others now. */
  readonly lent: number;
  /** Connections begun from ports of blocks that others have, without being lent. */
  readonly spilled: number;
}

interface LeasesOptions {
  readonly store: BlockStore;
  readonly reserved: ReservedPorts;
  /** Makes picks repeatable; drawn by default. */
  readonly seed: number | undefined;
  readonly range: () => PortRange | undefined;
  readonly destroys: boolean;
  /** Does a call wait for a port? */
  readonly isWaited: () => boolean;
  /** Blocks have come, or cannot come now. */
  readonly onChange: () => void;
  /** Ends the cooldown of ports whose time is over, also when no call asks for a port any more. */
  readonly expire: () => void;
  /** Lends ports to other holders. */
  readonly lend?: LendingStore["onLend"] | undefined;
}

const CHANNEL: Channel = channel(BLOCKS_CHANNEL);
/** Stores that have a connector: two would give back each other's blocks. */
const USED: WeakSet<BlockStore> = new WeakSet();

export class Leases implements LeasedPortsListener {
  readonly store: BlockStore;
  readonly #options: LeasesOptions;
  readonly #byScope: Map<string, LeasedPorts> = new Map();
  readonly #counts = { acquired: 0, returned: 0, lost: 0, refused: 0, storeErrors: 0, spilled: 0 };
  readonly #random: Random;
  #timer: ClockTimer | undefined;
  #isClosed = false;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.store = options.store;
    const { seed } = options;
    this.#random = seed === undefined ? cryptoRandom : new SeededRandom(seed);
    if (USED.has(this.store)) {
      throw wrongValue("blocks", "a store of its own for each connector or manager", this.store);
    }
    USED.add(this.store);
    this.store.onWanted = (scope) => this.#byScope.get(scopeName(scope))?.onWanted();
    if (isLending(this.store)) this.store.onLend = options.lend;
  }

  /** The leased ports of an address. */
  of(address: string, transport: number): LeasedPorts {
    const scope = blockScope(address, transport);
    const known = this.#byScope.get(scopeName(scope));
    if (known !== undefined) return known;
    const { store, reserved, range, destroys } = this.#options;
    const random = this.#random;
    const clock = SYSTEM_CLOCK;
    const ports = new LeasedPorts({
      ...{ scope, store, clock, reserved, random, range, destroys },
      listener: this,
    });
    this.#byScope.set(scopeName(scope), ports);
    this.#startTimer();
    return ports;
  }

  /** All that there are. */
  get all(): Iterable<LeasedPorts> {
    return this.#byScope.values();
  }

  onSpilled(): void {
    this.#counts.spilled++;
  }

  metrics(): BlockMetrics {
    const all = [...this.#byScope.values()];
    const sum = (of: (ports: LeasedPorts) => number): number =>
      all.reduce((total, one) => total + of(one), 0);
    return {
      held: sum(({ heldBlocks }) => heldBlocks),
      draining: sum(({ drainingBlocks }) => drainingBlocks),
      ports: sum(({ leasedPorts }) => leasedPorts),
      borrowed: sum(({ borrowedPorts }) => borrowedPorts),
      lent: sum(({ lentPorts }) => lentPorts),
      ...this.#counts,
    };
  }

  /** Gives back all blocks, and closes the store. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    const all = [...this.#byScope.values()];
    const failed = (error: unknown): void => this.#publish("error", undefined, { error });
    const ended = all.map((ports) => ports.close());
    Promise.allSettled(ended)
      .then(() => this.store.close())
      .catch(failed);
  }

  #startTimer(): void {
    if (this.#isClosed || this.#timer !== undefined) return;
    this.#timer = SYSTEM_CLOCK.after(TIDY_MS, () => {
      this.#timer = undefined;
      this.#options.expire();
      for (const ports of this.#byScope.values()) ports.tidy();
      this.#startTimer();
    });
  }

  // ── What leased ports tell ──────────────────────────────────────────────────────────────

  isWaited(): boolean {
    return this.#options.isWaited();
  }

  onChange(): void {
    this.#options.onChange();
  }

  onAcquired(ports: LeasedPorts, blocks: readonly number[]): void {
    this.#counts.acquired += blocks.length;
    this.#publish("acquired", ports, { blocks });
  }

  onReturned(ports: LeasedPorts, blocks: readonly number[]): void {
    this.#counts.returned += blocks.length;
    this.#publish("returned", ports, { blocks });
  }

  onRefused(ports: LeasedPorts, grant: BlockGrant | undefined, error: unknown): void {
    this.#counts.refused++;
    this.#publish("refused", ports, { holders: grant?.holders ?? [], error });
  }

  onLost(ports: LeasedPorts, blocks: readonly number[]): void {
    this.#counts.lost += blocks.length;
    this.#publish("lost", ports, { blocks });
  }

  onError(ports: LeasedPorts, error: unknown): void {
    this.#counts.storeErrors++;
    this.#publish("error", ports, { error });
  }

  #publish(
    kind: BlockEvent["kind"],
    ports: LeasedPorts | undefined,
    told: Partial<Pick<BlockEvent, "blocks" | "holders" | "error">>,
  ): void {
    if (!CHANNEL.hasSubscribers) return;
    const { source = "", transport = 0 } = ports?.scope ?? {};
    const event: BlockEvent = {
      ...{ kind, store: this.store.name, source, transport },
      ...{ blocks: [], holders: [], error: undefined },
      ...told,
    };
    CHANNEL.publish(event);
  }
}
