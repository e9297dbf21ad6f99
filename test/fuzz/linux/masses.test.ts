// Masses: tens of thousands of random operations on systems with thousands of ports, of ends and of
// TIME_WAITs, which fill up and empty again. Arrays become bitmaps there and tables grow, and all
// of them shrink again. Each answer is that of the reference model.

import { describe, expect, test } from "vitest";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import { type OnLinuxPorts, openLinuxPorts } from "../../replay/linux-ports.ts";
import { ReferenceLinux } from "../../replay/linux-reference.ts";
import { type LinuxOperation, LinuxPlayer } from "../../replay/linux-trace.ts";
import { BUILDS, type Build, modulesFor } from "../../support/builds.ts";
import { compare } from "../mismatch.ts";
import { Random } from "../random.ts";

interface Mass {
  readonly name: string;
  readonly first: number;
  readonly count: number;
  /** How many sockets there are when it is full. */
  readonly sockets: number;
  readonly ends: number;
  readonly addresses: readonly string[];
  readonly devices: number;
  /** Of a hundred sockets, how many have SO_REUSEADDR, and how many connect without a port. */
  readonly reuse: number;
  readonly connects: number;
  /** Of a hundred that bind, how many name their port, and how many listen or connect then. */
  readonly names: number;
  readonly goesOn: number;
  /** Of a hundred connections that close, how many go to TIME_WAIT. */
  readonly waits: number;
}

const MASSES: readonly Mass[] = [
  {
    ...{ name: "thousands of connections to few ends", first: 3000, count: 2500, sockets: 4000 },
    ...{ ends: 2, addresses: ["10.0.0.1", "2001:db8::1"], devices: 1 },
    ...{ reuse: 20, connects: 90, names: 50, goesOn: 60, waits: 60 },
  },
  {
    ...{ name: "thousands of ends of few ports", first: 65_500, count: 36, sockets: 4000 },
    ...{ ends: 3000, addresses: ["10.0.0.1", "10.0.0.2", "10.0.0.3"], devices: 2 },
    ...{ reuse: 50, connects: 98, names: 50, goesOn: 60, waits: 40 },
  },
  {
    ...{
      name: "thousands of ports that are bound and shared",
      first: 1,
      count: 3000,
      sockets: 3500,
    },
    ...{ ends: 5, addresses: ["", "10.0.0.1", "10.0.0.2", "2001:db8::1"], devices: 3 },
    ...{ reuse: 70, connects: 25, names: 50, goesOn: 60, waits: 30 },
  },
  {
    ...{ name: "thousands of ports of one address", first: 7000, count: 2500, sockets: 2600 },
    ...{ ends: 1, addresses: ["10.0.0.1"], devices: 1 },
    ...{ reuse: 0, connects: 0, names: 8, goesOn: 0, waits: 0 },
  },
];

const OPERATIONS: Readonly<Record<Build, number>> = { release: 24_000, debug: 8000 };
const MS = 1000;

describe.each(BUILDS)("%s build", (build) => {
  test.each(MASSES.map((mass) => [mass.name, mass] as const))(
    "agrees with its model on %s",
    (_name, mass) => {
      const clash = new Clash(mass, build);
      const operations = OPERATIONS[build];
      for (let step = 0; step < operations; step++) {
        // Twice up and down.
        const height = 1 - Math.abs(1 - (((4 * step) / operations) % 2));
        clash.step(Math.ceil(mass.sockets * height));
      }
      clash.finish();
    },
  );
});

class Clash {
  readonly #mass: Mass;
  readonly #random = new Random(20_091);
  readonly #real: OnLinuxPorts;
  readonly #model = new ReferenceLinux(0);
  readonly #usedAtOpen: number;
  readonly #players: readonly [real: LinuxPlayer, model: LinuxPlayer];
  readonly #sockets: number[] = [];
  #newest = 0;
  #now = 1000;
  #steps = 0;
  /** The most that there was of each. */
  readonly #most = { buckets: 0, sockets: 0, timeWait: 0 };

  constructor(mass: Mass, build: Build) {
    this.#mass = mass;
    this.#real = openLinuxPorts(0, modulesFor(build));
    this.#usedAtOpen = this.#real.used;
    this.#players = [new LinuxPlayer(this.#real), new LinuxPlayer(this.#model)];
    const reserved = Array.from({ length: 40 }, (_, index) => mass.first + index * 7);
    this.#both({ op: "setLocalRange", low: mass.first, high: mass.first + mass.count - 1 });
    this.#both({ op: "setReserved", ports: reserved.filter((port) => port <= 65_535) });
    this.#both({ op: "setTwReuse", value: 1 });
    this.#both({ op: "setNow", now: this.#now });
  }

