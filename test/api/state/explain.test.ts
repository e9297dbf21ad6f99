// Explanations: they say what the call answers; exactly the holders that they name have to go.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Explanation,
  type HeldPort,
  IPV4,
  IPV6,
  PortError,
  PortGroups,
  type PortManager,
  type PortPool,
  ReservedPorts,
  type ReserveRequest,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { flagsOf } from "../../support/ask.ts";
import { BUILDS, moduleFor, openOn } from "../../support/builds.ts";

const RANGE = { first: 40000, last: 40003 };
const WEB = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };

// ── The property ──────────────────────────────────────────────────────────────────────────

const request = fc.record({
  networks: fc.constantFrom([IPV4], [IPV6], [IPV4, IPV6]),
  transport: fc.constantFrom(UDP, TCP),
  address: fc.constantFrom("", "10.0.0.1", "10.0.0.2"),
  bindToDevice: fc.nat(2),
  destination: fc.constantFrom(
    { address: "", port: 0 },
    { address: "9.9.9.9", port: 443 },
    { address: "", port: 80 },
    { address: "8.8.8.8", port: 443 },
  ),
  flags: fc.nat(7).map(flagsOf),
});
const port = fc.integer({ min: RANGE.first, max: RANGE.last });
const holding = fc.record({ request, port, isTuple: fc.boolean() });
const session = fc.record({
  holdings: fc.array(holding, { maxLength: 24, size: "max" }),
  request,
  port: fc.option(port, { nil: 0, freq: 4 }),
  pool: fc.constantFrom(undefined, "bind" as const, "connect" as const),
  unique: fc.boolean(),
  // What has no holder: a group, a list, a port that is avoided; and ports that cool down.
  isInGroup: fc.boolean(),
  isReserved: fc.boolean(),
  avoid: fc.option(port, { nil: undefined, freq: 1 }),
  cooling: fc.array(port, { maxLength: 2 }),
  whenCooling: fc.constantFrom("refuse" as const, "oldest" as const),
});
type Session = typeof session extends fc.Arbitrary<infer T> ? T : never;

const GROUP = PortGroups.open().create("/some", {
  bindPortRange: { first: 40001, last: 40003 },
  connectPortRange: { first: 40000, last: 40002 },
});
const RESERVED = new ReservedPorts("40002");

/** A manager with all of that as far as it can be had, and the pool that asks. */
function opened(one: Session): [PortManager, PortPool | undefined] {
  const { holdings, request, pool, unique, avoid, cooling, whenCooling } = one;
  const group = one.isInGroup ? GROUP : undefined;
  const reserved = one.isReserved ? RESERVED : undefined;
  const ports = openOn("release", { portRange: RANGE, seed: 1 });
  for (const { request, port, isTuple } of holdings) {
    if (isTuple) {
      try {
        ports.reserveTuple({ ...request, port });
      } catch {
        // It is taken.
      }
    } else {
      ports.tryReserve({ ...request, port });
    }
  }
  if (pool === undefined) return [ports, undefined];
  const cools = cooling.length > 0 && !unique ? { cooldown: { period: 1000, whenCooling } } : {};
  const more = { ...cools, group, reserved, avoid };
  const asking = ports.pool({ ...request, mode: pool, unique, ...more });
  for (const port of "cooldown" in cools ? cooling : []) {
    if (asking.takeAt(port) > 0) asking.coolDown(port, 0);
  }
  return [ports, asking];
}

function explained(one: Session, ports: PortManager, pool: PortPool | undefined): Explanation {
  if (pool !== undefined) return pool.explain(one.port === 0 ? undefined : one.port);
  const group = one.isInGroup ? GROUP : undefined;
  return ports.explain({ ...one.request, port: one.port, group });
}

function answer(
  { port, request, isInGroup }: Session,
  ports: PortManager,
  pool: PortPool | undefined,
): boolean {
  if (pool !== undefined) return (port === 0 ? pool.take(0) : pool.takeAt(port)) > 0;
  const group = isInGroup ? GROUP : undefined;
  return typeof ports.tryReserve({ ...request, port, group }) !== "number";
}

