// The simulation: a load's connections come and go in simulated time, and the core decides about
// every port. One pool for each source and destination, destinations in turn, and for each of them
// the sources in turn, as the connector does: when a source has no port left for a destination, the
// next is asked. A connection for which no source has a port is refused and lost.

import { SeededRandom } from "../../core/random.ts";
import { IPV4, PortManager, type PortPool, Refusal, type ReservedPorts, TCP } from "../../index.ts";
import { Departures } from "./departures.ts";
import {
  type Lifetime,
  type Load,
  passedOver,
  portsOf,
  reduced,
  type Share,
  shareOf,
} from "./load.ts";

/** The exhausted resource: the ports of the range, but for cooling ones, or the open files. */
export type Exhausted = "range" | "cooling" | "files";

/**
 * How a load fared. Figures are of the whole load, also where a share of it was simulated; counts
 * of connections are of the simulated seconds.
 */
export interface Forecast {
  /** Was no connection refused? */
  readonly fits: boolean;
  /** Simulated seconds. */
  readonly seconds: number;
  /** Connections that were asked for. */
  readonly arrivals: number;
  readonly refused: number;
  /** When the first was refused, in seconds from the start. */
  readonly firstRefusal: number | undefined;
  /** Why the first was. */
  readonly exhausted: Exhausted | undefined;
  /** Ports that each source has for each destination. */
  readonly ports: number;
  /** Connections open: in the last quarter of the time on average, and at most. */
  readonly open: { readonly steady: number; readonly peak: number };
  /**
   * Of one source and destination: connections open, ports that are cooling, and most ports in use
   * at once.
   */
  readonly perPool: { readonly open: number; readonly cooling: number; readonly peak: number };
  /** The share of the load that was simulated. */
  readonly share: Share;
}

const ARRIVALS_MAX = 250_000;
const SAMPLES = 200;
const STEADY_SAMPLES = SAMPLES / 4;
const UINT32_COUNT = 2 ** 32;
const NS_PER_MS = 1e6;
const NS_PER_S = 1e9;

/**
 * Simulates a load.
 * @param arrivalsMax about how many connections to make; a load of more is simulated in part. A million take
 * a second or less.
 * @param stopAtRefusal only tell whether, and when, it does not fit.
 */
export function simulate(
  load: Load,
  arrivalsMax: number = ARRIVALS_MAX,
  stopAtRefusal = false,
): Forecast {
  const share = shareOf(load, arrivalsMax);
  using run = new Run(reduced(load, share));
  run.run(stopAtRefusal);
  const scale = load.rate / run.load.rate;
  const whole = (open: number): number => Math.min(load.files, open * scale);
  const pools = share.sources * share.destinations;
  const steady = whole(run.steadyOpen);
  const cooling = (run.steadyCooling / pools) * share.ports;
  return {
    fits: run.refused === 0,
    seconds: share.seconds,
    arrivals: Math.round(run.arrivals * scale),
    refused: Math.round(run.refused * scale),
    firstRefusal: run.firstRefusal,
    exhausted: run.exhausted,
    ports: portsOf(load),
    open: { steady, peak: Math.round(whole(run.peakOpen)) },
    perPool: {
      open: steady / (load.sources * load.destinations),
      cooling,
      peak: Math.round(
        Math.min(run.peakUsed * share.ports, load.cooldown === 0 ? load.files : Infinity),
      ),
    },
    share,
  };
}

/**
 * One run through a load that is simulated whole. Times are whole nanoseconds, so that what ends
 * just when something else begins does so whatever the rate.
 */
class Run implements Disposable {
  readonly load: Load;
  arrivals = 0;
  refused = 0;
  firstRefusal: number | undefined;
  exhausted: Exhausted | undefined;
  peakOpen = 0;
  /** Ports in use, open or cooling, of the pool that has had most. */
  peakUsed = 0;

