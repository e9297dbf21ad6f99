// Machines on paper: the code that leases blocks, as it is, on a simulated clock, a simulated
// network and a simulated Redis of measured cost, as machines come, go and fail. `npm run
// bench:machines`
//
//   machine   LeasedPorts, BlockKeeper (real)  ──▶  network, 0.25 ms  ──▶  one queue of scripts
//
// A hundred machines share each address. Connections come at random and last for some seconds, on
// some machines ten times as many as on others, and the machines that have many change.

import { SeededRandom } from "../../bindings/core/random.ts";
import { ReservedPorts } from "../../bindings/index.ts";
import {
  BLOCK_PORTS,
  type BlockGrant,
  type BlockScope,
  type BlockStore,
  blockScope,
  type HeldBlocks,
  type Renewal,
} from "../../bindings/node/blocks/block-store.ts";
import type { Clock, ClockTimer } from "../../bindings/node/blocks/clock.ts";
import { LeasedPorts } from "../../bindings/node/blocks/leased-ports.ts";
import type { PairUse } from "../../bindings/node/blocks/pair-use.ts";

const RANGE = { first: 32_768, last: 60_991 };
const PER_ADDRESS = 100;
const TTL_MS = 10_000;
const REST_MS = 5_000;
const NETWORK_MS = 0.25;
/** Measured of the script on one busy core: for each call, and for each block that it names. */
const COST_MS = { acquire: 0.06, renew: 0.036, release: 0.036, block: 0.0032 };
const LIFE_MS = 10_000;
/** Connections per second of a machine, and of one in ten. */
const RATES = [2, 20];
const WARM_UP_MS = 11_000;
const MEASURE_MS = 10_000;
/** Machines that fail, and are replaced, out of a thousand per second. */
const FAILING = 1;
/** How many machines, and how many times slower the server is than measured. */
const RUNS: readonly (readonly [machines: number, slowness: number])[] = [
  ...([1_000, 3_000, 10_000] as const).map((size) => [size, 1] as const),
  [10_000, 8],
];

// ── Time ──────────────────────────────────────────────────────────────────────────────────

/** What is due, the soonest first: a binary heap. */
class Agenda {
  now = 0;
  readonly #heap: { readonly due: number; readonly call: () => void }[] = [];

  after(ms: number, call: () => void): void {
    const entry = { due: this.now + ms, call };
    let at = this.#heap.push(entry) - 1;
    for (let above = (at - 1) >> 1; at > 0; above = (at - 1) >> 1) {
      const other = this.#heap[above];
      if (other === undefined || other.due <= entry.due) break;
      this.#heap[at] = other;
      at = above;
    }
    this.#heap[at] = entry;
  }

  /** Calls the next one; false if it is due after that time. */
  step(end: number): boolean {
    const [first] = this.#heap;
    if (first === undefined || first.due > end) return false;
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) this.#sink(last);
    this.now = first.due;
    first.call();
    return true;
  }

  #sink(entry: { readonly due: number; readonly call: () => void }): void {
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const [left, right] = [this.#heap[below], this.#heap[below + 1]];
      if (left === undefined) break;
      if (right !== undefined && right.due < left.due) below++;
      const lesser = this.#heap[below];
      if (lesser === undefined || lesser.due >= entry.due) break;
      this.#heap[at] = lesser;
      at = below;
    }
    this.#heap[at] = entry;
  }
}

const random = new SeededRandom(7);
const chance = (): number => random.next() / 2 ** 32;
const exponential = (mean: number): number => -Math.log(1 - chance()) * mean;

/** What one run counts. */
class Simulation {
  readonly agenda: Agenda = new Agenda();
  readonly redis: SimulatedRedis;
  /** Answers have come: what waits for them goes on before time does. */
  hasAnswered = false;
  isMeasuring = false;
  connections = 0;
  waited: number[] = [];
  refusals = 0;
  lost = 0;
  machines: Machine[] = [];

  constructor(slowness: number) {
    this.redis = new SimulatedRedis(this, slowness);
  }
}

// ── The server ────────────────────────────────────────────────────────────────────────────

interface Scope {
  readonly held: Map<number, { readonly owner: number; readonly grant: string }>;
  /** When each block that was held before is free. */
  readonly used: Map<number, number>;
}

class SimulatedRedis {
  requests = 0;
  busyMs = 0;
  readonly #simulation: Simulation;
  readonly #scopes: Map<string, Scope> = new Map();
  readonly #slowness: number;
  #freeAt = 0;
  #grants = 0;

  constructor(simulation: Simulation, slowness: number) {
    this.#simulation = simulation;
    this.#slowness = slowness;
  }

