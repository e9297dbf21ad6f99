// Values of another realm (a vm context, as test runners make them) and of another copy of the
// package.

import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { PortGroups, PortManager, ReservedPorts, TCP } from "../../bindings/index.ts";
import { caught } from "../invalid-input/fixture.ts";
import { BUILDS, freshModule, openOn } from "../support/builds.ts";

const WEB = { networks: [4], transport: TCP };
/** The name by which every copy of the package marks its objects. */
const KIND = Symbol.for("portwarden.kind");

/** A value that another realm makes. */
function foreign<T>(code: string, values: object = {}): T {
  return runInNewContext(code, { ...values });
}

/** An object as another copy of the package would make it. */
function ofAnotherCopy(kind: string): never {
  return Object.create({ [KIND]: kind }) as never;
}

describe.each(BUILDS)("on the %s build", (build) => {
  test("a pool fills and reads typed arrays of another realm", () => {
    using manager = openOn(build, { portRange: { first: 1000, last: 1009 } });
    const pool = manager.pool(WEB);
    const ports = foreign<Uint16Array>("new Uint16Array(3)");
    expect(pool.takeMany(ports, foreign("Uint32Array.of(4, 5, 6)"))).toBe(3);
    expect([...ports]).toEqual([1004, 1005, 1006]);
    expect(pool.freeMany(ports)).toBe(3);
    expect(caught(() => pool.takeMany(foreign("new Int16Array(3)")))).toMatchObject({
      code: "ERR_INVALID_ARG_TYPE",
    });
  });

  test("a request of another realm reserves the same port as one of this realm", () => {
    using manager = openOn(build);
    const request = foreign<never>(
      "({ networks: [4], transport: 6, address: '10.0.0.1', port: 80 })",
    );
    expect(manager.reservePort(request)).toMatchObject({ port: 80, address: "10.0.0.1" });
    expect(manager.isAvailable(request)).toBe(false);
  });

  test("a module of another realm is a module", () => {
    const bytes = foreign<WebAssembly.Module>("module", { module: freshModule(build) });
    using manager = PortManager.open({ module: bytes });
    expect(manager.reservePort({ ...WEB, port: 80 }).port).toBe(80);
  });
});

test("what only looks like a module is refused", () => {
  const modules = [{}, Object.create(WebAssembly.Module.prototype), new ArrayBuffer(8), "wasm"];
  for (const module of modules) {
    expect(caught(() => PortManager.open({ module: module as never }))).toMatchObject({
      code: "ERR_INVALID_ARG_TYPE",
    });
  }
});

test("a secret of another realm serves as one of this realm", () => {
  const secret = foreign<Uint8Array>("new Uint8Array(32).fill(7)");
  const [other, own] = [secret, new Uint8Array(32).fill(7)].map((bytes) => {
    using manager = PortManager.open({
      selection: { algorithm: "hash", secret: bytes, from: 0 },
      seed: 1,
    });
    return manager.pool({ ...WEB, destination: { address: "9.9.9.9", port: 1 } }).take();
  });
  expect(other).toBe(own);
});

test("groups, lists and reservations of another copy are refused, and the message says so", () => {
  using list = new ReservedPorts("80");
  using manager = PortManager.open();
  const refusals = {
    PortGroup: () => manager.reservePort({ ...WEB, group: ofAnotherCopy("PortGroup") }),
    ReservedPorts: () => manager.pool({ ...WEB, reserved: ofAnotherCopy("ReservedPorts") }),
  };
  for (const [kind, act] of Object.entries(refusals)) {
    expect(caught(act)).toMatchObject({
      code: "ERR_INVALID_ARG_TYPE",
      message: expect.stringContaining(`got a ${kind} of another copy of portwarden`),
    });
  }
  expect(caught(() => manager.releasePort(ofAnotherCopy("Reservation")))).toMatchObject({
    code: "ERR_INVALID_ARG_VALUE",
    message: expect.stringContaining("release() of its own"),
  });
  using groups = PortGroups.open();
  const wrong = { ...WEB, reserved: groups.root as never };
  expect(caught(() => manager.pool(wrong))).toMatchObject({
    message: expect.stringContaining("got a PortGroup"),
  });
  expect(manager.pool({ ...WEB, reserved: list }).take()).toBeGreaterThan(0);
});

test("a clone of an error keeps its message, which begins with the code, and its stack", () => {
  using manager = PortManager.open();
  const error = caught(() => manager.reservePort({ ...WEB, port: -1 })) as Error;
  const clone = structuredClone(error);
  expect(clone).toBeInstanceOf(Error);
  expect([clone.message, clone.stack]).toEqual([error.message, error.stack]);
  expect(clone.message).toMatch(/^ERR_SOCKET_BAD_PORT: /);
  expect("code" in clone).toBe(false);
});

test("a revoked Proxy is refused as any other wrong value", () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  using manager = PortManager.open();
  expect(caught(() => manager.reservePort({ ...WEB, port: proxy as never }))).toMatchObject({
    code: "ERR_INVALID_ARG_TYPE",
    message: expect.stringContaining("got an object"),
  });
});
