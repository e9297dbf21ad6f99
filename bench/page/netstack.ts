// Netstack: the scenario's connections through a PortManager, one pool per destination.

import { cooldownOf } from "../../bindings/cooling.ts";
import { coreOf } from "../../bindings/core/core.ts";
import { reservedAddress } from "../../bindings/groups/reserved.ts";
import {
  IPV4,
  type PolicyName,
  type PoolOptions,
  PortManager,
  type PortPool,
  TCP,
} from "../../bindings/index.ts";
import { handleOf } from "../../bindings/pool.ts";
import type { Drawing } from "./drawing.ts";
import { Leases } from "./leases.ts";
import { Limits } from "./limits.ts";
import { Memory, WORDS } from "./memory.ts";
import {
  type Asked,
  attempt,
  automatic,
  LOCAL,
  listed,
  type Ports,
  REMOTE_PORT,
  remoteAddress,
  remoteName,
} from "./ports.ts";
import type { Answer, Place, Span } from "./protocol.ts";
import { DESTINATIONS_MAX, type Settings } from "./settings.ts";
import { PORTS } from "./states.ts";

const SEED = 1;

export class NetstackPorts implements Ports {
  readonly limits: Limits;
  readonly #manager: PortManager;
  readonly #pools: readonly PortPool[];
  readonly #coolsDown: boolean;
  readonly #leases: Leases | undefined;
  #now = 0;
  // Connections, place by place.
  #live = 0;
  readonly #ports: Uint16Array = new Uint16Array(PORTS * DESTINATIONS_MAX);
  readonly #towards: Uint8Array = new Uint8Array(PORTS * DESTINATIONS_MAX);

  readonly #core = coreOf(undefined);
  readonly #memory: Memory = new Memory(this.#core);
  readonly #held: Uint32Array = new Uint32Array(WORDS);
  readonly #cooling: Uint32Array = new Uint32Array(WORDS);

