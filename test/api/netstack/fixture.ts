// Fixture: a manager and a tree of groups on one instance, all that they show, and ports requested
// in every way: by objects, by values, and by pools that stay open.

import { expect } from "vitest";
import { EMPTY_RANGE, EXHAUSTED, IN_USE, NO_MEMORY, OUTSIDE_GROUP } from "../../../assembly/abi.ts";
import {
  type GroupOption,
  type OpenOptions,
  type PoolRequest,
  PortError,
  type PortGroups,
  type PortManager,
  type PortPool,
  type Reason,
  type Reservation,
  type ReservedOption,
  ReservedPorts,
  type Stats,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, type Build, moduleFor, openOn } from "../../support/builds.ts";
import { coreFor, type Inherit, openGroups, picture } from "../groups/fixture.ts";

/** What a caller wants, but for the port. */
export type AnyRequest = PoolRequest & GroupOption & ReservedOption;

export type Interface = "objects" | "values" | "pools";

/** Every interface of a manager, on both builds. */
export const INTERFACES: readonly (readonly [Interface, Build])[] = BUILDS.flatMap((build) =>
  (["objects", "values", "pools"] as const).map((through) => [through, build] as const),
);

export const WEB: { networks: number[]; transport: number } = { networks: [4], transport: TCP };
export const DNS: { networks: number[]; transport: number } = { networks: [4], transport: UDP };
export const SERVER: { address: string; port: number } = { address: "9.9.9.9", port: 443 };

export function reservedOn(build: Build, text = ""): ReservedPorts {
  return new ReservedPorts(text, moduleFor(build));
}

// ── Answers ───────────────────────────────────────────────────────────────────────────────

const REFUSALS: Partial<Record<Reason, number>> = {
  "port-in-use": IN_USE,
  "no-port-available": EXHAUSTED,
  "no-memory": NO_MEMORY,
  "outside-group": OUTSIDE_GROUP,
  "empty-range": EMPTY_RANGE,
};

/** A port, or the refusal as a number. */
export function answerOf(act: () => Reservation): number {
  try {
    return act().port;
  } catch (error) {
    const number = error instanceof PortError ? REFUSALS[error.reason] : undefined;
    if (number === undefined) throw error;
    return number;
  }
}

// ── The fixture ─────────────────────────────────────────────────────────────────────────────

interface Taken {
  readonly request: AnyRequest;
  readonly port: number;
  readonly reservation: Reservation | undefined;
}

/** Bytes that belong to no manager: trees, lists of reserved ports, policies. */
export function instanceBytes(build: Build): number {
  const INSTANCE_ACCOUNT = 8;
  return new DataView(coreFor(build).exports.memory.buffer).getUint32(INSTANCE_ACCOUNT, true);
}

export class Fixture {
  readonly through: Interface;
  readonly build: Build;
  readonly groups: PortGroups;
  readonly manager: PortManager;
  readonly #usedAtOpen: number;
  readonly #taken: Taken[] = [];
  readonly #pools = new Map<string, PortPool>();
  readonly #lists = new Map<ReservedPorts, number>();

  constructor(
    through: Interface,
    build: Build,
    options: OpenOptions = {},
    inherit: Inherit = "intersect",
  ) {
    this.through = through;
    this.build = build;
    this.groups = openGroups(build, { inherit });
    this.manager = openOn(build, { seed: 1, ...options });
    this.#usedAtOpen = this.manager.stats().memory.used;
  }

  /** A port that is named: the port, or a refusal. */
  at(request: AnyRequest, port: number): number {
    const { reserved: _, ...named } = request;
    return this.#noted(request, () =>
      this.through === "pools"
        ? this.#pool(request).takeAt(port)
        : this.manager.reservePort({ ...named, port }),
    );
  }

  /** Any port, from that offset on: the port, or a refusal. */
  any(request: AnyRequest, offset: number): number {
    return this.#noted(request, () =>
      this.through === "pools"
        ? this.#pool(request).take(offset)
        : this.manager.reservePort({ ...request, offset }),
    );
  }

  /** All ports that can be had, one after the other from the first on, and how it ended. */
  all(request: AnyRequest): number[] {
    const answers: number[] = [];
    do answers.push(this.any(request, 0));
    while ((answers.at(-1) as number) > 0);
    return answers;
  }

  /** Gives back the port that was taken last, or the one that is named. */
  give(port: number | undefined = this.#taken.at(-1)?.port): void {
    const at = this.#taken.findLastIndex((taken) => taken.port === port);
    const [taken] = this.#taken.splice(at, 1) as [Taken];
    const { request, reservation } = taken;
    if (this.through === "pools") expect(this.#pool(request).free(taken.port)).toBe(true);
    else if (this.through === "objects") expect(reservation?.release()).toBe(true);
    else expect(this.manager.releasePort({ ...bare(request), port: taken.port })).toBe(true);
    verify(this.manager);
  }

  /** Gives back everything: nothing is counted then, no group is used, and no byte is left. */
  finish(): void {
    while (this.#taken.length > 0) this.give();
    for (const pool of this.#pools.values()) pool.close();
    verify(this.manager);
    expect(this.manager.stats()).toMatchObject({ descriptors: 0, counters: 0, references: 0 });
    expect(this.manager.stats().memory.used).toBe(this.#usedAtOpen);
    for (const [uses] of Object.values(picture(this.groups)) as number[][]) expect(uses).toBe(0);
    this.groups.close();
    this.manager.close();
  }

  #noted(request: AnyRequest, act: () => number | Reservation): number {
    let reservation: Reservation | undefined;
    let answer: number;
    const before = this.manager.stats();
    if (this.through === "pools") {
      answer = act() as number;
    } else {
      answer = answerOf(() => {
        reservation = act() as Reservation;
        return reservation;
      });
    }
    verify(this.manager);
    if (answer > 0) this.#taken.push({ request, port: answer, reservation });
    else if (this.through !== "pools") this.#expectSame(before);
    return answer;
  }

  /** Nothing has changed, but linear memory may have grown, and the refusal is counted. */
  #expectSame({ memory: { used }, totals: _, ...figures }: Stats): void {
    expect(this.manager.stats()).toMatchObject({ ...figures, memory: { used } });
  }

  /** One pool for each description and list, which moves from group to group. */
  #pool(request: AnyRequest): PortPool {
    const { group, reserved, ...rest } = request;
    if (reserved !== undefined && !this.#lists.has(reserved)) {
      this.#lists.set(reserved, this.#lists.size);
    }
    const name = JSON.stringify([rest, reserved && this.#lists.get(reserved)]);
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = this.manager.pool(request);
      this.#pools.set(name, pool);
    }
    if (pool.group !== group) pool.group = group;
    return pool;
  }
}

/** Without what only a search asks for. */
function bare({ reserved: _, ...rest }: AnyRequest): PoolRequest & GroupOption {
  return rest;
}
