// Ephemeral: what a port costs as the range fills. TCP and UDP, plain, with SO_REUSEADDR, and for
// two networks at once.
//
// Then what a port costs by the policies that take it in one call, while half of the range is held.
//
// The workload is that of gVisor's recorded figures: ports held in one random order, each search
// from a random offset, what is taken is freed at once. With SO_REUSEADDR the held ports are those
// of a pool without, at the same address: a TCP pick never shares them, and a UDP pick shares only
// with its own pool. At 100 % there is no port, and taking alone is timed.

import {
  IPV4,
  IPV6,
  type PolicyName,
  PortManager,
  type PortPool,
  UDP,
} from "../../bindings/index.ts";
import {
  type Allocator,
  type BatchAllocator,
  type Fixture,
  type Member,
  type Opened,
  openBitmaps,
  openPools,
  openReferenceModel,
  openReservations,
  openSets,
  plainMember,
} from "../harness/allocators.ts";
import { copyFor, type Task, takingMany, takingOne } from "../harness/loops.ts";
import { type Measured, measureByTurns, type Sampling } from "../harness/measure.ts";
import {
  type Comparison,
  checkEqual,
  type Implementation,
  type RowKey,
  type Session,
  type System,
} from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { COUNT, digestOf, FIRST, offsetsOf, shuffledPorts } from "../harness/workloads.ts";
import { EPHEMERAL } from "../recorded/gvisor.ts";

/** Percent of the range that is held when all but one port are. */
const ONE_FREE = 99.998;
const FULL = 100;
const OCCUPANCIES = [0, 50, 90, 99, 99.9, ONE_FREE, FULL] as const;
const SAMPLING: Sampling = { rounds: 2000, milliseconds: 150 };
const BATCH = 256;
const RESERVATIONS_REFUSED = 500;

/** How much is done. */
const WHOLE = { ports: COUNT, offsets: 64000, operations: 4000, batched: 4096 };
const TINY: typeof WHOLE = { ports: 512, offsets: 2000, operations: 500, batched: 512 };

/** One kind of port. */
interface Kind {
  readonly workload: string;
  readonly member: Omit<Member, "held">;
  /** Up to which occupancy the reference model is timed, which bounds the time. */
  readonly referenceUpTo: number;
  /** A Set or a bitmap has ports of one kind. */
  readonly knowsOthers: boolean;
}

const PLAIN = plainMember([]);
const TWO_NETWORKS = { ...PLAIN, networks: [IPV4, IPV6], address: "" };

const KINDS: readonly Kind[] = [
  { workload: "tcp", member: PLAIN, referenceUpTo: FULL, knowsOthers: false },
  {
    workload: "udp",
    member: { ...PLAIN, transport: UDP },
    referenceUpTo: 90,
    knowsOthers: false,
  },
  {
    workload: "tcp, SO_REUSEADDR among plain",
    member: { ...PLAIN, reuseAddr: true },
    referenceUpTo: 90,
    knowsOthers: true,
  },
  {
    workload: "udp, SO_REUSEADDR among plain",
    member: { ...PLAIN, transport: UDP, reuseAddr: true },
    referenceUpTo: 90,
    knowsOthers: true,
  },
  {
    workload: "tcp, two networks",
    member: TWO_NETWORKS,
    referenceUpTo: 90,
    knowsOthers: true,
  },
];

/** How many searches make a sample, and a digest, of those that walk from port to port. */
const SLOW: Readonly<Record<number, { reference: number; set: number; digested: number }>> = {
  0: { reference: 1000, set: 4000, digested: 1000 },
  50: { reference: 1000, set: 4000, digested: 1000 },
  90: { reference: 1000, set: 4000, digested: 1000 },
  99: { reference: 200, set: 2000, digested: 500 },
  99.9: { reference: 50, set: 500, digested: 200 },
  [ONE_FREE]: { reference: 5, set: 50, digested: 10 },
  [FULL]: { reference: 2, set: 20, digested: 4 },
};

/** How many times faster than the reference model a pool is at least. */
const FASTER_THAN_REFERENCE: Readonly<Record<number, number>> = {
  0: 12,
  50: 60,
  90: 400,
  99: 4000,
  99.9: 30000,
};

export const ephemeralSuite: Suite = {
  title: "take + free of one port, random offsets, by percent of 16000..65535 held",
  run: (session) => {
    for (const kind of KINDS) runKind(session, kind);
    checkOverPlain(session);
    runPolicies(session);
  },
};