  constructor(settings: Settings) {
    const { first, last, selection, destinations, cooldown } = settings;
    const isOrdered = selection === "fifo";
    this.limits = new Limits(settings);
    this.#coolsDown = cooldown > 0;
    this.#manager = PortManager.open({
      portRange: { first, last },
      seed: SEED,
      selection: isOrdered ? "random" : (selection as PolicyName),
      cooldown,
    });
    if (settings.leases) {
      this.#leases = new Leases(destinations, this.limits.reserved, () => this.range);
    }
    this.#pools = Array.from({ length: destinations }, (_, destination) =>
      this.#manager.pool({
        ...this.#towardsOf(destination),
        group: this.limits.groupOf(destination),
        reserved: this.#leases?.masks[destination] ?? this.limits.reserved,
        ...(isOrdered ? { selection: "fifo" } : {}),
      }),
    );
  }

  get live(): number {
    return this.#live;
  }

  arrive(destination: number): boolean {
    const pool = this.#pools[destination] as PortPool;
    let port = pool.take();
    while (port < 0 && this.#leases?.grow(destination)) port = pool.take();
    if (port < 0) return false;
    this.#leases?.onTaken(port);
    this.#ports[this.#live] = port;
    this.#towards[this.#live] = destination;
    this.#live++;
    return true;
  }

  leave(index: number): void {
    const pool = this.#pools[this.#towards[index] as number] as PortPool;
    const port = this.#ports[index] as number;
    if (this.#coolsDown) pool.coolDown(port, this.#now);
    else pool.free(port);
    this.#leases?.onFreed(port);
    this.#live--;
    this.#ports[index] = this.#ports[this.#live] as number;
    this.#towards[index] = this.#towards[this.#live] as number;
  }

  tick(now: number): void {
    this.#now = now;
    this.#leases?.tidy();
    if (!this.#coolsDown) return;
    for (const pool of this.#pools) pool.expire(now);
  }

  get range(): Span {
    return this.#manager.portRange();
  }

  setRange({ first, last }: Span): void {
    this.#manager.setPortRange(first, last);
  }

  read(drawing: Drawing): void {
    const memory = this.#memory;
    drawing.clear();
    if (this.#leases !== undefined) drawing.owners = this.#leases.owners;
    memory.refresh();
    for (const pool of this.#pools) {
      memory.readFlow(memory.flowOf(handleOf(pool)), this.#held);
      memory.readCooldown(cooldownOf(pool), this.#cooling);
      drawing.addHolder(this.#held, this.#cooling);
    }
    memory.readReserved(reservedAddress(this.limits.reserved, this.#core), drawing.reserved);
  }

  ownerOf(port: number): number {
    return this.#leases?.owners[port >> 6] ?? 0;
  }

  ask(port: number): Asked {
    const holders = this.#pools.filter((pool) => pool.has(port)).length;
    const isCooling =
      this.#coolsDown && this.#pools.some((_, index) => this.#isCooling(index, port));
    return { holders, isCooling };
  }

  holdersOf(port: number): { holders: string[]; cooling: string[] } {
    const towards = this.#pools.map((_, destination) => destination);
    const holders = towards.filter((destination) => this.#pools[destination]?.has(port));
    const cooling = towards.filter((destination) => this.#isCooling(destination, port));
    return { holders: holders.map(remoteName), cooling: cooling.map(remoteName) };
  }

  requests(port: number, place: Place): Answer[] {
    const answers = this.#pools.map((_, index) => this.#connectFrom(index, port));
    const group = this.limits.groupAt(place);
    const isFresh = (_: PortPool, destination: number): boolean => {
      const owner = this.ownerOf(port);
      if (owner > 0 && owner !== destination + 1) return false;
      const isOurs = group === undefined || group === this.limits.groupOf(destination);
      return isOurs && answers[destination]?.isGranted === true;
    };
    const fresh = this.#pools.flatMap((pool, index) =>
      isFresh(pool, index) ? [remoteName(index)] : [],
    );
    return [
      automatic(port, this, place, fresh),
      ...merge(answers),
      attempt("listen() on it", () =>
        this.#manager
          .reservePort({ networks: [IPV4], transport: TCP, address: LOCAL, port, group })
          .release(),
      ),
    ];
  }

  close(): void {
    this.#manager.close();
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  #towardsOf(destination: number): PoolOptions {
    return {
      networks: [IPV4],
      transport: TCP,
      address: LOCAL,
      destination: { address: remoteAddress(destination), port: REMOTE_PORT },
    };
  }

  /**
   * A port that a pool does not hold, and that cannot be had, cools down: nothing else is in its
   * way.
   */
  #isCooling(destination: number, port: number): boolean {
    const pool = this.#pools[destination] as PortPool;
    if (!this.#coolsDown || pool.has(port)) return false;
    return !this.#manager.isAvailable({ ...this.#towardsOf(destination), port });
  }

  #connectFrom(destination: number, port: number): Answer {
    const request = remoteName(destination);
    if (this.#isCooling(destination, port)) {
      return { request, isGranted: false, answer: "it cools down after its last connection" };
    }
    return attempt(request, () => {
      const group = this.limits.groupOf(destination);
      this.#manager.reservePort({ ...this.#towardsOf(destination), port, group }).release();
    });
  }
}

/**
 * One answer for all destinations whose answers differ in their names alone: that of the first of
 * them.
 */
function merge(answers: readonly Answer[]): Answer[] {
  const byReason = new Map<string, Answer[]>();
  for (const answer of answers) {
    const reason = answer.answer.split(":")[0] as string;
    byReason.set(reason, [...(byReason.get(reason) ?? []), answer]);
  }
  return [...byReason.values()].map((alike) => {
    const [{ isGranted, answer }] = alike as [Answer, ...Answer[]];
    const names = listed(alike.map(({ request }) => request));
    return { request: `connect() from it to ${names}`, isGranted, answer };
  });
}
