// bindDatagram: UDP sockets on sources and ports that portwarden picks.

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { expect, test } from "vitest";
import { bindDatagram, ConnectorError, createConnector } from "../../../bindings/node/index.ts";
import { until } from "../../support/connectors.ts";
import { atEnd, connect, RANGE, SOURCES } from "./fixture.ts";

const EIGHT = { first: RANGE.first, last: RANGE.first + 7 };

function close(...sockets: Socket[]): void {
  for (const socket of sockets) socket.close();
}

/** Another program's UDP socket on a port of ours, until the end. */
async function bindAt(address: string, port: number): Promise<void> {
  const socket = createSocket("udp4");
  socket.bind(port, address);
  await once(socket, "listening");
  atEnd(() => {
    socket.close();
  });
}

test("sockets are bound to picked sources and ports, and their datagrams come from there", async () => {
  const server = createSocket("udp4");
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    server.close();
  });
  const connector = connect();
  const sockets = await Promise.all(
    Array.from({ length: 20 }, () => bindDatagram(connector, { type: "udp4" })),
  );
  const bound = sockets.map((socket) => socket.address());
  expect(new Set(bound.map(({ address }) => address))).toEqual(new Set(SOURCES));
  for (const { port } of bound) {
    expect(port).toBeGreaterThanOrEqual(RANGE.first);
    expect(port).toBeLessThanOrEqual(RANGE.last);
  }
  expect(new Set(bound.map(({ address, port }) => `${address}:${port}`)).size).toBe(20);
  const [first, own] = [sockets[0] as Socket, bound[0]];
  first.send("hello", server.address().port, "127.0.0.1");
  const [message, from] = await once(server, "message");
  expect(String(message)).toBe("hello");
  expect(from).toMatchObject({ address: own?.address, port: own?.port });
  server.send("answer", from.port, from.address);
  expect(String((await once(first, "message"))[0])).toBe("answer");
  expect(connector.metrics()).toMatchObject({ held: 20, connected: 20 });
  expect(connector.metrics().byDestination.udp4?.held).toBe(20);
  close(...sockets);
  await until(() => connector.metrics().held === 0);
  expect(connector.metrics()).toMatchObject({ held: 0, cooling: 0 });
});