/** What a pool takes over a plain one of its transport at most, where half of the range is held. */
const OVER_PLAIN_AT_MOST: readonly (readonly [workload: string, system: System, most: number])[] = [
  ["tcp, SO_REUSEADDR among plain", "pool", 2],
  ["udp, SO_REUSEADDR among plain", "pool", 2],
  ["tcp, two networks", "pool", 2.5],
  ["tcp, two networks", "pool batch", 3],
];

function checkOverPlain(session: Session): void {
  for (const [workload, system, atMost] of OVER_PLAIN_AT_MOST) {
    const [flags, plain] = [workload, workload.slice(0, 3)].map((name) =>
      session.median({ suite: "ephemeral", workload: name, occupancy: 50 }, system),
    ) as [number, number];
    session.check({
      name: `${workload}, 50 %: ${system} over plain`,
      value: flags / plain,
      atMost,
    });
  }
}

function runKind(session: Session, kind: Kind): void {
  const ratios: number[] = [];
  for (const occupancy of OCCUPANCIES) {
    ratios.push(single(session, kind, occupancy));
    batched(session, kind, occupancy);
  }
  if (isPlainTcp(kind)) {
    const value = geometricMean(ratios);
    session.check({ name: "tcp: pool over bitmap, geometric mean", value, atMost: 1 });
  }
  flatness(session, kind);
  for (const [occupancy, ns] of EPHEMERAL[kind.workload] ?? []) {
    session.keepOne({ ...keyOf(kind), occupancy }, "gVisor (recorded)", ns);
  }
}

// ── Port by port ──────────────────────────────────────────────────────────────────────────

/** How many times as long as the bitmap the pool takes, if there is a bitmap. */
function single(session: Session, kind: Kind, occupancy: number): number {
  const { referenceUpTo, knowsOthers } = kind;
  const isReferenceTimed = occupancy <= referenceUpTo;
  const slow = SLOW[occupancy] as (typeof SLOW)[number];
  const fixture = fixtureOf(session, kind, occupancy);
  const digested = Math.min(slow.digested, session.smoke ? 100 : 1000);
  const taking = (system: System, opened: Opened, operations?: number): Implementation =>
    takingOne(taskOf(session, system, opened, digested, operations));

  const pool = taking("pool", openPools(fixture));
  const refusals = occupancy === FULL ? RESERVATIONS_REFUSED : undefined;
  const reservations = taking("reservations", openReservations(fixture), refusals);
  const model = taking("reference model", openReferenceModel(fixture), slow.reference);
  const key = { ...keyOf(kind), occupancy };
  // Where the reference model is not timed, it still says which ports are right.
  if (!isReferenceTimed) checkEqual({ key, implementations: [pool, model] });
  const bitmap = knowsOthers ? undefined : taking("bitmap", openBitmaps(fixture));
  const measured = session.compare(
    key,
    [
      ...[pool, reservations],
      ...(bitmap ? [bitmap, taking("Set", openSets(fixture), slow.set)] : []),
      ...(isReferenceTimed ? [model] : []),
    ],
    SAMPLING,
  );
  if (bitmap === undefined) return Number.NaN;
  const ratio = measured.ratio(pool, bitmap);
  if (isPlainTcp(kind)) {
    session.check({ name: `tcp ${occupancy} %: pool over bitmap`, value: ratio, atMost: 1.15 });
    checkReference(session, measured, pool, model, occupancy);
  }
  return ratio;
}

function checkReference(
  session: Session,
  measured: Measured,
  pool: Implementation,
  model: Implementation,
  occupancy: number,
): void {
  const atLeast = FASTER_THAN_REFERENCE[occupancy];
  if (atLeast === undefined) return;
  const value = measured.ratio(model, pool);
  session.check({ name: `tcp ${occupancy} %: reference model over pool`, value, atLeast });
}

/** Pools at all occupancies that leave a port, by turns. */
function flatness(session: Session, kind: Kind): void {
  const works = OCCUPANCIES.filter((occupancy) => occupancy !== FULL).map((occupancy) =>
    takingOne(taskOf(session, "pool", openPools(fixtureOf(session, kind, occupancy)), 0)),
  );
  const measured = measureByTurns(session.smoke ? { rounds: 1 } : SAMPLING, works);
  const medians = works.map((work) => measured.figure(work).median);
  const fastest = works[medians.indexOf(Math.min(...medians))] as Implementation;
  const value = Math.max(...works.map((work) => measured.ratio(work, fastest)));
  const name = `${kind.workload}: pool, slowest over fastest, 0 % to one port free`;
  session.check({ name, value, atMost: 2 });
}

// ── In batches ────────────────────────────────────────────────────────────────────────────