function release(
  [ports, pool]: readonly [PortManager, PortPool | undefined],
  { count, cooling, address, ...held }: HeldPort,
): void {
  if (cooling) {
    pool?.expire(2000);
    return;
  }
  for (let left = count; left > 0; left--) ports.releasePort({ ...held, address });
}

type Explainer = typeof explained;

function property(explain: Explainer): fc.IProperty<[Session]> {
  return fc.property(session, (one) => {
    const [ports, pool] = opened(one);
    const before = JSON.stringify([...ports.reservations()]);
    const { allowed, because, free, searched } = explain(one, ports, pool);
    expect(JSON.stringify([...ports.reservations()])).toBe(before);
    if (one.port === 0) {
      const taken = because.reduce((sum, { ports: count = 0 }) => sum + count, 0);
      expect(taken + (free ?? 0)).toBe(RANGE.last - RANGE.first + 1);
      expect(searched).toEqual(RANGE);
      expect(answer(one, ports, pool)).toBe(allowed);
      ports.close();
      return;
    }
    const holders = because.flatMap(({ holder }) => (holder === undefined ? [] : [holder]));
    if (holders.length < because.length) {
      // Whatever holder goes, the group or what is avoided stays.
      const others = because.filter(({ holder }) => holder === undefined);
      for (const { rule } of others) expect(rule).toMatch(/^(?:outside-group|avoided)$/);
      for (const holder of holders) release([ports, pool], holder);
      expect([allowed, answer(one, ports, pool)]).toEqual([false, false]);
      ports.close();
      return;
    }
    for (const spared of holders) {
      const [others, otherPool] = opened(one);
      for (const holder of holders) {
        // A pool's port that cools down does so in all networks at once.
        const isSpared = holder === spared || (holder.cooling && spared.cooling);
        if (!isSpared) release([others, otherPool], holder);
      }
      expect(answer(one, others, otherPool)).toBe(false);
      others.close();
    }
    for (const holder of holders) release([ports, pool], holder);
    expect(answer(one, ports, pool)).toBe(true);
    expect(allowed).toBe(holders.length === 0);
    ports.close();
  });
}

test("an explanation is what the call answers, and names exactly the holders that have to go", () => {
  fc.assert(property(explained), { numRuns: 4000 });
});

test("a control: explanations that name one holder too few, or one too many, are found", () => {
  const tooFew: Explainer = (...asked) => {
    const { because, ...rest } = explained(...asked);
    return { ...rest, because: because.slice(0, 2) };
  };
  const tooMany: Explainer = (one, ports, pool) => {
    const { because, ...rest } = explained(one, ports, pool);
    const [first] = ports.reservations({ port: one.port || RANGE.first });
    const isNamed = because.some(({ holder }) => JSON.stringify(holder) === JSON.stringify(first));
    if (rest.allowed || isNamed || first === undefined) return { ...rest, because };
    return { ...rest, because: [...because, { rule: "held", text: "", holder: first }] };
  };
  for (const wrong of [tooFew, tooMany]) {
    expect(fc.check(property(wrong), { numRuns: 4000 }).failed).toBe(true);
  }
});

// ── What is said ──────────────────────────────────────────────────────────────────────────