test("a socket whose listeners have been removed gives its port back, however it is closed", async () => {
  const connector = connect();
  const controller = new AbortController();
  const own = await bindDatagram(connector, { type: "udp4" });
  const aborted = await bindDatagram(connector, { type: "udp4", signal: controller.signal });
  for (const socket of [own, aborted]) socket.removeAllListeners();
  expect(connector.metrics().held).toBe(2);
  own.close();
  controller.abort();
  await until(() => connector.metrics().held === 0);
  expect(() => own.close()).toThrow(
    expect.objectContaining({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" }),
  );
  expect(connector.metrics()).toMatchObject({ held: 0, released: 2 });
});

test("sockets get all ports of a range and no more, and closed ones give theirs back at once", async () => {
  const connector = connect({ sources: SOURCES[0], portRange: EIGHT, cooldown: "timestamps" });
  for (let round = 0; round < 3; round++) {
    const binds = Array.from({ length: 8 }, () => bindDatagram(connector, { type: "udp4" }));
    const sockets = await Promise.all(binds);
    expect(new Set(sockets.map((socket) => socket.address().port)).size).toBe(8);
    const error = await bindDatagram(connector, { type: "udp4" }).catch((reason) => reason);
    expect(error).toBeInstanceOf(ConnectorError);
    expect(error).toMatchObject({ exhausted: "source", syscall: "bind" });
    close(...sockets);
    await until(() => connector.metrics().held === 0);
  }
  expect(connector.metrics().cooledDown).toBe(0);
});

test("UDP and TCP have ports of their own", async () => {
  const portRange = { first: RANGE.first, last: RANGE.first };
  const connector = connect({ sources: SOURCES[0], portRange });
  const socket = await bindDatagram(connector, { type: "udp4" });
  const failed = connector.connect({ host: "127.0.0.1", port: 1 });
  await expect(failed).rejects.toMatchObject({ code: "ECONNREFUSED" });
  close(socket);
});

test.for([true, false])(
  "ports of another program are passed over, skipUsed: %s",
  async (skipUsed) => {
    for (let port = EIGHT.first; port < EIGHT.last; port++) await bindAt(SOURCES[0], port);
    // Longer than a busy machine takes: a port whose quarantine is over is tried again.
    const options = { sources: SOURCES[0], portRange: EIGHT, quarantine: 60_000 };
    const connector = connect({ ...options, skipUsed });
    const socket = await bindDatagram(connector, { type: "udp4" });
    expect(socket.address()).toMatchObject({ address: SOURCES[0], port: EIGHT.last });
    if (skipUsed && process.platform === "linux") expect(connector.metrics().conflicts).toBe(0);
    close(socket);
  },
);

test("a datagram socket fails after a bounded number of attempts where another program holds all ports", async () => {
  for (let port = EIGHT.first; port <= EIGHT.last; port++) await bindAt(SOURCES[0], port);
  const options = { sources: SOURCES[0], portRange: EIGHT, skipUsed: false, quarantine: 60_000 };
  const few = connect({ ...options, maxAttempts: 3 });
  const tried = await bindDatagram(few, { type: "udp4" }).catch((reason) => reason);
  expect(tried).toMatchObject({ exhausted: "attempts" });
  expect(few.metrics().conflicts).toBe(3);
  const many = connect(options);
  const exhausted = await bindDatagram(many, { type: "udp4" }).catch((reason) => reason);
  expect(exhausted).toMatchObject({ exhausted: "range" });
  expect(many.metrics()).toMatchObject({ conflicts: 8, quarantined: 8 });
});

test("a socket waits for a port if the connector does, until a signal ends that", async () => {
  const portRange = { first: RANGE.first, last: RANGE.first };
  const connector = connect({ sources: SOURCES[0], portRange, wait: true });
  const first = await bindDatagram(connector, { type: "udp4" });
  const controller = new AbortController();
  const second = bindDatagram(connector, { type: "udp4", signal: controller.signal });
  const third = bindDatagram(connector, { type: "udp4" });
  expect(connector.metrics().waiting).toBe(2);
  controller.abort(new Error("enough"));
  await expect(second).rejects.toThrow("enough");
  expect(connector.metrics().waiting).toBe(1);
  close(first);
  const socket = await third;
  expect(socket.address().port).toBe(RANGE.first);
  close(socket);
});

test("a signal closes a socket that is open", async () => {
  const connector = connect();
  const controller = new AbortController();
  const options = { type: "udp4", signal: controller.signal } as const;
  const socket = await bindDatagram(connector, options);
  const closed = once(socket, "close");
  controller.abort();
  await closed;
  await until(() => connector.metrics().held === 0);
  const other = await bindDatagram(connector, { type: "udp4" });
  close(other);
  await expect(bindDatagram(connector, options)).rejects.toMatchObject({ name: "AbortError" });
});

test("our own sockets in the kernel's list are not taken for another program's", async () => {
  const portRange = { first: RANGE.first, last: RANGE.first };
  const connector = connect({ sources: SOURCES[0], portRange, quarantine: 60_000 });
  const first = await bindDatagram(connector, { type: "udp4" });
  connector.refresh();
  close(first);
  await until(() => connector.metrics().held === 0);
  const second = await bindDatagram(connector, { type: "udp4" });
  expect(second.address().port).toBe(RANGE.first);
  close(second);
});

test("later errors are the caller's", async () => {
  const socket = await bindDatagram(connect(), { type: "udp4" });
  const errors: Error[] = [];
  socket.on("error", (error) => errors.push(error));
  socket.emit("error", new Error("later"));
  expect(errors.map(({ message }) => message)).toEqual(["later"]);
  expect(SOURCES).toContain(socket.address().address);
  close(socket);
});

test("datagram sockets take IPv6 sources, a chosen source, and sticky keys", async () => {
  const connector = connect({ sources: [...SOURCES, "::1"], spread: "sticky" });
  const six = await bindDatagram(connector, { type: "udp6" }).catch((error) => error);
  if (six instanceof Error) {
    console.warn(`not tried, IPv6: ${six.message}`);
  } else {
    expect(six.address()).toMatchObject({ address: "::1", family: "IPv6" });
    expect(connector.metrics().byDestination.udp6?.held).toBe(1);
    close(six);
  }
  const own = await bindDatagram(connector, { type: "udp4", localAddress: SOURCES[1] });
  expect(own.address().address).toBe(SOURCES[1]);
  const stuck = await Promise.all(
    Array.from({ length: 6 }, () => bindDatagram(connector, { type: "udp4", stickyKey: "a" })),
  );
  expect(new Set(stuck.map((socket) => socket.address().address)).size).toBe(1);
  close(own, ...stuck);
});

test("bad arguments are refused, and hold nothing", async () => {
  const connector = connect();
  const bad: [object, string][] = [
    [{}, "ERR_INVALID_ARG_VALUE"],
    [{ type: "tcp" }, "ERR_INVALID_ARG_VALUE"],
    [{ type: "udp4", localAddress: "127.0.0.99" }, "ERR_INVALID_ARG_VALUE"],
    [{ type: "udp6", localAddress: SOURCES[0] }, "ERR_INVALID_ARG_VALUE"],
    [{ type: "udp4", signal: {} }, "ERR_INVALID_ARG_TYPE"],
    [{ type: "udp4", stickyKey: 1 }, "ERR_INVALID_ARG_TYPE"],
    [{ type: "udp4", recvBufferSize: "much" }, "ERR_INVALID_ARG_TYPE"],
  ];
  for (const [options, code] of bad) {
    const refused = bindDatagram(connector, options as { type: "udp4" });
    await expect(refused, JSON.stringify(options)).rejects.toMatchObject({ code });
  }
  await expect(bindDatagram(connector, { type: "udp6" })).rejects.toMatchObject({
    exhausted: "sources",
  });
  expect(connector.metrics().held).toBe(0);
  const closed = createConnector({ sources: SOURCES });
  closed.close();
  await expect(bindDatagram(closed, { type: "udp4" })).rejects.toMatchObject({ code: "EBADF" });
});
