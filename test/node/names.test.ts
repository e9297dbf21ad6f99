// Host names: several addresses, tried in turn with a delay, each attempt from a port of its own.

import { connect, type Socket, Socket as UnconnectedSocket } from "node:net";
import { expect, test } from "vitest";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import type { ConnectorOptions, Lookup, LookupAddress } from "../../bindings/node/index.ts";
import {
  connectorWith,
  dialled,
  errorOf,
  expectAllBack,
  freshSources,
  RANGE,
  reset,
  serve,
  until,
} from "../support/connectors.ts";

const NAME = "service.test";

/** Answers these addresses, and notes what it is asked. */
function lookupOf(addresses: string[], asked: unknown[] = []): Lookup {
  return (hostname, options, callback) => {
    asked.push([hostname, options]);
    setImmediate(() => callback(null, addresses.map(addressOf)));
  };
}

function addressOf(address: string): LookupAddress {
  return { address, family: address.includes(":") ? 6 : 4 };
}

/** Sockets to these addresses never connect, as where no host answers. */
function hanging(addresses: string[], dialled: string[]): Dial {
  return (ends) => {
    dialled.push(ends.host);
    return addresses.includes(ends.host) ? new UnconnectedSocket() : connect(ends);
  };
}

test("a host name is resolved, with Node's own resolver, too", async () => {
  const connector = connectorWith();
  const { port } = await serve();
  const socket = await connector.connect({ host: "localhost", port, family: 4 });
  expect(socket.remoteAddress).toBe("127.0.0.1");
  await reset(socket);
  await expectAllBack(connector, { host: "localhost", port });
});

test("the resolver is asked for all addresses, of a family if the caller wants one", async () => {
  const asked: unknown[] = [];
  const connector = connectorWith({ lookup: lookupOf(["127.0.0.1"], asked) });
  const { port, to } = await serve();
  await reset(await connector.connect({ host: NAME, port }));
  await reset(await connector.connect({ host: NAME, port, family: 4 }));
  await reset(await connector.connect(to));
  expect(asked).toEqual([
    [NAME, { all: true }],
    [NAME, { all: true, family: 4 }],
  ]);
});

test("the next address has its turn as soon as one refuses", async () => {
  const connector = connectorWith({
    lookup: lookupOf(["127.0.0.11", "127.0.0.12", "127.0.0.1"]),
    attemptDelay: 10_000,
  });
  const { port, to } = await serve();
  const began = performance.now();
  const socket = await connector.connect({ host: NAME, port });
  expect(performance.now() - began).toBeLessThan(5000);
  // From the second attempt on by net.BoundSocket, where Node has it.
  expect(socket).toMatchObject({ remoteAddress: "127.0.0.1", localAddress: connector.sources[0] });
  expect(socket.localPort).toBeGreaterThanOrEqual(RANGE.first);
  expect(socket.localPort).toBeLessThanOrEqual(RANGE.last);
  expect(connector.metrics()).toMatchObject({ picks: 3, failed: 2, connected: 1, held: 1 });
  await reset(socket);
  await expectAllBack(connector, to);
});

test.each([
  ["timeout", "ERR_INVALID_ARG_TYPE", { timeout: "1000" }],
  ["keepAliveInitialDelay", "ERR_INVALID_ARG_TYPE", { keepAliveInitialDelay: "1000" }],
])(
  "an option that Node refuses fails each address, and leaves no file: %s",
  async (_, code, options) => {
    const connector = connectorWith({
      lookup: lookupOf(["127.0.0.11", "127.0.0.12", "127.0.0.1"]),
    });
    const { port } = await serve();
    const to = { host: NAME, port, ...(options as object) };
    const { errors } = (await errorOf(connector.connect(to))) as unknown as AggregateError;
    expect(errors).toMatchObject([{ code }, { code }, { code }]);
    expect(connector.metrics()).toMatchObject({ picks: 3, failed: 3, held: 0 });
    // Would not do if one of them were still bound.
    await expectAllBack(connector, { host: "127.0.0.1", port });
    expect(connector.metrics().conflicts).toBe(0);
  },
);

test("an address that does not answer has a start of attemptDelay, and loses; its port comes back", async () => {
  const connector = connectorWith({
    lookup: lookupOf(["127.0.0.11", "127.0.0.12", "127.0.0.1", "127.0.0.13"]),
    attemptDelay: 40,
  });
  const { port } = await serve();
  const order: string[] = [];
  const began = performance.now();
  const socket = await dialled(
    connector,
    { host: NAME, port },
    hanging(["127.0.0.11", "127.0.0.12"], order),
  );
  expect(performance.now() - began).toBeGreaterThan(75);
  expect(order).toEqual(["127.0.0.11", "127.0.0.12", "127.0.0.1"]);
  expect(socket.remoteAddress).toBe("127.0.0.1");
  await until(() => connector.metrics().held === 1, "the losers' ports");
  expect(connector.metrics()).toMatchObject({ picks: 3, released: 2, failed: 2, connected: 1 });
  await reset(socket);
  await expectAllBack(connector, { host: "127.0.0.1", port });
});