  readonly #manager: PortManager;
  readonly #reserved: ReservedPorts;
  readonly #pools: PortPool[] = [];
  readonly #ends = new Departures();
  readonly #wakes = new Departures();
  /** Where the cooldown is exact: when each port comes back. */
  readonly #returns = new Departures();
  readonly #random: SeededRandom;
  #open = 0;
  #cooling = 0;
  #openSum = 0;
  #coolingSum = 0;
  #samples = 0;
  /** By pool: connections open, and ports that are cooling. */
  readonly #openOf: Uint32Array;
  readonly #coolingOf: Uint32Array;
  /** By pool: has the core refused it, and has no port come back since? */
  readonly #isFull: Uint8Array;
  /** By destination: how many of its sources are full. */
  readonly #fullCount: Uint32Array;
  #fullPools = 0;

  constructor(load: Load) {
    this.load = load;
    this.#random = new SeededRandom(load.seed);
    this.#manager = PortManager.open({ portRange: load.range, seed: load.seed });
    this.#reserved = passedOver(load);
    const count = load.sources * load.destinations;
    for (let pool = 0; pool < count; pool++) this.#pools.push(this.#openPool(pool));
    this.#openOf = new Uint32Array(count);
    this.#coolingOf = new Uint32Array(count);
    this.#isFull = new Uint8Array(count);
    this.#fullCount = new Uint32Array(load.destinations);
  }

  get steadyOpen(): number {
    return this.#openSum / Math.max(1, this.#samples);
  }

  get steadyCooling(): number {
    return this.#coolingSum / Math.max(1, this.#samples);
  }

  run(stopAtRefusal: boolean): void {
    const { rate, seconds, files } = this.load;
    const count = Math.ceil(rate * seconds);
    const first = SAMPLES - STEADY_SAMPLES;
    let sample = first + 1;
    for (let index = 0; index < count; index++) {
      const now = nanoseconds(index / rate);
      while (now >= sampleTime(sample, seconds)) this.#sample(sampleTime(sample++, seconds));
      this.#advance(now);
      this.arrivals++;
      if (this.#open >= files) this.#refuse(now, "files");
      else this.#connect(index, now);
      if (stopAtRefusal && this.refused > 0) return;
      if (this.#isShut) index += this.#refuseAlike(index + 1, count);
    }
    while (sample <= SAMPLES) this.#sample(sampleTime(sample++, seconds));
  }

  [Symbol.dispose](): void {
    this.#manager.close();
    this.#reserved.close();
  }

  /** Is every arrival refused until something ends or comes back? One has been, already. */
  get #isShut(): boolean {
    if (this.refused === 0) return false;
    return this.#open >= this.load.files || this.#fullPools === this.#pools.length;
  }

  /** Refuses arrivals from this one on, as many as surely come before that; how many. */
  #refuseAlike(index: number, count: number): number {
    const next = Math.min(this.#ends.next, this.#wakes.next, this.#returns.next);
    // Two nanoseconds less, for what is rounded.
    const until = Math.min(count, Math.floor(((next - 2) / NS_PER_S) * this.load.rate));
    const alike = Math.max(0, until - index);
    this.arrivals += alike;
    this.refused += alike;
    return alike;
  }

  #sample(now: number): void {
    this.#advance(now);
    this.#openSum += this.#open;
    this.#coolingSum += this.#cooling;
    this.#samples++;
  }