  /** One call: there, its turn in the queue, and back. */
  call<T>(measuredMs: number, act: () => T): Promise<T> {
    const { agenda } = this.#simulation;
    const costMs = measuredMs * this.#slowness;
    return new Promise((resolve) => {
      agenda.after(NETWORK_MS, () => {
        const begin = Math.max(agenda.now, this.#freeAt);
        this.#freeAt = begin + costMs;
        this.requests++;
        this.busyMs += costMs;
        agenda.after(this.#freeAt - agenda.now + NETWORK_MS, () => {
          this.#simulation.hasAnswered = true;
          resolve(act());
        });
      });
    });
  }

  acquire(name: string, owner: number, want: number, first: number, last: number): BlockGrant {
    const { held, used } = this.#scope(name);
    const { now } = this.#simulation.agenda;
    const grant = `${++this.#grants}`;
    const blocks: number[] = [];
    const count = last - first + 1;
    const start = Math.floor(chance() * count);
    for (let step = 0; step < count && blocks.length < want; step++) {
      const block = first + ((start + step) % count);
      if (held.has(block) || (used.get(block) ?? 0) > now) continue;
      held.set(block, { owner, grant });
      blocks.push(block);
    }
    return { blocks, grant, retryAfter: 1000 };
  }

  renew(name: string, owner: number, said: HeldBlocks): Renewal {
    const { held } = this.#scope(name);
    const lost = [...said.keys()].filter((block) => held.get(block)?.owner !== owner);
    return { lost };
  }

  release(name: string, owner: number, blocks: Iterable<number>, restMs: number): void {
    const { held, used } = this.#scope(name);
    for (const block of blocks) {
      if (held.get(block)?.owner !== owner) continue;
      held.delete(block);
      used.set(block, this.#simulation.agenda.now + restMs);
    }
  }

  #scope(name: string): Scope {
    const known = this.#scopes.get(name) ?? { held: new Map(), used: new Map() };
    this.#scopes.set(name, known);
    return known;
  }
}

/** The store of one machine. */
class SimulatedStore implements BlockStore {
  readonly name = "redis";
  readonly ttl: number = TTL_MS;
  readonly #redis: SimulatedRedis;
  readonly #owner: number;

  constructor(redis: SimulatedRedis, owner: number) {
    this.#redis = redis;
    this.#owner = owner;
  }

  acquire({ source }: BlockScope, want: number, first: number, last: number): Promise<BlockGrant> {
    const cost = COST_MS.acquire + want * COST_MS.block;
    return this.#redis.call(cost, () =>
      this.#redis.acquire(source, this.#owner, want, first, last),
    );
  }

  renew({ source }: BlockScope, held: HeldBlocks): Promise<Renewal> {
    const cost = COST_MS.renew + held.size * COST_MS.block;
    const said = new Map(held);
    return this.#redis.call(cost, () => this.#redis.renew(source, this.#owner, said));
  }

  release({ source }: BlockScope, held: HeldBlocks): Promise<void> {
    const blocks = [...held.keys()];
    const cost = COST_MS.release + held.size * COST_MS.block;
    return this.#redis.call(cost, () => this.#redis.release(source, this.#owner, blocks, REST_MS));
  }

  async close(): Promise<void> {}
}

// ── Machines ──────────────────────────────────────────────────────────────────────────────

const NOTHING_RESERVED = new ReservedPorts();
let lastMachine = 0;

class Machine {
  readonly #simulation: Simulation;
  readonly #number = ++lastMachine;
  readonly #ports: LeasedPorts;
  readonly #use: PairUse;
  readonly #taken: Set<number> = new Set();
  readonly #waiting: number[] = [];
  readonly #source: string;
  rate: number = RATES[0] as number;
  #isDead = false;

