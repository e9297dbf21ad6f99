// Cooling ports: a connector refuses no connection that the system would allow, and a port whose
// tuple the system does not keep need not cool down.

import { once } from "node:events";
import { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import { connectorWith, errorOf, freshSources, serve, until } from "../support/connectors.ts";

const MINUTE_MS = 60_000;
const LIFETIME_MS = 20;

/** Linux, as far as TIME_WAIT goes: a minute after our side has closed a tuple is free again. */
class Kernel {
  readonly #until: Map<number, number> = new Map();
  refused = 0;

  /** As `connect` from that port. */
  readonly dial: Dial = ({ localPort }) => {
    if ((this.#until.get(localPort) ?? 0) > performance.now()) {
      this.refused++;
      const error = new Error(`connect EADDRNOTAVAIL ${localPort}`);
      throw Object.assign(error, { code: "EADDRNOTAVAIL", syscall: "connect" });
    }
    return new Socket();
  };

  close(port: number): void {
    this.#until.set(port, performance.now() + MINUTE_MS);
  }

  /** A port that plain `connect` would find, if there is one. */
  has(first: number, last: number): boolean {
    for (let port = first; port <= last; port++) {
      if ((this.#until.get(port) ?? 0) <= performance.now()) return true;
    }
    return false;
  }
}

/**
 * Opens and closes a connection each so many milliseconds, and says how many were refused, here and
 * there.
 */
async function load(everyMs: number, count: number, ports: number) {
  let now = 1000;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
  onTestFinished(() => clock.mockRestore());
  const portRange = { first: 20_000, last: 20_000 + ports - 1 };
  const connector = connectorWith({
    portRange,
    cooldown: MINUTE_MS,
    whenCooling: "refuse",
    seed: 1,
  });
  const kernel = new Kernel();
  const refused = { here: 0, there: 0 };
  for (let index = 0; index < count; index++) {
    now += everyMs - LIFETIME_MS;
    if (!kernel.has(portRange.first, portRange.last)) refused.there++;
    let socket: Socket | undefined;
    let port = 0;
    const dial: Dial = (ends) => {
      socket = kernel.dial(ends);
      port = ends.localPort;
      return socket;
    };
    connector.dial({ host: "127.0.0.1", port: 9 }, dial, (error) => {
      if (error !== null) refused.here++;
    });
    socket?.emit("connect");
    now += LIFETIME_MS;
    socket?.destroy();
    if (socket !== undefined) kernel.close(port);
    await setImmediate();
  }
  return { refused, conflicts: connector.metrics().conflicts };
}

test.each([
  ["9.5 connections a second from 600 ports", 1000 / 9.5, 1900, 600],
  ["nearly as many as 600 ports allow", MINUTE_MS / 592, 1900, 600],
  ["as many as 64 ports allow", MINUTE_MS / 62, 320, 64],
])("what the kernel would not refuse is not refused: %s", async (_, every, count, ports) => {
  const { refused } = await load(every, count, ports);
  expect(refused).toEqual({ here: 0, there: 0 });
});

test("at a rate at which the kernel refuses some, some are refused", async () => {
  const { refused } = await load(MINUTE_MS / 80, 320, 64);
  expect(refused.there).toBeGreaterThan(0);
  expect(refused.here).toBeGreaterThan(0);
});

test("a port whose tuple the kernel does not keep is free when only cooling ports are left", async () => {
  const options = {
    portRange: { first: 23_300, last: 23_300 },
    sources: freshSources(1),
    cooldown: MINUTE_MS,
    whenCooling: "refuse",
    skipUsed: true,
  } as const;
  const connector = connectorWith(options);
  const { to, sockets } = await serve();
  const socket = await connector.connect(to);
  // What it has not read makes the system reset the connection: no TIME_WAIT, which cannot be seen
  // from here.
  socket.pause();
  await until(() => sockets.size === 1, "the server's end");
  const [theirs] = [...sockets] as [Socket];
  await new Promise((done) => theirs.write("unread", done));
  const closed = new Promise((done) => theirs.once("close", done));
  socket.destroy();
  await closed;
  await until(() => connector.metrics().cooling === 1, "its cooldown");
  const second = await connector.connect(to);
  expect(connector.metrics()).toMatchObject({ held: 1, conflicts: 0, refused: 0 });
  // This one the kernel keeps.
  const ended = once(second, "close");
  second.resume().end();
  await ended;
  expect(await errorOf(connector.connect(to))).toMatchObject({ exhausted: "cooling" });
});