  /** One operation, by which there are more sockets or fewer. */
  step(wanted: number): void {
    this.#steps += 1;
    const random = this.#random;
    if (random.chance(2)) this.#pass(random.pick([1, 1, 2, 5, 20]));
    if (random.chance(1)) this.#reserve();
    if (random.chance(1)) this.#visit();
    if (this.#sockets.length < wanted || this.#sockets.length === 0) this.#open();
    else this.#close();
    this.#both({ op: "stats" });
    const { buckets, sockets, timeWait } = this.#real.ports.stats();
    this.#most.buckets = Math.max(this.#most.buckets, buckets);
    this.#most.sockets = Math.max(this.#most.sockets, sockets);
    this.#most.timeWait = Math.max(this.#most.timeWait, timeWait);
    if (this.#steps % 50 === 0) this.#compareRecords();
    // Checking all invariants takes long where there is much.
    if (this.#steps % 500 === 0 && this.#sockets.length < 600) verifyLinux(this.#real.ports);
  }

  finish(): void {
    this.#compareRecords();
    while (this.#sockets.length > 100) this.#close();
    this.#pass(60);
    verifyLinux(this.#real.ports);
    while (this.#sockets.length > 0) this.#close();
    this.#pass(60);
    verifyLinux(this.#real.ports);
    const { memory: _, ...figures } = this.#real.ports.stats();
    expect(figures).toEqual({ buckets: 0, sockets: 0, timeWait: 0 });
    expect(this.#real.used).toBe(this.#usedAtOpen);
    expect(this.#real.end()).toEqual({ bytes: 0, uses: 0 });
    const { count, waits } = this.#mass;
    expect(this.#most.buckets).toBeGreaterThan(count / 2);
    expect(this.#most.timeWait > 50).toBe(waits > 0);
  }

  // ── Operations ────────────────────────────────────────────────────────────────────────────

  #open(): void {
    const { reuse, devices, connects } = this.#mass;
    const random = this.#random;
    const device = random.chance(70) ? 0 : random.below(devices);
    const sock = this.#socket(random.chance(reuse), device);
    this.#sockets.push(sock);
    if (random.chance(connects)) this.#connect(sock);
    else this.#bind(sock);
  }

  #socket(reuse: boolean, device: number): number {
    this.#newest += 1;
    this.#both({ op: "socket", sock: this.#newest, reuse, device, group: "/" });
    return this.#newest;
  }

  #bind(sock: number): void {
    const { first, count, addresses, names, goesOn } = this.#mass;
    const random = this.#random;
    const addr = random.pick(addresses);
    const isNamed = random.chance(names);
    const port = isNamed ? Math.min(65_535, random.between(first, first + 2 * count)) : 0;
    const draws = this.#draws();
    this.#both({ op: "bind", sock, addr, port, random: draws });
    if (!random.chance(goesOn)) return;
    if (random.chance(33)) this.#both({ op: "listen", sock, random: draws });
    else this.#connect(sock);
    if (random.chance(10)) this.#both({ op: "setReuse", sock, reuse: random.chance(50) });
  }

  /** A socket of another sort comes and goes. */
  #visit(): void {
    const random = this.#random;
    const sock = this.#socket(random.chance(50), random.below(3));
    const addr = random.pick(["", "10.0.0.1", "10.0.0.9"]);
    this.#both({ op: "bind", sock, addr, port: 0, random: this.#draws() });
    this.#both({ op: "close", sock });
  }

  #reserve(): void {
    const { first, count } = this.#mass;
    const random = this.#random;
    const ports = Array.from({ length: random.below(60) }, () =>
      random.between(first, first + count - 1),
    );
    this.#both({ op: "setReserved", ports: [...new Set(ports)].sort((a, b) => a - b) });
  }

  #connect(sock: number): void {
    const { ends, addresses } = this.#mass;
    const random = this.#random;
    const end = random.below(ends);
    const saddr = random.pick(addresses.filter((address) => address !== ""));
    const daddr = `192.${end >> 16}.${(end >> 8) & 255}.${end & 255}`;
    // As a hash would: far apart for different ends, and never so large that sums pass 2^32.
    const portOffset = Math.imul(end + 1, 0x9e3779b1) >>> 1;
    this.#both({ op: "connect", sock, saddr, daddr, dport: 443, portOffset });
  }

  #close(): void {
    const random = this.#random;
    const [sock] = this.#sockets.splice(random.below(this.#sockets.length), 1);
    if (sock === undefined) return;
    const isConnected = this.#players[1].look(sock).state === "connected";
    if (!isConnected || !random.chance(this.#mass.waits)) {
      this.#both({ op: "close", sock });
      return;
    }
    const hasTimestamp = !random.chance(20);
    const stamp = hasTimestamp ? this.#now - random.below(4) : 0;
    this.#both({ op: "closeToTimeWait", sock, stamp, hasTimestamp });
  }

  #pass(seconds: number): void {
    this.#now += seconds;
    this.#both({ op: "setNow", now: this.#now });
    compare("time", this.#real.ports.time, this.#now * MS);
    this.#both({ op: "expireTimeWait" });
    const [real, model] = this.#players;
    compare("expired", real.expired, model.expired);
  }

  #draws(): number[] {
    return Array.from({ length: 6 }, () => this.#random.u32());
  }

  // ── Comparing ─────────────────────────────────────────────────────────────────────────────

  #both(operation: LinuxOperation): void {
    const [real, model] = this.#players;
    const expected = model.perform(operation);
    compare("answer", real.perform(operation), expected);
  }

  #compareRecords(): void {
    const { first, count } = this.#mass;
    for (let looks = 0; looks < 20; looks++) {
      const port = this.#random.between(first, first + count - 1);
      this.#both({ op: "bucket", port });
    }
    const sock = this.#sockets[this.#random.below(Math.max(1, this.#sockets.length))];
    if (sock === undefined) return;
    const [real, model] = this.#players;
    compare("socket", real.look(sock), model.look(sock));
  }
}