/** 256 ports at a time, or as many as are free. */
function batched(session: Session, kind: Kind, occupancy: number): void {
  const { ports, batched: operations } = session.smoke ? TINY : WHOLE;
  const fixture = fixtureOf(session, kind, occupancy);
  const free = ports - heldOf(occupancy, ports);
  const size = free === 0 ? BATCH : Math.min(BATCH, free);
  const taking = (system: System, opened: Opened<BatchAllocator>): Implementation => {
    const task = taskOf(session, system, opened, 0);
    const isFull = free === 0;
    return takingMany({ ...task, operations: isFull ? operations / 4 : operations }, size, isFull);
  };
  const pool = taking("pool batch", openPools(fixture));
  const bitmap = kind.knowsOthers ? undefined : taking("bitmap batch", openBitmaps(fixture));
  const both = bitmap === undefined ? [pool] : [pool, bitmap];
  const measured = session.compare({ ...keyOf(kind), occupancy }, both, SAMPLING);
  if (bitmap === undefined || !isPlainTcp(kind) || size < BATCH || free === 0) return;
  const name = `tcp ${occupancy} %: bitmap batch over pool batch, ${size} ports`;
  session.check({ name, value: measured.ratio(bitmap, pool), atLeast: 1.3 });
}

// ── What all are given ────────────────────────────────────────────────────────────────────

function fixtureOf(session: Session, { member }: Kind, occupancy: number): Fixture {
  const { ports } = session.smoke ? TINY : WHOLE;
  const range = { first: FIRST, last: FIRST + ports - 1 };
  const order = shuffledPorts().filter((port) => port <= range.last);
  const held = order.slice(0, heldOf(occupancy, ports));
  if (member.reuseAddr !== true) return { range, members: [{ ...member, held }] };
  const plain = { ...member, reuseAddr: false, held };
  return { range, members: [plain, { ...member, held: [] }] };
}

function heldOf(occupancy: number, ports: number): number {
  return occupancy === ONE_FREE ? ports - 1 : Math.round((ports * occupancy) / 100);
}

/** The last pool of a fixture at work. */
function taskOf<Ports extends Allocator>(
  session: Session,
  system: System,
  { pools, close }: Opened<Ports>,
  digested: number,
  most: number = Number.POSITIVE_INFINITY,
): Task<Ports> {
  const { offsets, operations } = session.smoke ? TINY : WHOLE;
  return {
    system,
    ports: pools.at(-1) as Ports,
    offsets: offsetsOf(2, offsets),
    operations: Math.min(operations, most),
    digested,
    close,
  };
}

function keyOf({ workload }: Kind): RowKey {
  return { suite: "ephemeral", workload };
}

function isPlainTcp({ workload }: Kind): boolean {
  return workload === "tcp";
}

function geometricMean(values: readonly number[]): number {
  const logs = values.map(Math.log);
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

// ── By the selection ──────────────────────────────────────────────────────────────────────

const POLICIES = ["random", "hash", "double-hash", "sequential"] as const;
const OVER_RANDOM_AT_MOST = 1.3;

function runPolicies(session: Session): void {
  const works = POLICIES.map((selection) => policyOf(session, selection));
  const measured = session.compareAll(works, SAMPLING);
  const [random, ...others] = works.map((work) => work.implementations[0] as Implementation);
  for (const [at, policy] of others.entries()) {
    const value = measured.ratio(policy, random as Implementation);
    const name = `tcp 50 %: ${POLICIES[at + 1]} over random`;
    session.check({ name, value, atMost: OVER_RANDOM_AT_MOST });
  }
}

function policyOf(session: Session, selection: PolicyName): Comparison {
  const { ports, operations } = session.smoke ? TINY : WHOLE;
  const range = { first: FIRST, last: FIRST + ports - 1 };
  const manager = PortManager.open({ portRange: range, selection });
  const { held: _, ...description } = PLAIN;
  const pool = manager.pool({ ...description, destination: { address: "93.0.0.1", port: 443 } });
  for (const port of shuffledPorts()
    .filter((one) => one <= range.last)
    .slice(0, ports >> 1)) {
    pool.takeAt(port);
  }
  const loop = copyFor(`policy ${selection}`, takeAndFree);
  return {
    key: { suite: "ephemeral", workload: `tcp, ${selection}`, occupancy: 50 },
    implementations: [
      {
        ...{ system: "pool", operations, close: () => manager.close() },
        run: () => loop(pool, operations),
        digest: () => digestOf([pool.held]),
      },
    ],
  };
}

function takeAndFree(pool: PortPool, count: number): void {
  for (let index = 0; index < count; index++) pool.free(pool.take());
}