  constructor(simulation: Simulation, index: number) {
    this.#simulation = simulation;
    const address = Math.floor(index / PER_ADDRESS);
    this.#source = `10.0.${address >> 8}.${address & 255}`;
    this.#ports = new LeasedPorts({
      scope: blockScope(this.#source === "10.0.0.0" ? "10.1.0.0" : this.#source),
      store: new SimulatedStore(simulation.redis, this.#number),
      clock: this.#clock(),
      reserved: NOTHING_RESERVED,
      random,
      range: () => RANGE,
      destroys: false,
      listener: {
        onChange: () => this.#serve(),
        onAcquired: () => {},
        onReturned: () => {},
        onRefused: () => {
          if (simulation.isMeasuring) simulation.refusals++;
        },
        onLost: (_, blocks) => {
          simulation.lost += blocks.length;
        },
        onError: () => {},
        isWaited: () => this.#waiting.length > 0,
      },
    });
    this.#use = this.#ports.join();
    this.#next();
    simulation.agenda.after(1000 * chance(), () => this.#tidy());
  }

  /** Its blocks come back after their term and one more. */
  die(): void {
    this.#isDead = true;
    const { redis, agenda } = this.#simulation;
    const blocks = [...this.#ports.blocks];
    const { source } = this.#ports.scope;
    agenda.after(2 * TTL_MS, () => redis.release(source, this.#number, blocks, 0));
  }

  #clock(): Clock {
    const { agenda } = this.#simulation;
    return {
      monotonic: () => agenda.now,
      wall: () => agenda.now,
      after: (ms, call): ClockTimer => {
        let isCancelled = false;
        agenda.after(ms, () => {
          if (!isCancelled && !this.#isDead) call();
        });
        return {
          keepAlive: () => {},
          cancel: () => {
            isCancelled = true;
          },
        };
      },
    };
  }

  #next(): void {
    const { agenda } = this.#simulation;
    agenda.after(exponential(1000 / this.rate), () => {
      if (this.#isDead) return;
      if (this.#simulation.isMeasuring) this.#simulation.connections++;
      if (this.#waiting.length > 0 || !this.#connect()) this.#waiting.push(agenda.now);
      else if (this.#simulation.isMeasuring) this.#simulation.waited.push(0);
      this.#next();
    });
  }

  #connect(): boolean {
    this.#ports.isUsable();
    if (this.#ports.isFull(this.#use)) this.#ports.grow();
    const port = this.#pick();
    if (port === 0) return false;
    this.#taken.add(port);
    this.#use.add(port);
    this.#ports.askAhead(this.#use);
    this.#simulation.agenda.after(exponential(LIFE_MS), () => {
      this.#taken.delete(port);
      this.#use.delete(port);
      this.#serve();
    });
    return true;
  }

  /** A free port of an open block: at random, or, if they are nearly full, any. */
  #pick(): number {
    const isFree = (port: number): boolean => !this.#ports.mask.has(port) && !this.#taken.has(port);
    for (let tries = 0; tries < 4; tries++) {
      const port = RANGE.first + this.#ports.startOffset();
      if (isFree(port)) return port;
    }
    for (const block of this.#ports.blocks) {
      for (let port = block * BLOCK_PORTS; port < (block + 1) * BLOCK_PORTS; port++) {
        if (isFree(port)) return port;
      }
    }
    return 0;
  }

  #serve(): void {
    const { isMeasuring, waited, agenda } = this.#simulation;
    for (let since = this.#waiting[0]; since !== undefined; since = this.#waiting[0]) {
      if (this.#isDead || !this.#connect()) return;
      this.#waiting.shift();
      if (isMeasuring) waited.push(agenda.now - since);
    }
  }

  #tidy(): void {
    if (this.#isDead) return;
    this.#ports.tidy();
    this.#simulation.agenda.after(1000, () => this.#tidy());
  }
}

// ── Runs ──────────────────────────────────────────────────────────────────────────────────

for (const [size, slowness] of RUNS) await simulate(size, slowness);

async function simulate(size: number, slowness: number): Promise<void> {
  const simulation = new Simulation(slowness);
  simulation.machines = Array.from({ length: size }, (_, index) => new Machine(simulation, index));
  churn(simulation);
  await until(simulation, WARM_UP_MS);
  simulation.isMeasuring = true;
  const before = {
    requests: simulation.redis.requests,
    busyMs: simulation.redis.busyMs,
    lost: simulation.lost,
  };
  await until(simulation, WARM_UP_MS + MEASURE_MS);
  const waited = simulation.waited.sort((a, b) => a - b);
  const seconds = MEASURE_MS / 1000;
  const cells = [
    size.toLocaleString("en-US"),
    `${slowness}`,
    Math.round((simulation.redis.requests - before.requests) / seconds).toLocaleString("en-US"),
    `${(((simulation.redis.busyMs - before.busyMs) / MEASURE_MS) * 100).toFixed(0)} %`,
    `${((1 - waited.filter((ms) => ms > 0).length / simulation.connections) * 100).toFixed(2)} %`,
    `${(waited[Math.floor(waited.length * 0.999)] ?? 0).toFixed(1)} ms`,
    `${simulation.refusals}`,
    `${simulation.lost - before.lost}`,
  ];
  console.log(`| ${cells.join(" | ")} |`);
}

/** Machines fail and are replaced; the busy ones change. */
function churn(simulation: Simulation): void {
  const { machines, agenda } = simulation;
  for (const machine of machines) machine.rate = rateOf();
  const failing = (machines.length * FAILING) / 1000;
  const one = (): void => {
    const index = Math.floor(chance() * machines.length);
    machines[index]?.die();
    machines[index] = new Machine(simulation, index);
    const other = machines[Math.floor(chance() * machines.length)];
    if (other !== undefined) other.rate = rateOf();
    agenda.after(exponential(1000 / failing), one);
  };
  agenda.after(exponential(1000 / failing), one);
}

function rateOf(): number {
  return (chance() < 0.1 ? RATES[1] : RATES[0]) as number;
}

async function until(simulation: Simulation, end: number): Promise<void> {
  while (simulation.agenda.step(end)) {
    if (!simulation.hasAnswered) continue;
    simulation.hasAnswered = false;
    await new Promise((done) => setImmediate(done));
  }
}
