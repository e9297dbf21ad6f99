// What is held, as plain records; and its release by filter.

import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../../bindings/core/random.ts";
import {
  type HeldPort,
  IPV4,
  IPV6,
  PortGroups,
  type PortManager,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { flagsOf } from "../../support/ask.ts";
import { BUILDS, moduleFor, openOn } from "../../support/builds.ts";

const WEB = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };
const DNS = { networks: [IPV4, IPV6], transport: UDP };

function portsOf(held: Iterable<HeldPort>): number[] {
  return [...held].map(({ port }) => port).sort((one, other) => one - other);
}

describe.each(BUILDS)("the list of what is held (%s build)", (build) => {
  test("has a record for each network, description and port, with its count", () => {
    const ports = openOn(build, {});
    ports.reservePort({ ...WEB, port: 80, bindToDevice: 2 });
    ports.reservePort({ ...DNS, port: 53, reusePort: true });
    ports.reservePort({ ...DNS, port: 53, reusePort: true });
    ports.reserveTuple({ ...WEB, port: 8080, destination: { address: "9.9.9.9", port: 443 } });
    const none = { mostRecent: false, loadBalanced: false, tupleOnly: false };
    const any = { address: "", port: 0 };
    const dns = { transport: UDP, port: 53, bindToDevice: 0, destination: any, count: 2 };
    const shared = { ...dns, flags: { ...none, loadBalanced: true }, cooling: false };
    const web = { networks: [IPV4], transport: TCP, address: "10.0.0.1", flags: none, count: 1 };
    expect([...ports.reservations()]).toHaveLength(4);
    expect([...ports.reservations({ transport: UDP })]).toEqual(
      expect.arrayContaining([
        { ...shared, networks: [IPV4], address: "0.0.0.0" },
        { ...shared, networks: [IPV6], address: "::" },
      ]),
    );
    expect([...ports.reservations({ port: 80 })]).toEqual([
      { ...web, port: 80, bindToDevice: 2, destination: any, cooling: false },
    ]);
    const remote = { address: "9.9.9.9", port: 443 };
    expect([...ports.reservations({ address: "10.0.0.1", port: 8080 })]).toEqual([
      { ...web, port: 8080, bindToDevice: 0, destination: remote, cooling: false },
    ]);
    expect(portsOf(ports.reservations({ network: IPV6 }))).toEqual([53]);
    expect(portsOf(ports.reservations({ address: "0.0.0.0" }))).toEqual([53, 53]);
    expect(() => ports.reservations({ port: 0 })).toThrow("1..65535");
    expect(() => ports.reservations({ ports: 1 } as never)).toThrow("has no option");
    ports.close();
    expect(() => ports.reservations()).toThrow("closed");
  });

  test("of one port in one network is what the whole list has of it, also where it is not held", () => {
    using ports = openOn(build, {});
    const random = new SeededRandom(1);
    const draw = (count: number): number => random.next() % count;
    const addresses = ["", "10.0.0.1", "10.0.0.2"];
    const ends = [
      { address: "", port: 0 },
      { address: "9.9.9.9", port: 443 },
    ];
    const sizes = new Set<number>();
    for (let turn = 0; turn < 300; turn++) {
      const asked = {
        ...{ networks: [IPV4], transport: [TCP, UDP][draw(2)] as number, port: 80 + draw(8) },
        address: addresses[draw(3)] as string,
        ...{ bindToDevice: draw(2), destination: ends[draw(2)], flags: flagsOf(draw(8)) },
      };
      if (draw(2) === 0) ports.releasePort(asked);
      else if (turn % 3 === 0) ports.tryReserve(asked);
      else if (ports.isAvailable(asked)) ports.reserveTuple(asked);
      const { transport, port } = asked;
      const all = [...ports.reservations()].filter(
        (held) => held.transport === transport && held.port === port,
      );
      for (const address of [undefined, "0.0.0.0", "10.0.0.1", "10.0.0.2"]) {
        const found = [...ports.reservations({ network: IPV4, transport, port, address })];
        expect(found).toEqual(all.filter((held) => held.address === (address ?? held.address)));
        sizes.add(found.length);
      }
    }
    expect([...sizes].sort().slice(0, 3)).toEqual([0, 1, 2]);
  });

  test("lists each record once that is there from beginning to end, whatever else changes", () => {
    using ports = openOn(build, {});
    const busy = ports.pool({ ...WEB, address: "10.0.0.9" });
    busy.takeMany(new Uint16Array(3000));
    const held = Array.from({ length: 300 }, (_, at) =>
      ports.reserveTuple({ ...WEB, port: 80, destination: { address: at + 1, port: 1 } }),
    );
    const seen = new Map<string, number>();
    let turn = 0;
    for (const { address, port, destination } of ports.reservations()) {
      const name = `${address} ${port} ${destination.address}`;
      seen.set(name, (seen.get(name) ?? 0) + 1);
      // The table grows and shrinks, and ports come and go, while the list is read.
      ports.reserveTuple({ ...WEB, port: 81, destination: { address: ++turn, port: 2 } });
      if (turn % 3 === 0) held[turn]?.release();
      if (turn === 1500) busy.freeMany(busy.ports());
    }
    expect(seen.size).toBe(3300);
    expect([...seen.values()].every((times) => times === 1)).toBe(true);
  });

  test("tells what cools down, of pools and of reservations", () => {
    using ports = openOn(build, { cooldown: 1000 });
    const pool = ports.pool(WEB);
    const [one, two] = [pool.take(), pool.take()];
    pool.coolDown(one, 0);
    const dns = ports.reservePort({ ...DNS, port: 53 });
    dns.coolDown(0);
    const cooling = [...ports.reservations()].filter((held) => held.cooling);
    expect(portsOf(cooling)).toEqual([53, 53, one].sort((a, b) => a - b));
    expect([...pool.ports()]).toEqual([two]);
    ports.expire(1000);
    pool.expire(2000);
    expect(portsOf(ports.reservations())).toEqual([two]);
  });

  test("knows the ports of a group's pools and reservations", () => {
    using groups = PortGroups.open(moduleFor(build));
    using ports = openOn(build, {});
    const [a, b] = [groups.create("/a"), groups.create("/b")];
    const pool = ports.pool({ ...WEB, group: a });
    const taken = [pool.take(), pool.take()];
    const one = ports.reservePort({ ...DNS, port: 53, group: a });
    ports.reservePort({ ...DNS, port: 54, group: b });
    ports.reservePort({ ...DNS, port: 55 }).group = b;
    const sorted = [...taken, 53, 53].sort((x, y) => x - y);
    expect(portsOf(ports.reservations({ group: a }))).toEqual(sorted);
    expect(portsOf(ports.reservations({ group: b }))).toEqual([54, 54, 55, 55]);
    one.group = b;
    expect(portsOf(ports.reservations({ group: b, network: IPV4 }))).toEqual([53, 54, 55]);
    expect(ports.releaseAll({ group: b })).toBe(6);
    expect([one.released, b.uses, a.uses]).toEqual([true, 0, 1]);
    expect(ports.releaseAll({ group: a })).toBe(2);
    expect(ports.stats().references).toBe(0);
  });
});

