// Masses: tens of thousands of draws operations on systems with thousands of ports, of ends and of
// TIME_WAITs, which fill up and empty again. Lists become bitmaps there and tables grow, and all of
// them shrink again. Each answer is that of the reference model.

import { describe, expect, test } from "vitest";
import type { Linux2632Socket } from "../../../bindings/linux/rules/2.6.32/socket.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import { type OnLinuxPorts, openLinuxPorts } from "../../replay/linux-ports.ts";
import { ReferenceLinux } from "../../replay/linux-reference.ts";
import type { Outcome } from "../../replay/linux-system.ts";
import { BUILDS, type Build, modulesFor } from "../../support/builds.ts";
import { compare } from "../mismatch.ts";
import { Random } from "../random.ts";

type Model = ReturnType<ReferenceLinux["socket"]>;

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
  test.each(MASSES.map((mass) => [mass.name, mass] as const))("%s", (_name, mass) => {
    const clash = new Clash(mass, build);
    const operations = OPERATIONS[build];
    for (let step = 0; step < operations; step++) {
      // Twice up and down.
      const height = 1 - Math.abs(1 - (((4 * step) / operations) % 2));
      clash.step(Math.ceil(mass.sockets * height));
    }
    clash.finish();
  });
});

class Clash {
  readonly #mass: Mass;
  readonly #random = new Random(20_091);
  readonly #real: OnLinuxPorts;
  readonly #model = new ReferenceLinux(0);
  readonly #usedAtOpen: number;
  readonly #pairs: [Linux2632Socket, Model][] = [];
  #now = 1000;
  #steps = 0;
  /** The most that there was of each. */
  readonly #most = { buckets: 0, sockets: 0, timeWait: 0 };