test("attempts under way hold a port each", async () => {
  const connector = connectorWith({
    lookup: lookupOf(["127.0.0.11", "127.0.0.12", "127.0.0.13"]),
    attemptDelay: 10,
  });
  const abortion = new AbortController();
  const ports: number[] = [];
  const failed = new Promise<Error | null>((done) => {
    const dial: Dial = ({ localPort }) => {
      ports.push(localPort);
      return new UnconnectedSocket();
    };
    connector.dial({ host: NAME, port: 9, signal: abortion.signal }, dial, done);
  });
  await until(() => connector.metrics().held === 3, "three attempts");
  const held = Object.values(connector.metrics().byDestination).map(({ held }) => held);
  expect(held).toEqual([1, 1, 1]);
  abortion.abort(new Error("enough"));
  expect((await failed)?.message).toBe("enough");
  await until(() => connector.metrics().held === 0, "three ports");
  expect(connector.metrics()).toMatchObject({ picks: 3, released: 3, failed: 3 });
});

test("of two attempts that connect at about the same time, one is kept", async () => {
  const connector = connectorWith({
    lookup: lookupOf(["127.0.0.1", "127.0.0.2"]),
    attemptDelay: 10,
  });
  const [one, two] = [await serve(), await serve({ host: "127.0.0.2" })];
  const sockets: Socket[] = [];
  // Both are held back until the second one is there, and then connect at once.
  const dial: Dial = (ends) => {
    const socket = new UnconnectedSocket();
    sockets.push(socket);
    if (sockets.length === 2) {
      const [first, second] = sockets as [Socket, Socket];
      const { localAddress } = ends;
      first.connect({ host: "127.0.0.1", port: one.port, localAddress });
      second.connect({ host: "127.0.0.2", port: two.port, localAddress });
    }
    return socket;
  };
  const kept = await dialled(connector, { host: NAME, port: one.port }, dial);
  await until(() => connector.metrics().held === 1, "the loser's port");
  expect(sockets).toContain(kept);
  expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(1);
  await reset(kept);
  expect(connector.metrics()).toMatchObject({ held: 0, connected: 1, failed: 1, released: 2 });
});

test("IPv6 and IPv4 take turns, the resolver's first one leading; without a source they are left out", async () => {
  const order: string[] = [];
  const addresses = ["::1", "::2", "127.0.0.11", "127.0.0.12", "127.0.0.13"];
  const both = connectorWith({
    sources: [...freshSources(1), "::1"],
    lookup: lookupOf(addresses),
    attemptDelay: 10,
    connectTimeout: 1000,
  });
  await errorOf(dialled(both, { host: NAME, port: 9 }, hanging(addresses, order)));
  expect(order).toEqual(["::1", "127.0.0.11", "::2", "127.0.0.12", "127.0.0.13"]);
  order.length = 0;
  const four = connectorWith({
    lookup: lookupOf(addresses),
    attemptDelay: 10,
    connectTimeout: 1000,
  });
  await errorOf(dialled(four, { host: NAME, port: 9 }, hanging(addresses, order)));
  expect(order).toEqual(["127.0.0.11", "127.0.0.12", "127.0.0.13"]);
  for (const connector of [both, four]) {
    await until(() => connector.metrics().held === 0, "all ports");
  }
});

test("where every address fails, the error lists why, and has a code", async () => {
  const connector = connectorWith({ lookup: lookupOf(["127.0.0.11", "127.0.0.12"]) });
  const { port, close } = await serve();
  await close();
  const error = (await errorOf(connector.connect({ host: NAME, port }))) as Error as AggregateError;
  expect(error).toBeInstanceOf(AggregateError);
  expect(error).toMatchObject({ code: "ECONNREFUSED" });
  expect(error.errors.map(({ address }: { address: string }) => address)).toEqual([
    "127.0.0.11",
    "127.0.0.12",
  ]);
  expect(connector.metrics()).toMatchObject({ held: 0, picks: 2, failed: 2, released: 2 });
});

test("where the only address fails, the error is the system's own", async () => {
  const connector = connectorWith({ lookup: lookupOf(["127.0.0.11"]) });
  const error = await errorOf(connector.connect({ host: NAME, port: 9 }));
  expect(error).toMatchObject({ code: "ECONNREFUSED", syscall: "connect", address: "127.0.0.11" });
});

test("connectTimeout limits a connection to a name, over resolving and all addresses", async () => {
  const addresses = ["127.0.0.11", "127.0.0.12"];
  const connector = connectorWith({
    lookup: lookupOf(addresses),
    attemptDelay: 10,
    connectTimeout: 80,
  });
  const error = await errorOf(dialled(connector, { host: NAME, port: 9 }, hanging(addresses, [])));
  expect(error).toMatchObject({ code: "ETIMEDOUT", syscall: "connect" });
  expect(error.message).toBe(`connect ETIMEDOUT ${NAME}:9: not connected within 80 ms`);
  await until(() => connector.metrics().held === 0, "both ports");
  const mute = connectorWith({ lookup: () => {}, connectTimeout: 30 });
  expect(await errorOf(mute.connect({ host: NAME, port: 9 }))).toMatchObject({ code: "ETIMEDOUT" });
  expect(mute.metrics()).toMatchObject({ held: 0, picks: 0 });
});

