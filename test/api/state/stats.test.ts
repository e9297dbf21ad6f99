// What a manager counts: the most that it held, and what it granted and refused in all.

import { expect, test } from "vitest";
import {
  type CooldownOptions,
  IPV4,
  IPV6,
  type PoolOptions,
  PortManager,
  type PortPool,
  Refusal,
  type RefusalCode,
  type Stats,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { memoryBlocks } from "../../../bindings/node/index.ts";
import { Random } from "../../fuzz/random.ts";

const FIRST = 40_000;
const LAST = 40_019;
const web = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };
const both = { networks: [IPV4, IPV6], transport: UDP };
const oldest: CooldownOptions = { period: 100, whenCooling: "oldest" };

/** Kinds of pools, each with its own way through refusals. */
const KINDS: Record<string, PoolOptions> = {
  plain: web,
  "for both networks": both,
  unique: { ...web, unique: true, flags: { loadBalanced: true } },
  "with cooldown": { ...web, cooldown: 100 },
  "that takes the oldest cooling port": { ...both, cooldown: oldest },
  "in the order of release": { ...web, selection: "fifo" },
  "in the order of release, cooling": { ...web, selection: "fifo", cooldown: oldest },
  "that avoids a port": { ...web, avoid: FIRST + 3 },
  "that avoids a port, cooling": { ...both, avoid: FIRST + 3, cooldown: oldest },
};

/** What the caller saw. */
class Ledger {
  taken = 0;
  readonly refused = new Map<string, number>();
  readonly #weight: number;

  constructor(weight: number) {
    this.#weight = weight;
  }

  note(answer: number): number {
    if (answer > 0) this.taken += this.#weight;
    else this.refuse(answer as RefusalCode);
    return answer;
  }

  refuse(code: RefusalCode): void {
    const name = Object.keys(Refusal).find((one) => Refusal[one as keyof typeof Refusal] === code);
    this.refused.set(name as string, (this.refused.get(name as string) ?? 0) + 1);
  }

  expectCounted({ totals: stats }: Stats, which: string): void {
    expect(stats.taken, which).toBe(this.taken);
    for (const [name, count] of Object.entries(stats.refused)) {
      expect(count, `${which}: ${name}`).toBe(this.refused.get(name) ?? 0);
    }
  }
}

test.each(Object.entries(KINDS))("a pool %s counts what its calls answer", (which, options) => {
  const random = new Random(7);
  using ports = PortManager.open({ portRange: { first: FIRST, last: LAST }, seed: 3 });
  const pool = ports.pool(options);
  const ledger = new Ledger(options.networks.length);
  const seen = { peak: 0 };
  for (let now = 0; now < 600; now++) {
    step(pool, ledger, random, now);
    seen.peak = Math.max(seen.peak, ports.stats().references);
    if (now % 20 === 0) ledger.expectCounted(ports.stats(), `${which}, step ${now}`);
  }
  ledger.expectCounted(ports.stats(), which);
  expect(ledger.refused.size).toBeGreaterThan(1);
  // A search may hold one port more for a moment.
  expect(ports.stats().totals.peak).toBeGreaterThanOrEqual(seen.peak);
  expect(ports.stats().totals.peak).toBeLessThanOrEqual(seen.peak + options.networks.length);
});

function step(pool: PortPool, ledger: Ledger, random: Random, now: number): void {
  const port = FIRST + random.below(LAST - FIRST + 1);
  const call = random.below(12);
  if (call < 5) ledger.note(pool.take(random.below(100)));
  else if (call < 7) ledger.note(pool.takeAt(port));
  else if (call === 7) takeBatch(pool, ledger, random);
  else if (call === 8) pool.free(port);
  else if (call < 11) pool.coolDown(port, now);
  else if (random.below(4) === 0) pool.expire(now);
}

/** A batch that is cut short is one refusal: that of the take that would come next. */
function takeBatch(pool: PortPool, ledger: Ledger, random: Random): void {
  const ports = new Uint16Array(random.below(4));
  const offsets = Uint32Array.from(ports, () => random.below(100));
  const taken = pool.takeMany(ports, random.below(2) ? offsets : undefined);
  for (const port of ports.subarray(0, taken)) ledger.note(port);
  if (taken < ports.length) ledger.note(pool.explain().because.some(isCooling) ? -11 : -2);
}

function isCooling({ rule }: { rule: string }): boolean {
  return rule === "cooling";
}

test("reservations, listeners and testers are counted by what their callers got", async () => {
  using ports = PortManager.open({ portRange: { first: FIRST, last: FIRST + 1 } });
  ports.reservePort({ ...both, port: 53 });
  expect(ports.tryReserve({ ...both, port: 53 })).toBe(Refusal.IN_USE);
  expect(() => ports.reservePort({ ...both, port: 53 })).toThrow("taken");
  expect(ports.isAvailable({ ...both, port: 53 })).toBe(false);
  expect(ports.stats().totals).toMatchObject({ taken: 2, peak: 2, refused: { IN_USE: 2 } });

  // The tester's refusal gives the port back, and is one refusal of the call.
  expect(ports.tryReserve(web, () => false)).toBe(Refusal.EXHAUSTED);
  await expect(ports.reservePortAsync({ ...web, port: 80 }, () => false)).rejects.toThrow("tester");
  expect(ports.stats().totals).toMatchObject({ taken: 2, refused: { IN_USE: 3, EXHAUSTED: 1 } });

  const listener = ports.listener({ ...web, port: 443 });
  listener.accept("10.9.9.9", 5);
  expect(listener.accept("10.9.9.9", 5)).toBe(Refusal.IN_USE);
  expect(ports.stats().totals).toMatchObject({ taken: 3, peak: 3, refused: { IN_USE: 4 } });

  using restored = PortManager.restore(ports.snapshot());
  expect(restored.stats()).toMatchObject({ references: 3, totals: { taken: 3, peak: 3 } });
  expect(restored.stats().totals.refused.IN_USE).toBe(0);
});

test("a pool of leased blocks counts no refusal where it leases another block", () => {
  using ports = PortManager.open({ portRange: { first: 40_000, last: 40_191 } });
  const pool = ports.pool({ ...web, blocks: memoryBlocks() });
  let taken = 0;
  while (pool.take() > 0) taken++;
  expect(taken).toBeGreaterThan(64);
  expect(pool.takeAt(50_000)).toBe(Refusal.IN_USE);
  expect(ports.stats().totals).toMatchObject({
    taken,
    peak: taken,
    refused: { EXHAUSTED: 1, IN_USE: 1 },
  });
});