  constructor(mass: Mass, build: Build) {
    this.#mass = mass;
    this.#real = openLinuxPorts(0, modulesFor(build));
    this.#usedAtOpen = this.#real.ports.stats().memory.used;
    const reserved = Array.from({ length: 40 }, (_, index) => mass.first + index * 7);
    for (const system of [this.#real, this.#model]) {
      system.setLocalRange(mass.first, mass.first + mass.count - 1);
      system.setReserved(reserved.filter((port) => port <= 65_535));
      system.setTwReuse(1);
      system.setNow(this.#now);
    }
  }

  /** One operation, by which there are more sockets or fewer. */
  step(wanted: number): void {
    this.#steps += 1;
    const random = this.#random;
    if (random.chance(2)) this.#pass(random.pick([1, 1, 2, 5, 20]));
    if (random.chance(1)) this.#reserve();
    if (random.chance(1)) this.#visit();
    if (this.#pairs.length < wanted || this.#pairs.length === 0) this.#open();
    else this.#close();
    const { buckets: records, sockets, timeWait } = this.#real.ports.stats();
    const { buckets, bsockets, hint } = this.#model.stats();
    compare("stats", [records, sockets, this.#real.ports.hint], [buckets, bsockets, hint]);
    this.#most.buckets = Math.max(this.#most.buckets, records);
    this.#most.sockets = Math.max(this.#most.sockets, sockets);
    this.#most.timeWait = Math.max(this.#most.timeWait, timeWait);
    if (this.#steps % 50 === 0) this.#compareRecords();
    // Checking all invariants takes long where there is much.
    if (this.#steps % 500 === 0 && this.#pairs.length < 600) verifyLinux(this.#real.ports);
  }

  finish(): void {
    this.#compareRecords();
    while (this.#pairs.length > 100) this.#close();
    this.#pass(60);
    verifyLinux(this.#real.ports);
    while (this.#pairs.length > 0) this.#close();
    this.#pass(60);
    verifyLinux(this.#real.ports);
    const { buckets: records, sockets, timeWait, memory } = this.#real.ports.stats();
    expect({ records, sockets, timeWait }).toEqual({ records: 0, sockets: 0, timeWait: 0 });
    expect(memory.used).toBe(this.#usedAtOpen);
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
    const request = { reuse: random.chance(reuse), device, group: "/" };
    const pair: [Linux2632Socket, Model] = [
      this.#real.socket(request),
      this.#model.socket(request),
    ];
    this.#pairs.push(pair);
    if (random.chance(connects)) this.#connect(pair);
    else this.#bind(pair);
  }

  #bind(pair: [Linux2632Socket, Model]): void {
    const { first, count, addresses, names, goesOn } = this.#mass;
    const random = this.#random;
    const address = random.pick(addresses);
    const port = !random.chance(names)
      ? 0
      : Math.min(65_535, random.between(first, first + 2 * count));
    const draws = Array.from({ length: 6 }, () => random.u32());
    this.#same(
      () => this.#real.bind(pair[0], address, port, draws),
      () => this.#model.bind(pair[1], address, port, draws),
    );
    if (!random.chance(goesOn)) return;
    if (random.chance(33)) {
      this.#same(
        () => this.#real.listen(pair[0], draws),
        () => this.#model.listen(pair[1], draws),
      );
    } else {
      this.#connect(pair);
    }
    if (random.chance(10)) {
      const reuse = random.chance(50);
      this.#real.setReuse(pair[0], reuse);
      this.#model.setReuse(pair[1], reuse);
    }
  }

  /** A socket of another sort comes and goes. */
  #visit(): void {
    const random = this.#random;
    const request = { reuse: random.chance(50), device: random.below(3), group: "/" };
    const [socket, model] = [this.#real.socket(request), this.#model.socket(request)];
    const address = random.pick(["", "10.0.0.1", "10.0.0.9"]);
    const draws = Array.from({ length: 6 }, () => random.u32());
    this.#same(
      () => this.#real.bind(socket, address, 0, draws),
      () => this.#model.bind(model, address, 0, draws),
    );
    this.#real.close(socket);
    this.#model.close(model);
  }

  #reserve(): void {
    const { first, count } = this.#mass;
    const random = this.#random;
    const ports = Array.from({ length: random.below(60) }, () =>
      random.between(first, first + count - 1),
    );
    const reserved = [...new Set(ports)].sort((a, b) => a - b);
    this.#real.setReserved(reserved);
    this.#model.setReserved(reserved);
  }

  #connect(pair: [Linux2632Socket, Model]): void {
    const { ends, addresses } = this.#mass;
    const random = this.#random;
    const end = random.below(ends);
    const way = {
      local: random.pick(addresses.filter((address) => address !== "")),
      remote: `192.${end >> 16}.${(end >> 8) & 255}.${end & 255}`,
      remotePort: 443,
    };
    // As a hash would: far apart for different ends, and never so large that sums pass 2^32.
    const offset = Math.imul(end + 1, 0x9e3779b1) >>> 1;
    this.#same(
      () => this.#real.connect(pair[0], way, offset),
      () => this.#model.connect(pair[1], way, offset),
    );
  }

  #close(): void {
    const random = this.#random;
    const [pair] = this.#pairs.splice(random.below(this.#pairs.length), 1);
    if (pair === undefined) return;
    const [socket, model] = pair;
    if (socket.state === "connected" && random.chance(this.#mass.waits)) {
      const stamp = random.chance(20) ? undefined : this.#now - random.below(4);
      this.#real.closeToTimeWait(socket, stamp);
      this.#model.closeToTimeWait(model, stamp);
    } else {
      this.#real.close(socket);
      this.#model.close(model);
    }
  }

  #pass(seconds: number): void {
    this.#now += seconds;
    this.#real.setNow(this.#now);
    this.#model.setNow(this.#now);
    compare("time", this.#real.ports.time, this.#now * MS);
    compare("expired", this.#real.expireTimeWait(), this.#model.expireTimeWait());
  }

  // ── Comparing ─────────────────────────────────────────────────────────────────────────────

  #same(real: () => Outcome, model: () => Outcome): void {
    const expected = model();
    compare("answer", real(), expected);
  }

  #compareRecords(): void {
    const { first, count } = this.#mass;
    for (let looks = 0; looks < 20; looks++) {
      const port = this.#random.between(first, first + count - 1);
      compare(`bucket ${port}`, this.#real.bucket(port), this.#model.bucket(port));
    }
    const pair = this.#pairs[this.#random.below(Math.max(1, this.#pairs.length))];
    if (pair === undefined) return;
    compare("socket", this.#real.look(pair[0]), this.#model.look(pair[1]));
  }
}