test("what a resolver does wrong is the connection's error, and no other connection's", async () => {
  const failure = Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
  type Loose = (name: string, options: object, callback: (...found: unknown[]) => void) => void;
  const lookups: [Loose, object][] = [
    [(_name, _options, callback) => callback(failure, []), { code: "ENOTFOUND" }],
    [
      (_name, _options, callback) => setImmediate(callback, null, []),
      { code: "ENOTFOUND", hostname: NAME },
    ],
    [
      (_name, _options, callback) => setImmediate(callback, null, [addressOf("not an address")]),
      { code: "ERR_INVALID_RETURN_VALUE" },
    ],
    // As a resolver does that knows nothing of the option `all`.
    [
      (_name, _options, callback) => setImmediate(() => callback(null, "127.0.0.1", 4)),
      { code: "ERR_INVALID_RETURN_VALUE" },
    ],
    [
      () => {
        throw failure;
      },
      { code: "ENOTFOUND" },
    ],
    [
      (_name, _options, callback) => {
        setImmediate(callback, failure, []);
        setImmediate(callback, null, [addressOf("127.0.0.1")]);
      },
      { code: "ENOTFOUND" },
    ],
  ];
  for (const [lookup, expected] of lookups) {
    const connector = connectorWith({ lookup: lookup as Lookup });
    expect(await errorOf(connector.connect({ host: NAME, port: 9 }))).toMatchObject(expected);
    await new Promise((done) => setTimeout(done, 5));
    expect(connector.metrics()).toMatchObject({ held: 0, picks: 0 });
  }
});

test("an abort, or close(), ends a connection whose name is being resolved", async () => {
  const connector = connectorWith({ lookup: () => {} });
  const abortion = new AbortController();
  const aborted = connector.connect({ host: NAME, port: 9, signal: abortion.signal });
  abortion.abort(new Error("enough"));
  expect((await errorOf(aborted)).message).toBe("enough");
  const closed = connector.connect({ host: NAME, port: 9 });
  connector.close();
  expect(await errorOf(closed)).toMatchObject({ code: "EBADF" });
});

test("addresses of another kind than was asked for are left out, though the resolver answers them", async () => {
  const connector = connectorWith({
    sources: ["127.0.0.31", "::1"],
    lookup: lookupOf(["::1", "127.0.0.1"]),
  });
  const { port } = await serve();
  const socket = await connector.connect({ host: NAME, port, family: 4 });
  expect(socket.remoteAddress).toBe("127.0.0.1");
  await reset(socket);
  const one = connectorWith({ lookup: lookupOf(["127.0.0.1"]) });
  const error = await errorOf(one.connect({ host: NAME, port, family: 6 }));
  expect(error).toMatchObject({ code: "ENOTFOUND", hostname: NAME });
});

/** Thousands of addresses, all of them this machine's. */
const MANY = Array.from({ length: 4000 }, (_, index) => `127.1.${index >> 8}.${index & 255}`);

test.each<[string, Partial<ConnectorOptions>, string]>([
  ["no port is left", { portRange: { first: 23_400, last: 23_400 }, reserved: "23400" }, "connect"],
  ["no source can be bound", {}, "bind"],
])("4,000 addresses of a host get one short error: %s", async (_, options, syscall) => {
  const connector = connectorWith({ ...options, lookup: lookupOf(MANY) });
  const refuse: Dial = () => {
    throw Object.assign(new Error(`${syscall} EADDRNOTAVAIL`), { code: "EADDRNOTAVAIL", syscall });
  };
  const error = await errorOf(dialled(connector, { host: NAME, port: 9 }, refuse));
  expect((error as unknown as AggregateError).errors).toHaveLength(MANY.length);
  expect(error).toMatchObject({ code: "EADDRNOTAVAIL" });
  expect(error.message.length).toBeLessThan(2000);
  expect(error.message).toContain("and 3,997 more errors");
  expect(connector.metrics()).toMatchObject({ held: 0, refused: MANY.length });
});

test("4,000 addresses whose attempts fail at once are tried in a loop", async () => {
  const connector = connectorWith({ lookup: lookupOf(MANY) });
  const refuse: Dial = ({ host }) => {
    throw Object.assign(new Error(`connect ECONNREFUSED ${host}`), { code: "ECONNREFUSED" });
  };
  const error = await errorOf(dialled(connector, { host: NAME, port: 9 }, refuse));
  expect((error as unknown as AggregateError).errors).toHaveLength(MANY.length);
  expect(connector.metrics()).toMatchObject({ held: 0, failed: MANY.length, picks: MANY.length });
});
