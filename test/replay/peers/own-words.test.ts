// Cases of the peers' suites that need more than calls one after the other: snapshots, files, real
// sockets. Each has the name of its case; peers.test.ts counts them.

import dgram from "node:dgram";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { IPV4, PortManager, Refusal, TCP, UDP } from "../../../bindings/index.ts";

const NODE_PORTS = { networks: [IPV4], transport: TCP, address: "127.0.0.1" };

/** Listens on a port; whether it could. */
function listens(server: net.Server, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
}

async function occupied(): Promise<[net.Server, number]> {
  const server = net.createServer();
  await listens(server, 0);
  return [server, (server.address() as net.AddressInfo).port];
}

test("kubernetes/portallocator/NewFromSnapshot", () => {
  const ports = PortManager.open({ portRange: { first: 200, last: 300 } });
  const pool = ports.pool(NODE_PORTS);
  const taken = Array.from({ length: 10 }, () => pool.take());
  const restored = PortManager.restore(ports.snapshot());
  const [other] = restored.restored?.pools ?? [];
  expect([other?.held, restored.portRange()]).toEqual([10, ports.portRange()]);
  for (const port of taken) expect(other?.has(port)).toBe(true);
  for (const manager of [ports, restored]) manager.close();
});

test("kubernetes/portallocator-storage/Empty", () => {
  const scratch = mkdtempSync(join(tmpdir(), "portwarden-"));
  const path = join(scratch, "ports");
  const first = PortManager.open({ portRange: { first: 100, last: 200 } });
  writeFileSync(path, first.snapshot());
  const second = PortManager.restore(readFileSync(path));
  expect([...second.reservations()]).toEqual([]);
  expect(second.reservePort({ ...NODE_PORTS, port: 150 }).port).toBe(150);
  writeFileSync(path, second.snapshot());
  const third = PortManager.restore(readFileSync(path));
  expect(() => third.reservePort({ ...NODE_PORTS, port: 150 })).toThrow("EADDRINUSE");
  for (const manager of [first, second, third]) manager.close();
  rmSync(scratch, { recursive: true });
});

test("kubernetes/portallocator/NodePortAllocatedMetrics", () => {
  using ports = PortManager.open({ portRange: { first: 30_000, last: 30_999 } });
  const pool = ports.pool(NODE_PORTS);
  const counted = (): readonly number[] => {
    const { taken, peak, refused } = ports.stats().totals;
    return [pool.held, taken, peak, refused.IN_USE];
  };
  const fixed = [30_053, 30_090] as const;
  for (const port of fixed) expect(pool.takeAt(port)).toBe(port);
  expect(counted()).toEqual([2, 2, 2, 0]);
  for (const port of fixed) expect(pool.takeAt(port)).toBe(Refusal.IN_USE);
  expect(counted()).toEqual([2, 2, 2, 2]);
  expect(pool.takeMany(new Uint16Array(998))).toBe(998);
  expect(counted()).toEqual([1000, 1000, 1000, 2]);
  for (const port of pool.ports()) pool.free(port);
  expect(counted()).toEqual([0, 1000, 1000, 2]);
});

test("moby/portallocator/ReleaseAll (of the benchmark)", () => {
  const selection = { algorithm: "sequential", from: 0 } as const;
  using ports = PortManager.open({ portRange: { first: 32768, last: 33767 }, selection });
  const pool = ports.pool({ ...NODE_PORTS, address: "0.0.0.0" });
  for (let round = 0; round < 2; round++) {
    const taken = new Uint16Array(1000);
    expect(pool.takeMany(taken)).toBe(1000);
    expect(taken).toEqual(Uint16Array.from(taken).sort());
    expect(ports.releaseAll({ address: "0.0.0.0" })).toBe(1000);
  }
});

test("moby/osallocator/AllocateExactPort", async () => {
  const [server, port] = await occupied();
  using ports = PortManager.open();
  const mine = net.createServer();
  const request = { ...NODE_PORTS, port };
  const asked = (): Promise<unknown> =>
    ports.reservePortAsync(request, (one) => listens(mine, one));
  await expect(asked()).rejects.toMatchObject({ code: "EADDRINUSE" });
  await new Promise((resolve) => server.close(resolve));
  await expect(asked()).resolves.toMatchObject({ port });
  await expect(asked()).rejects.toMatchObject({ code: "EADDRINUSE" });
  mine.close();
});

test("moby/osallocator/AllocateRangePortInUse", async () => {
  const [server, first] = await occupied();
  using ports = PortManager.open({ portRange: { first, last: Math.min(65535, first + 50) } });
  const mine = net.createServer();
  const test = (one: number): Promise<boolean> => listens(mine, one);
  const held = await ports.reservePortAsync({ ...NODE_PORTS, offset: 0 }, test);
  expect(held.port).toBeGreaterThan(first);
  expect((mine.address() as net.AddressInfo).port).toBe(held.port);
  for (const one of [server, mine]) one.close();
});

test("moby/osallocator/OnlyOneSocketBindsUDPPort", async () => {
  using ports = PortManager.open();
  const sockets: dgram.Socket[] = [];
  const binds = (port: number): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = dgram.createSocket("udp4");
      sockets.push(socket);
      socket.once("error", () => resolve(false));
      socket.bind({ port, address: "127.0.0.1", exclusive: true }, () => resolve(true));
    });
  const request = { ...NODE_PORTS, transport: UDP };
  const { port } = await ports.reservePortAsync(request, binds);
  const again = ports.reservePortAsync({ ...request, port }, binds);
  await expect(again).rejects.toMatchObject({ code: "EADDRINUSE" });
  expect(await binds(port)).toBe(false);
  for (const socket of sockets) socket.close();
});
