// Hostile arguments: values that no caller should pass, by table, and the methods of the public API
// that get them.

import { PortGroups, PortManager, ReservedPorts } from "../../../bindings/index.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import type { Random } from "../random.ts";

/** What a getter of a hostile object throws; it must come out as it is. */
export const THROWN_BY_GETTER: Error = new Error("thrown by a getter of the caller's");

const LONG = 100_000;

/** Made for each call, since what gets one may keep or change it. */
const VALUES: readonly (() => unknown)[] = [
  ...[undefined, null, true, false, 0, -0, 1, -1, 1.5, 65535, 65536, 2 ** 32, 2 ** 53].map(always),
  ...[Number.NaN, Number.POSITIVE_INFINITY, 1e308, 10n, -1n, Symbol("port")].map(always),
  ...["", "80", "0x50", "::1%eth0", "1.2.3", "\0", "\ud800", "/", "/../a", "constructor"].map(
    always,
  ),
  ...["__proto__", "tcp", "1-5,", "65536"].map(always),
  () => "x".repeat(LONG),
  () => [],
  () => [4, 6, 4],
  () => [[[]]],
  () => new Array(LONG),
  () => ({}),
  () => Object.create(null),
  () => ({ networks: "4", port: "80" }),
  () => ({ networks: [4], transport: 17, port: 2000.5 }),
  () => ({ networks: [4], transport: 6, address: "not an address" }),
  () => ({ networks: [4], transport: 6, flags: 7 }),
  () => ({ networks: [4], transport: 17, group: {}, reserved: {} }),
  () => ({ first: 5, last: 1 }),
  () => ({ memoryLimit: -1 }),
  () => ({ portRange: [1, 2] }),
  () => ({ selection: { algorithm: "luck" } }),
  () => ({ cooldown: { period: -1 } }),
  () => ({
    get port(): number {
      throw THROWN_BY_GETTER;
    },
  }),
  () => ({
    get networks(): never {
      throw THROWN_BY_GETTER;
    },
  }),
  () => ({
    toString(): never {
      throw THROWN_BY_GETTER;
    },
  }),
  () => ({
    [Symbol.toPrimitive]: () => {
      throw THROWN_BY_GETTER;
    },
  }),
  () =>
    Object.defineProperty({}, Symbol.toStringTag, {
      get: () => {
        throw THROWN_BY_GETTER;
      },
    }),
  revoked,
  () =>
    new Proxy(
      {},
      {
        get: () => {
          throw THROWN_BY_GETTER;
        },
      },
    ),
  () => new Date(0),
  () => /x/,
  () => new Map(),
  () => new Uint8Array(3),
  () => new Uint16Array(0),
  () => new Uint16Array(new SharedArrayBuffer(8)),
  () => new Float64Array(2),
  detached,
  () => Promise.resolve(1),
  () => () => true,
  () => () => "yes",
  () => () => {
    throw THROWN_BY_GETTER;
  },
];

/**
 * The methods of each kind of object that are called with hostile arguments; a name alone is a
 * setter.
 */
export const METHODS: Readonly<Record<string, readonly string[]>> = {
  PortManager: [
    ...["reservePort", "reserveTuple", "releasePort", "isAvailable", "pool"],
    ...["pickEphemeralPort", "pickEphemeralPortStable", "setPortRange", "portRange", "stats"],
  ],
  PortPool: [
    ...["take", "takeAt", "takeMany", "free", "freeMany", "has", "coolDown", "expire", "=group"],
  ],
  Reservation: ["release", "=group"],
  PortGroups: ["create", "get", "read", "write", "list"],
  PortGroup: ["remove", "=bindPortRange", "=connectPortRange"],
  ReservedPorts: ["has", "=text"],
  Linux2632Ports: [
    ...["socket", "setPortRange", "setTime", "expireTimeWait", "bindBucket", "stats"],
    ...["=unprivilegedPortStart", "=tcpTwReuse"],
  ],
  Linux2632Socket: ["bind", "connect", "listen", "close", "=reuseAddr", "=group"],
  statics: ["PortManager.open", "PortGroups.open", "Linux2632Ports.open", "ReservedPorts"],
};

export const STATICS: Readonly<Record<string, (...args: never[]) => unknown>> = {
  "PortManager.open": PortManager.open,
  "PortGroups.open": PortGroups.open,
  "Linux2632Ports.open": Linux2632Ports.open,
  ReservedPorts: (...args: never[]) => new ReservedPorts(...(args as unknown as [string])),
};

export function hostile(random: Random): unknown {
  return random.pick(VALUES)();
}

function always(value: unknown): () => unknown {
  return () => value;
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** An array whose memory has been given away. */
function detached(): Uint16Array {
  const array = new Uint16Array(4);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}