describe.each(BUILDS)("an explanation (%s build)", (build) => {
  test("names each holder with the rule, what is lacked, and how the two meet", () => {
    using ports = openOn(build, {});
    ports.reservePort({ ...WEB, port: 80, reusePort: true });
    const { allowed, because } = ports.explain({
      ...{ networks: [IPV4], transport: TCP, port: 80, bindToDevice: 3, reuseAddr: true },
    });
    expect(allowed).toBe(false);
    expect(because).toEqual([
      {
        rule: "flags",
        text: "tcp 10.0.0.1:80 is held without tupleOnly",
        lacks: ["tupleOnly"],
        meets: { address: "any", device: "none", destination: "same" },
        holder: expect.objectContaining({ address: "10.0.0.1", port: 80, count: 1 }),
      },
    ]);
    expect(ports.explain({ ...WEB, port: 80, reusePort: true })).toEqual({
      ...{ allowed: true, port: 80, because: [] },
    });
  });

  test("comes with the error of a refused call, which computes nothing before", () => {
    const ports = openOn(build, { portRange: RANGE });
    const held = ports.reservePort({ ...WEB, port: 40000 });
    const errorOf = (asked: ReserveRequest): PortError => {
      try {
        ports.reservePort(asked);
      } catch (error) {
        return error as PortError;
      }
      throw new Error("it was not refused");
    };
    const error = errorOf({ ...WEB, port: 40000 });
    expect(error.explain()?.because[0]?.text).toBe(
      "tcp 10.0.0.1:40000 is held, and the request has no reuse flags",
    );
    held.release();
    expect(error.explain()).toEqual({ allowed: true, port: 40000, because: [] });
    expect(errorOf({ ...WEB, port: 70000 }).explain()).toBeUndefined();
    ports.pool(WEB).takeMany(new Uint16Array(4));
    expect(errorOf(WEB).explain()).toMatchObject({
      allowed: false,
      free: 0,
      because: [{ rule: "held", ports: 4, text: "4 ports of 4 are held" }],
    });
    ports.close();
    expect(() => error.explain()).toThrow("closed");
  });

  test("counts what each rule takes away from the range", () => {
    using groups = PortGroups.open(moduleFor(build));
    using ports = openOn(build, { portRange: { first: 40000, last: 40099 }, seed: 1 });
    groups.create("/web", { bindPortRange: { first: 40010, last: 50000 } });
    const group = groups.create("/web/api", { bindPortRange: { first: 40010, last: 40099 } });
    const reserved = new ReservedPorts("40010-40019", moduleFor(build));
    const pool = ports.pool({ ...WEB, group, reserved, avoid: 40020, cooldown: 6400 });
    for (let port = 40030; port < 40040; port++) pool.takeAt(port);
    for (let port = 40030; port < 40033; port++) pool.coolDown(port, 1000);
    ports.reservePort({ ...WEB, port: 40005 });
    const { because, ...rest } = pool.explain();
    expect(rest).toEqual({ allowed: true, port: 0, free: 69, searched: ports.portRange() });
    expect(because.map(({ rule, ports: count }) => [rule, count])).toEqual([
      ...[["outside-group", 10] as const, ["reserved", 10] as const, ["avoided", 1] as const],
      ...[["cooling", 3] as const, ["held", 7] as const],
    ]);
    expect(because[0]?.group).toBe("/web");
    expect(pool.explain(40005).because).toMatchObject([
      { rule: "outside-group", group: "/web" },
      { rule: "held", holder: { port: 40005 } },
    ]);
    const due = 1000 + 6400 + 100;
    expect(pool.explain(40031).because).toMatchObject([{ rule: "cooling", until: due }]);
    expect(pool.nextExpiry).toBe(due);
  });

  test("tells until when reservations cool down, and what an oldest cooling port allows", () => {
    using ports = openOn(build, { portRange: { first: 40000, last: 40000 } });
    const held = ports.reservePort({ ...WEB, port: 80 });
    held.coolDown(500, 1500);
    expect(ports.explain({ ...WEB, port: 80 }).because).toMatchObject([
      { rule: "cooling", until: 2000, holder: { cooling: true } },
    ]);
    for (const whenCooling of ["refuse", "oldest"] as const) {
      const pool = ports.pool({ ...WEB, cooldown: { period: 1000, whenCooling } });
      pool.coolDown(pool.take(), 0);
      expect(pool.explain().allowed).toBe(whenCooling === "oldest");
      expect(pool.take() > 0).toBe(whenCooling === "oldest");
      pool.close();
      ports.releaseAll({ port: 40000 });
    }
    expect(() => ports.explain({ ...WEB, port: -1 })).toThrow(PortError);
  });
});
