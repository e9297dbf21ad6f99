// Bad input that a connector refuses, with a code and advice, before anything has changed.

import { EventEmitter, once } from "node:events";
import { connect, Socket } from "node:net";
import { expect, test, vi } from "vitest";
import { createConnector } from "../../bindings/node/index.ts";
import { connectorWith, expectAllBack, reset, serve } from "../support/connectors.ts";
import { throwing } from "./fixture.ts";

const TYPE = "ERR_INVALID_ARG_TYPE";
const VALUE = "ERR_INVALID_ARG_VALUE";
const RANGE = "ERR_OUT_OF_RANGE";
const ADDRESS = "ERR_INVALID_IP_ADDRESS";
const PORT = "ERR_SOCKET_BAD_PORT";

type Mistake = [options: unknown, code: string, words: RegExp];

/** A group by its kind, as another copy of the package makes them. */
const OTHERS_GROUP = { [Symbol.for("portwarden.kind")]: "PortGroup" } as unknown;
const S = { sources: "127.0.0.1" };

const OPTIONS: Mistake[] = [
  [undefined, TYPE, /options/],
  [null, TYPE, /options/],
  ["127.0.0.1", TYPE, /options/],
  [{}, TYPE, /sources must be an address, a range .*, a block .* or the name of an interface/],
  [{ sources: 5 }, TYPE, /sources/],
  [{ sources: [5] }, TYPE, /sources/],
  [{ sources: [] }, VALUE, /at least one local address/],
  [{ sources: "" }, VALUE, /sources/],
  [{ sources: "127.0.0.1," }, VALUE, /sources/],
  [{ sources: "localhost" }, ADDRESS, /"localhost"/],
  [{ sources: "127.0.0.256" }, ADDRESS, /127\.0\.0\.256/],
  [{ sources: "0.0.0.0-0.0.0.9" }, VALUE, /without the wildcard/],
  [{ sources: "192.168.1.100-102" }, ADDRESS, /a range "10\.0\.0\.1-10\.0\.0\.9".*"102"/],
  [{ sources: "eth" }, ADDRESS, /the name of an interface, got "eth"/],
  [{ sources: "fd00::1%lo" }, VALUE, /zone only if link-local/],
  [{ sources: "fe80::1%" }, VALUE, /zone/],
  [{ sources: "fe80::1%lo-fe80::2%lo" }, VALUE, /zone/],
  [{ sources: "127.0.0.9-127.0.0.1" }, VALUE, /first address is not above its last/],
  [{ sources: "127.0.0.1-::1" }, VALUE, /within IPv4 or within IPv6/],
  [{ sources: "127.0.0.1-127.0.0.2-127.0.0.3" }, VALUE, /sources/],
  [{ sources: "127.0.0.0/33" }, VALUE, /0\.\.32/],
  [{ sources: "127.0.0.0/x" }, VALUE, /0\.\.32/],
  [{ sources: "127.0.0.0/24/24" }, VALUE, /0\.\.32/],
  [{ sources: "::/129" }, VALUE, /0\.\.128/],
  [{ sources: "127.0.0.0/8" }, RANGE, /65536/],
  [{ sources: "fd00::/63" }, RANGE, /64/],
  [{ ...S, source: "127.0.0.1" }, VALUE, /known are .*sources/],
  [{ ...S, portRange: 5 }, TYPE, /portRange/],
  [{ ...S, portRange: { first: 1 } }, TYPE, /last/],
  [{ ...S, portRange: { first: 5, last: 1 } }, "EINVAL", /portRange|first/],
  [
    { ...S, portRange: { first: 1, last: 65_536 } },
    "EINVAL|ERR_OUT_OF_RANGE|ERR_SOCKET_BAD_PORT",
    /65535/,
  ],
  [{ ...S, portRange: "inside" }, TYPE, /portRange must be an object, .* or "outside"/],
  [{ ...S, headroom: "256" }, TYPE, /headroom/],
  [{ ...S, headroom: -1 }, RANGE, /headroom must be an integer in 0\.\.\d+/],
  [{ ...S, headroom: 65_535 }, RANGE, /headroom/],
  [{ ...S, reserved: 8080 }, TYPE, /reserved/],
  [{ ...S, reserved: "9-8" }, "EINVAL", /./],
  [{ ...S, reserved: "a" }, "EINVAL", /./],
  [{ ...S, group: "web" }, TYPE, /group/],
  [{ ...S, group: {} }, TYPE, /group/],
  [{ ...S, group: OTHERS_GROUP }, TYPE, /got a PortGroup of another copy of portwarden/],
  [{ ...S, spread: "even" }, VALUE, /"round-robin", "least-used", "sticky"/],
  [{ ...S, spread: 1 }, TYPE, /spread/],
  [{ ...S, selection: "linear" }, VALUE, /"random", "sequential", "fifo"/],
  [{ ...S, cooldown: "long" }, VALUE, /"none", "timestamps" or milliseconds/],
  [{ ...S, cooldown: -1 }, RANGE, /0\.\.86400000/],
  [{ ...S, cooldown: 1.5 }, RANGE, /cooldown/],
  [{ ...S, cooldown: true }, TYPE, /cooldown/],
  [{ ...S, whenCooling: "panic" }, VALUE, /"refuse", "wait", "oldest"/],
  [{ ...S, wait: 5 }, TYPE, /wait/],
  [{ ...S, wait: null }, TYPE, /wait/],
  [{ ...S, wait: { timeout: -1 } }, RANGE, /wait\.timeout/],
  [{ ...S, wait: { timeout: "1" } }, TYPE, /wait\.timeout/],
  [{ ...S, wait: { limit: 0 } }, RANGE, /wait\.limit/],
  [{ ...S, wait: { limits: 5 } }, VALUE, /known are .*limit/],
  [{ ...S, quarantine: 0 }, RANGE, /quarantine .*1\.\.86400000/],
  [{ ...S, quarantine: "1" }, TYPE, /quarantine/],
  [{ ...S, maxAttempts: 0 }, RANGE, /maxAttempts .*1\.\.65535/],
  [{ ...S, maxAttempts: NaN }, RANGE, /maxAttempts/],
  [{ ...S, connectTimeout: -1 }, RANGE, /connectTimeout/],
  [{ ...S, connectTimeout: Infinity }, RANGE, /connectTimeout/],
  [{ ...S, attemptDelay: 9 }, RANGE, /attemptDelay .*10\.\.86400000/],
  [{ ...S, lookup: "dns" }, TYPE, /lookup/],
  [{ ...S, seed: -1 }, RANGE, /seed/],
  [{ ...S, seed: "1" }, TYPE, /seed/],
  [{ ...S, memoryLimit: 5 }, RANGE, /memoryLimit/],
  [{ ...S, memoryLimit: "1" }, TYPE, /memoryLimit/],
  [{ ...S, skipUsed: 1 }, TYPE, /skipUsed/],
];