describe.each(BUILDS)("a release by filter (%s build)", (build) => {
  function filled(): PortManager {
    const ports = openOn(build, { portRange: { first: 40000, last: 40999 } });
    ports.pool({ networks: [IPV4], transport: TCP }).takeMany(new Uint16Array(1000));
    return ports;
  }

  test("gives back all that a manager holds, which goes on (moby ReleaseAll)", () => {
    using ports = openOn(build, { portRange: { first: 40000, last: 40999 } });
    const pool = ports.pool({ networks: [IPV4], transport: TCP });
    const { used } = ports.stats().memory;
    expect(pool.takeMany(new Uint16Array(1000))).toBe(1000);
    expect(ports.releaseAll()).toBe(1000);
    expect([pool.held, ports.stats().references]).toEqual([0, 0]);
    expect(pool.takeMany(new Uint16Array(1000))).toBe(1000);
    ports.releaseAll();
    verify(ports);
    expect(ports.stats().memory.used - used).toBeLessThan(9000); // an open pool keeps its bitmap
  });

  test("is known to the objects of what it has released, and to no others", () => {
    using ports = openOn(build, {});
    const web = ports.reservePort({ ...WEB, port: 80 });
    const dns = ports.reservePort({ ...DNS, port: 53 });
    expect(ports.releaseAll({ address: "10.0.0.1" })).toBe(1);
    const again = ports.reservePort({ ...WEB, port: 80 });
    expect([web.released, web.release(), dns.released, again.released]).toEqual([
      ...[true, false, false, false],
    ]);
    expect(ports.releaseAll({ network: IPV6 })).toBe(1);
    expect(dns.networks).toEqual([IPV4]);
    const six = ports.reservePort({ ...DNS, networks: [IPV6], port: 53 });
    expect([dns.release(), six.released, ports.stats().references]).toEqual([true, false, 2]);
    expect(ports.releaseAll({ address: "10.0.0.1" })).toBe(1);
    expect(again.released).toBe(true);
  });

  test("ends cooldowns, of pools and of reservations", () => {
    using ports = openOn(build, { cooldown: 1000 });
    const pool = ports.pool(WEB);
    pool.coolDown(pool.take(), 0);
    const dns = ports.reservePort({ ...DNS, port: 53 });
    dns.coolDown(0);
    expect(ports.releaseAll()).toBe(3);
    expect([dns.isCooling, ports.nextExpiry, ports.expire(5000)]).toEqual([false, undefined, 0]);
    expect(pool.expire(5000)).toBe(0);
    verify(ports);
  });

  test("leaves the others alone: a control", () => {
    using ports = filled();
    expect(ports.releaseAll({ port: 40500 })).toBe(1);
    expect(ports.releaseAll({ port: 40500 })).toBe(0);
    expect(ports.releaseAll({ transport: UDP })).toBe(0);
    expect(portsOf(ports.reservations())).toHaveLength(999);
  });
});
