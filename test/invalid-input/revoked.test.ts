// Revoked proxies: whatever is done with one throws a TypeError of the engine, so that each public
// call must look before it reads. The calls are found by walking what the package exports.

import { afterAll, expect, test } from "vitest";
import * as everywhere from "../../bindings/index.ts";
import * as inNode from "../../bindings/node/index.ts";

const { IPV4, TCP, LinuxPorts, PortError, PortGroups, PortManager, ReservedPorts } = everywhere;
const WEB = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };
const SOURCES = { sources: "127.0.0.1" };

const manager = PortManager.open();
const groups = PortGroups.open();
const linux = LinuxPorts.open();
const connector = inNode.createConnector(SOURCES);
const OBJECTS: Readonly<Record<string, object>> = {
  ...{ PortManager, PortGroups, LinuxPorts, manager, groups, linux, connector },
  ...{ pool: manager.pool(WEB), listener: manager.listener({ ...WEB, port: 80 }) },
  ...{ reservation: manager.reservePort(WEB), group: groups.create("/a") },
  ...{ reserved: new ReservedPorts(""), socket: linux.socket({ type: "tcp4" }) },
};
/** What stands before the proxy, by its place. */
const BEFORE = [WEB, { host: "127.0.0.1", port: 1 }] as const;
// Errors are made by the package.
const NO_CALLS = /^(constructor|prototype|length|name|close|destroy|PortError|ConnectorError)$/;

type Call = readonly [name: string, call: (...args: never[]) => unknown];

function callsOf(name: string, object: object): Call[] {
  const names = new Set<string>();
  let at: object | null = object;
  for (; at !== null && at !== Object.prototype && at !== Function.prototype; ) {
    for (const one of Object.getOwnPropertyNames(at)) names.add(one);
    at = Object.getPrototypeOf(at);
  }
  return [...names].flatMap((member): Call[] => {
    const value = NO_CALLS.test(member) ? undefined : Reflect.get(object, member);
    if (typeof value !== "function") return [];
    return [[`${name}.${member}`, value.bind(object) as Call[1]]];
  });
}

function exportsOf(module: object): Call[] {
  return Object.entries(module).flatMap(([name, value]): Call[] => {
    if (typeof value !== "function" || NO_CALLS.test(name)) return [];
    const isClass = /^class\b/.test(Function.prototype.toString.call(value));
    return [[name, (...args) => (isClass ? Reflect.construct(value, args) : value(...args))]];
  });
}

function revoked(): never {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy as never;
}

/** The calls that give an error of the engine. */
async function complaints(calls: readonly Call[]): Promise<string[]> {
  const found: string[] = [];
  for (const [name, call] of calls) {
    for (let place = 0; place < 2; place++) {
      try {
        await call(...([...BEFORE.slice(0, place), revoked()] as never[]));
      } catch (error) {
        if (error instanceof PortError || !(error instanceof TypeError)) continue;
        if (/revoked/.test(error.message)) found.push(`${name}: ${error.message}`);
      }
    }
  }
  return found;
}

afterAll(() => {
  connector.close();
  for (const one of [manager, groups, linux]) one.close();
});

test("no public call gives the engine's own error for a revoked Proxy", async () => {
  const calls = Object.entries(OBJECTS).flatMap(([name, object]) => callsOf(name, object));
  expect(calls.length).toBeGreaterThan(60);
  expect(await complaints([...calls, ...exportsOf(everywhere), ...exportsOf(inNode)])).toEqual([]);
});

test.each(["networks", "address", "destination", "flags", "group", "reserved", "selection"])(
  "no request gives the engine's own error for a revoked Proxy as its %s",
  async (field) => {
    const request = { ...WEB, [field]: revoked() } as never;
    const open: Call = ["pool", () => manager.pool(request)];
    expect(await complaints([open, ["reserve", () => manager.reservePort(request)]])).toEqual([]);
  },
);

test("a control: a call that reads a revoked Proxy is found", async () => {
  expect(await complaints([["reads", (value: object) => ({ ...value })]])).toHaveLength(1);
});