test.each(OPTIONS)("createConnector refuses %j with %s", (options, code, words) => {
  expect(() => createConnector(options as never)).toThrow(refusal(code, words));
});

const H = { host: "127.0.0.1", port: 9 };

const REQUESTS: Mistake[] = [
  [undefined, TYPE, /options/],
  [8080, TYPE, /options/],
  [{}, TYPE, /port must be an integer in 1\.\.65535/],
  [{ ...H, port: 0 }, PORT, /port/],
  [{ ...H, port: 65_536 }, PORT, /port/],
  [{ ...H, port: 80.5 }, PORT, /port/],
  [{ ...H, port: "http" }, TYPE, /port/],
  [{ ...H, port: 80, localPort: 40_000 }, VALUE, /localPort must be left to the connector/],
  [{ ...H, port: 80, hints: 32 }, VALUE, /hints must be left out/],
  [{ ...H, port: 80, fd: 3 }, VALUE, /fd must be left out/],
  [{ ...H, port: 80, autoSelectFamily: false }, VALUE, /autoSelectFamily must be true or left out/],
  [{ ...H, port: 80, lookup: "dns" }, TYPE, /lookup/],
  [{ ...H, host: 5 }, TYPE, /host/],
  [{ ...H, host: null }, TYPE, /host/],
  [{ ...H, family: 5 }, VALUE, /0, 4 or 6/],
  [{ ...H, family: "4" }, VALUE, /0, 4 or 6/],
  [{ ...H, key: 5 }, TYPE, /key/],
  [{ ...H, host: "service.test", key: 5 }, TYPE, /key/],
  [{ ...H, localAddress: "127.0.0.77" }, VALUE, /one of the connector's sources/],
  [{ ...H, localAddress: "nowhere" }, ADDRESS, /localAddress/],
  [{ ...H, localAddress: true }, TYPE, /localAddress/],
  [{ ...H, signal: {} }, TYPE, /signal/],
  [{ ...H, signal: null }, TYPE, /signal/],
  [{ ...H, connectTimeout: -1 }, RANGE, /connectTimeout/],
  [{ ...H, connectTimeout: "5" }, TYPE, /connectTimeout/],
  [{ ...H, tls: "yes" }, TYPE, /tls/],
  [{ ...H, tls: null }, TYPE, /tls/],
];

test.each(REQUESTS)("connect refuses %j with %s", async (options, code, words) => {
  const lookup = vi.fn();
  const connector = connectorWith({ spread: "sticky", lookup });
  await expect(connector.connect(options as never)).rejects.toEqual(refusal(code, words));
  expect(() => connector.open(options as never, () => {})).toThrow(refusal(code, words));
  expectUntouched(connector);
  expect(lookup).not.toHaveBeenCalled();
});

test("a callback and a dial must be functions", () => {
  const connector = connectorWith();
  const dial = vi.fn();
  expect(() => connector.open(H, undefined as never)).toThrow(refusal(TYPE, /callback/));
  expect(() => connector.dial(H, dial, 5 as never)).toThrow(refusal(TYPE, /callback/));
  expect(() => connector.dial(H, undefined as never, () => {})).toThrow(refusal(TYPE, /dial/));
  expect(() => connector.dial(undefined as never, dial, () => {})).toThrow(
    refusal(TYPE, /options/),
  );
  expect(dial).not.toHaveBeenCalled();
  expectUntouched(connector);
});

const NO_SOCKET = refusal("ERR_INVALID_RETURN_VALUE", /dial must make a socket/);
const FAILED = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
const THROWN = [undefined, null, "words", Symbol("a symbol"), Object.create(null)];

const DIALS: [what: string, dial: () => unknown, error: unknown][] = [
  ["makes nothing", () => undefined, NO_SOCKET],
  ["makes null", () => null, NO_SOCKET],
  ["makes a promise", () => Promise.resolve(), NO_SOCKET],
  ["makes an emitter that cannot be destroyed", () => new EventEmitter(), NO_SOCKET],
  ["makes a socket that is about to say its error", () => new Socket().destroy(FAILED), FAILED],
  ...THROWN.map((thrown): [string, () => never, unknown] => [
    `throws a value of type ${thrown === null ? "null" : typeof thrown}`,
    throwing(thrown),
    thrown,
  ]),
];

test.each(DIALS)(
  "a dial that %s fails its connection, and keeps no port",
  async (_, dial, error) => {
    const connector = connectorWith();
    const opened = vi.fn();
    connector.dial(H, dial as never, opened);
    await expect.poll(() => opened.mock.calls).toEqual([[error, null]]);
    expect(connector.metrics()).toMatchObject({ held: 0, picks: 1, released: 1 });
  },
);

test("a dial that makes a socket that is open, closed, or dialled before fails its connection", async () => {
  const connector = connectorWith();
  const { to } = await serve();
  const open = await connector.connect(to);
  const other = connect(to);
  await once(other, "connect");
  for (const socket of [open, other]) {
    const opened = vi.fn();
    connector.dial(to, () => socket, opened);
    await expect
      .poll(() => opened.mock.calls)
      .toEqual([[refusal("ERR_INVALID_RETURN_VALUE", /dial must make/), null]]);
  }
  await reset(other);
  const opened = vi.fn();
  connector.dial(to, () => other, opened);
  await expect.poll(() => opened.mock.calls.length).toBe(1);
  expect(connector.metrics().held).toBe(1);
  await reset(open);
  await expectAllBack(connector, to);
});

const CAPACITIES: [given: unknown[], code: string, words: RegExp][] = [
  [[-1], RANGE, /destinations/],
  [[1.5], RANGE, /destinations/],
  [[2 ** 32], RANGE, /0\.\.4294967295/],
  [["1"], TYPE, /destinations/],
  [[1, 5], VALUE, /4 or 6/],
];

test.each(CAPACITIES)("capacity refuses %j with %s", (given, code, words) => {
  const connector = connectorWith();
  const capacity = connector.capacity.bind(connector) as (...given: unknown[]) => unknown;
  expect(() => capacity(...given)).toThrow(refusal(code, words));
});

function refusal(code: string, words: RegExp): unknown {
  return expect.objectContaining({
    name: "PortError",
    code: expect.stringMatching(new RegExp(`^(?:${code})$`)),
    message: expect.stringMatching(words),
  });
}

function expectUntouched(connector: ReturnType<typeof connectorWith>): void {
  expect(connector.metrics()).toMatchObject({
    held: 0,
    picks: 0,
    waiting: 0,
    refused: 0,
    byDestination: {},
  });
}