  /** Handles connections that have ended, and ports that have cooled down, by now. */
  #advance(now: number): void {
    for (; this.#ends.next <= now; this.#ends.drop()) {
      this.#end(this.#ends.owner, this.#ends.port, this.#ends.next);
    }
    while (this.#wakes.next <= now) {
      const pool = this.#wakes.owner;
      this.#wakes.drop();
      this.#expire(pool, now);
    }
    for (; this.#returns.next <= now; this.#returns.drop()) {
      this.#return(this.#returns.owner, this.#returns.port);
    }
  }

  #connect(index: number, now: number): void {
    const { sources, destinations, lifetime } = this.load;
    const destination = index % destinations;
    const turn = Math.floor(index / destinations) % sources;
    let answer = 0;
    for (let tried = 0; tried < sources; tried++) {
      if (this.#fullCount[destination] === sources) break;
      const pool = destination * sources + ((turn + tried) % sources);
      if (this.#isFull[pool] === 1) continue;
      answer = (this.#pools[pool] as PortPool).take();
      if (answer > 0) {
        this.#begin(pool, answer, now + nanoseconds(this.#draw(lifetime)));
        return;
      }
      this.#isFull[pool] = 1;
      (this.#fullCount[destination] as number)++;
      this.#fullPools++;
    }
    this.#refuse(now, answer === Refusal.COOLING ? "cooling" : "range");
  }

  #begin(pool: number, port: number, end: number): void {
    this.#ends.add(end, pool, port);
    this.#open++;
    (this.#openOf[pool] as number)++;
    this.#count(pool);
    const used = (this.#openOf[pool] as number) + (this.#coolingOf[pool] as number);
    this.peakUsed = Math.max(this.peakUsed, used);
    this.peakOpen = Math.max(this.peakOpen, this.#open);
  }

  #end(pool: number, port: number, now: number): void {
    this.#open--;
    (this.#openOf[pool] as number)--;
    const { cooldown, isExact } = this.load;
    if (isExact && cooldown > 0) {
      this.#returns.add(now + nanoseconds(cooldown), pool, port);
      this.#cool(pool, 1);
      return;
    }
    const isFirst = this.#coolingOf[pool] === 0;
    (this.#pools[pool] as PortPool).coolDown(port, now / NS_PER_MS);
    this.#count(pool);
    if (isFirst) this.#planWake(pool, now);
    // Also where the port cools down: the oldest may be taken, by policy.
    this.#comeBack(pool);
  }

  #expire(pool: number, now: number): void {
    if ((this.#pools[pool] as PortPool).expire(now / NS_PER_MS) > 0) this.#comeBack(pool);
    this.#count(pool);
    this.#planWake(pool, now);
  }

  #return(pool: number, port: number): void {
    (this.#pools[pool] as PortPool).free(port);
    this.#cool(pool, -1);
    this.#comeBack(pool);
  }

  #cool(pool: number, more: number): void {
    this.#cooling += more;
    (this.#coolingOf[pool] as number) += more;
  }

  #planWake(pool: number, now: number): void {
    if (this.#coolingOf[pool] === 0) return;
    const next = (this.#pools[pool] as PortPool).nextExpiry ?? Number.POSITIVE_INFINITY;
    // At least a nanosecond on: milliseconds with a fraction are not exact.
    this.#wakes.add(Math.max(next * NS_PER_MS, now + 1), pool, 0);
  }

  /** How many ports of a pool are cooling now. */
  #count(pool: number): void {
    if (this.load.cooldown === 0 || this.load.isExact) return;
    const { cooling } = this.#pools[pool] as PortPool;
    this.#cool(pool, cooling - (this.#coolingOf[pool] as number));
  }

  #comeBack(pool: number): void {
    if (this.#isFull[pool] === 0) return;
    this.#isFull[pool] = 0;
    (this.#fullCount[Math.floor(pool / this.load.sources)] as number)--;
    this.#fullPools--;
  }

  #refuse(now: number, why: Exhausted): void {
    this.refused++;
    if (this.firstRefusal !== undefined) return;
    this.firstRefusal = now / NS_PER_S;
    this.exhausted = why;
  }

  #draw(lifetime: Lifetime): number {
    if (lifetime.kind === "fixed") return lifetime.seconds;
    const part = this.#random.next() / UINT32_COUNT;
    if (lifetime.kind === "exponential") return -Math.log(1 - part) * lifetime.mean;
    return lifetime.least + part * (lifetime.most - lifetime.least);
  }

  #openPool(pool: number): PortPool {
    const { sources, cooldown, whenCooling } = this.load;
    return this.#manager.pool({
      networks: [IPV4],
      transport: TCP,
      address: addressOf(10, pool % sources),
      destination: { address: addressOf(11, Math.floor(pool / sources)), port: 443 },
      reserved: this.#reserved,
      cooldown: { period: Math.round(cooldown * 1000), whenCooling },
    });
  }
}

function nanoseconds(seconds: number): number {
  return Math.round(seconds * NS_PER_S);
}

/** When a sample is taken; the last is just before the end. */
function sampleTime(sample: number, seconds: number): number {
  return sample > SAMPLES
    ? Number.POSITIVE_INFINITY
    : nanoseconds((sample * seconds) / SAMPLES) - 1;
}

/** An address of a made-up network, other than its first. */
function addressOf(network: number, index: number): string {
  const host = index + 1;
  return `${network}.${(host >>> 16) & 255}.${(host >>> 8) & 255}.${host & 255}`;
}
