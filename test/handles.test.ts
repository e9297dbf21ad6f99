// Handles: a flow and the words speak of the same ports, and a handle is only a way to them.

import { describe, expect, test } from "vitest";
import { EXHAUSTED, IN_USE } from "../assembly/abi.ts";
import { type Flow, PortError, type PortManager, TCP, UDP } from "../bindings/index.ts";
import { verify } from "../bindings/manager.ts";
import { BUILDS, openOn } from "./support/builds.ts";

const WEB = { networks: [4], transport: UDP };
const SERVER = { address: "9.9.9.9", port: 443 };
const RANGE = { first: 2000, last: 2004 };

describe.each(BUILDS)("%s build", (build) => {
  function open(): PortManager {
    return openOn(build, { seed: 1, portRange: RANGE });
  }

  // ── One state ───────────────────────────────────────────────────────────────────────────

  test("what words reserve, a handle has, and may free", () => {
    const manager = open();
    const reservation = manager.reservePort({ ...WEB, port: 2001 });
    const flow = manager.flow(WEB);
    expect(flow.has(2001)).toBe(true);
    expect(flow.held).toBe(1);
    expect(flow.takeAt(2001)).toBe(IN_USE);
    expect(flow.take(1)).toBe(2002);
    expect(flow.free(2001)).toBe(true);
    expect(manager.isAvailable({ ...WEB, port: 2001 })).toBe(true);
    // The object does not know that its port went another way: it gives it back once, to nobody.
    expect(reservation.release()).toBe(true);
    expect(reservation.release()).toBe(false);
    manager.close();
  });

  test("what a handle takes, words refuse and may release", () => {
    const manager = open();
    const flow = manager.flow(WEB);
    expect(flow.take(3)).toBe(2003);
    expect(() => manager.reservePort({ ...WEB, port: 2003 })).toThrow("EADDRINUSE");
    expect(manager.releasePort({ ...WEB, port: 2003 })).toBe(true);
    expect(flow.has(2003)).toBe(false);
    expect(flow.free(2003)).toBe(false);
    manager.close();
  });

  test("two handles of one description are one flow", () => {
    const manager = open();
    const one = manager.flow({ ...WEB, address: "10.0.0.1" });
    const other = manager.flow({ ...WEB, address: "::ffff:10.0.0.1" });
    expect(one.take(0)).toBe(2000);
    expect(other.has(2000)).toBe(true);
    expect(other.take(0)).toBe(2001);
    expect(one.held).toBe(2);
    one.close();
    expect(other.free(2000)).toBe(true);
    expect(other.held).toBe(1);
    manager.close();
  });

  test("a handle has what is held with its own flags, and frees a key that others hold", () => {
    const manager = open();
    const one = manager.flow({ ...WEB, flags: { loadBalanced: true } });
    const other = manager.flow({ ...WEB, flags: { loadBalanced: true, mostRecent: true } });
    expect(one.takeAt(2000)).toBe(2000);
    expect(other.has(2000)).toBe(false);
    expect(other.takeAt(2000)).toBe(2000);
    expect([one.held, other.held]).toEqual([1, 1]);
    expect(one.free(2000)).toBe(true);
    expect(one.has(2000)).toBe(false);
    // The key is held with other flags; it is freed all the same, as gVisor releases it.
    expect(one.free(2000)).toBe(true);
    expect(other.has(2000)).toBe(false);
    manager.close();
  });

  test("a dual-stack handle has a port where both networks hold it", () => {
    const manager = open();
    const both = manager.flow({ ...WEB, networks: [4, 6] });
    expect(both.takeAt(2000)).toBe(2000);
    expect(both.has(2000)).toBe(true);
    expect(manager.releasePort({ ...WEB, networks: [6], port: 2000 })).toBe(true);
    expect(both.has(2000)).toBe(false);
    expect(both.held).toBe(1);
    expect(both.free(2000)).toBe(true);
    expect(both.free(2000)).toBe(false);
    manager.close();
  });

  // ── Life of a handle ────────────────────────────────────────────────────────────────────

  test("ports stay held when their handle closes", () => {
    const manager = open();
    const flow = manager.flow(WEB);
    flow.take(0);
    flow.close();
    flow.close();
    expect(manager.isAvailable({ ...WEB, port: 2000 })).toBe(false);
    const again = manager.flow(WEB);
    expect(again.has(2000)).toBe(true);
    manager.close();
  });

  test("an open handle without ports is not counted, and its memory goes when it closes", () => {
    const manager = open();
    const used = manager.stats().memory.used;
    const flows = [4, 6].flatMap((network) =>
      ["10.0.0.1", "10.0.0.2", ""].map((address) =>
        manager.flow({ ...WEB, networks: [network], address, destination: SERVER }),
      ),
    );
    verify(manager);
    expect(manager.stats()).toMatchObject({ descriptors: 0, counters: 0, references: 0 });
    expect(manager.stats().memory.used).toBeGreaterThan(used);
    for (const flow of flows) {
      flow.close();
      verify(manager);
    }
    expect(manager.stats().memory.used).toBe(used);
    manager.close();
  });

  test("`using` closes a handle and a manager, and releases a reservation", () => {
    const manager = open();
    const flow = manager.flow(WEB);
    flow[Symbol.dispose]();
    expect(() => flow.held).toThrow("closed");
    const reservation = manager.reservePort(WEB);
    reservation[Symbol.dispose]();
    reservation[Symbol.dispose]();
    expect(reservation.released).toBe(true);
    expect(manager.stats().references).toBe(0);
    manager[Symbol.dispose]();
    expect(() => manager.stats()).toThrow("closed");
  });

  // ── How it picks ────────────────────────────────────────────────────────────────────────

  test("a TCP handle binds by default, and connects where it has a destination", () => {
    const manager = open();
    const binding = manager.flow({ networks: [4], transport: TCP, flags: { tupleOnly: true } });
    const to = { networks: [4], transport: TCP, reuseAddr: true, destination: SERVER };
    const connecting = manager.flow(to);
    const strict = manager.flow({ ...to, picking: "bind" });
    expect(binding.take(0)).toBe(2000);
    expect(binding.take(0)).toBe(2001);
    expect(connecting.take(0)).toBe(2000);
    expect(strict.take(0)).toBe(2002);
    manager.close();
  });

  test("a wildcard with a port is no destination to connect to", () => {
    const manager = open();
    const request = { networks: [4], transport: TCP, flags: { tupleOnly: true } };
    const flow = manager.flow({ ...request, destination: { port: 443 } });
    expect([flow.take(0), flow.take(0)]).toEqual([2000, 2001]);
    const connecting = manager.flow({ ...request, picking: "connect" });
    expect([connecting.take(0), connecting.take(0)]).toEqual([2000, 2000]);
    manager.close();
  });

  describe("a unique handle", () => {
    const tuple = { networks: [4], transport: TCP, reuseAddr: true, destination: SERVER };

    test("never holds a tuple twice, where TupleOnly would let it through", () => {
      const manager = open();
      const plain = manager.flow(tuple);
      const unique = manager.flow({ ...tuple, unique: true });
      expect([plain.take(0), plain.take(0)]).toEqual([2000, 2000]);
      expect(unique.take(0)).toBe(2001);
      expect(unique.takeAt(2000)).toBe(IN_USE);
      expect(unique.takeAt(2001)).toBe(IN_USE);
      expect([unique.take(0), unique.take(0), unique.take(0)]).toEqual([2002, 2003, 2004]);
      expect(unique.take(0)).toBe(EXHAUSTED);
      expect(plain.take(0)).toBe(2000);
      manager.close();
    });

    test("minds the tuple under any flags", () => {
      const manager = open();
      manager.reserveTuple({ ...WEB, transport: TCP, destination: SERVER, port: 2000, flags: ALL });
      const unique = manager.flow({ ...tuple, unique: true });
      expect(unique.takeAt(2000)).toBe(IN_USE);
      expect(unique.take(0)).toBe(2001);
      manager.close();
    });

    test("shares its ports with other destinations", () => {
      const manager = open();
      for (let port = 1; port <= 20; port++) {
        const flow = manager.flow({ ...tuple, destination: { ...SERVER, port }, unique: true });
        expect(flow.takeMany(new Uint16Array(6))).toBe(5);
      }
      verify(manager);
      expect(manager.stats()).toMatchObject({ descriptors: 5, counters: 100, references: 100 });
      manager.close();
    });

    test("minds its tuple in each of its networks", () => {
      const manager = open();
      manager.reserveTuple({ ...tuple, networks: [6], port: 2000 });
      const unique = manager.flow({ ...tuple, networks: [4, 6], unique: true });
      expect(unique.take(0)).toBe(2001);
      manager.close();
    });
  });

  // ── Batches ─────────────────────────────────────────────────────────────────────────────

  test("a batch takes what single calls with the same seed take", () => {
    const [one, other] = [open(), open()];
    const singles = one.flow(WEB);
    const ports = new Uint16Array(7);
    expect(other.flow(WEB).takeMany(ports)).toBe(5);
    expect([...ports.subarray(0, 5)]).toEqual(Array.from({ length: 5 }, () => singles.take()));
    expect([...ports.subarray(5)]).toEqual([0, 0]);
    one.close();
    other.close();
  });

  test("a batch of none takes and frees nothing", () => {
    const manager = open();
    const flow = manager.flow(WEB);
    expect(flow.takeMany(new Uint16Array(0))).toBe(0);
    expect(flow.freeMany(new Uint16Array(0))).toBe(0);
    manager.close();
  });

  test.each([1023, 1024, 1025, 2048, 3000])("a batch of %i is not cut short", (count) => {
    const manager = openOn(build, { seed: count });
    const flow = manager.flow(WEB);
    const ports = new Uint16Array(count);
    expect(flow.takeMany(ports)).toBe(count);
    expect(new Set(ports).size).toBe(count);
    expect(flow.held).toBe(count);
    for (const port of ports) expect(flow.has(port)).toBe(true);
    expect(flow.freeMany(ports)).toBe(count);
    expect(flow.held).toBe(0);
    manager.close();
  });

  test("a full batch stays in its place: what is planned and held around it is unharmed", () => {
    const manager = openOn(build, { seed: 5 });
    const flow = manager.flow(WEB);
    expect(flow.takeMany(new Uint16Array(1024))).toBe(1024);
    verify(manager);
    // More flows than a plan has room for at first, so that it is given back and made anew.
    for (let device = 1; device <= 80; device++) {
      manager.reservePort({ ...WEB, port: 80, bindToDevice: device });
    }
    expect(manager.isAvailable({ ...WEB, port: 80 })).toBe(false);
    expect(manager.isAvailable({ ...WEB, port: 81 })).toBe(true);
    verify(manager);
    expect(manager.stats()).toMatchObject({ descriptors: 1025, counters: 1104 });
    manager.close();
  });

  test("freeing a batch counts what was held: not port 0, not a stranger, not a port twice", () => {
    const manager = open();
    const flow = manager.flow(WEB);
    flow.takeAt(2000);
    flow.takeAt(2001);
    expect(flow.freeMany(Uint16Array.of(0, 2000, 2000, 9999, 2001, 65535))).toBe(2);
    verify(manager);
    expect(manager.stats().references).toBe(0);
    manager.close();
  });

  test("a batch goes on where its flow becomes a list, and a bitmap", () => {
    const manager = openOn(build, { seed: 3, portRange: { first: 1, last: 200 } });
    const flows = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((address) =>
      manager.flow({ ...WEB, address }),
    );
    for (const flow of flows) expect(take(flow, 150)).toBe(150);
    verify(manager);
    const any = manager.flow({ ...WEB, flags: ALL, unique: true });
    expect(any.held).toBe(0);
    expect(take(any, 200)).toBe(200 - new Set(flows.flatMap(portsOf)).size);
    verify(manager);
    manager.close();
  });
});

const ALL = { mostRecent: true, loadBalanced: true, tupleOnly: true };

function take(flow: Flow, count: number): number {
  return flow.takeMany(new Uint16Array(count));
}

function portsOf(flow: Flow): number[] {
  return Array.from({ length: 200 }, (_, index) => index + 1).filter((port) => flow.has(port));
}

test("a closed handle says so by an error that names it", () => {
  const manager = openOn("release");
  const flow = manager.flow(WEB);
  flow.close();
  expect(() => flow.take()).toThrow(PortError);
  expect(() => flow.take()).toThrow("EBADF: the flow has been closed");
  manager.close();
});
