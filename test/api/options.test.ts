// One rule for all options: those of the object and of its class count, Object.prototype gives
// none.

import { afterEach, describe, expect, test } from "vitest";
import { PortGroups, PortManager, ReservedPorts, TCP } from "../../bindings/index.ts";
import { caught } from "../invalid-input/fixture.ts";

const WEB = { networks: [4], transport: TCP };
const POLLUTED = ["port", "offset", "seed", "group", "memoryLimit", "last", "tupleOnly", "evil"];

afterEach(() => {
  for (const name of POLLUTED) Reflect.deleteProperty(Object.prototype, name);
});

class Request {
  networks = [4];
  transport = TCP;
  get address(): string {
    return "10.0.0.1";
  }
}

class Connection extends Request {
  get destination(): object {
    return new Remote();
  }
}

class Remote {
  get address(): string {
    return "10.9.0.1";
  }
  get port(): number {
    return 443;
  }
  toString(): string {
    return "10.9.0.1:443";
  }
}

describe("a request", () => {
  test("may be an object of a class with accessors, also those of the class above", () => {
    using manager = PortManager.open();
    expect(manager.reservePort(new Connection() as never)).toMatchObject({
      address: "10.0.0.1",
      destination: { address: "10.9.0.1", port: 443 },
    });
    expect(manager.pool(new Connection() as never).take()).toBeGreaterThan(0);
  });

  test("may inherit from another object", () => {
    using manager = PortManager.open();
    const request = Object.create({ ...WEB, address: "10.0.0.1" });
    request.port = 80;
    expect(manager.reservePort(request)).toMatchObject({ port: 80, address: "10.0.0.1" });
    expect(manager.isAvailable(Object.assign(Object.create(null), WEB, { port: 80 }))).toBe(false);
  });

  test("is refused for an unknown name of its own, of its class, or of what it inherits from", () => {
    using manager = PortManager.open();
    const wrong = [{ ...WEB, prot: 80 }, Object.assign(new Request(), { prot: 80 })];
    wrong.push(Object.assign(Object.create({ prot: 80 }), WEB));
    for (const request of wrong) {
      expect(caught(() => manager.reservePort(request))).toMatchObject({
        code: "ERR_INVALID_ARG_VALUE",
        message: expect.stringContaining('no option "prot"'),
      });
    }
  });
});

test("options that open managers, groups and lists may come from a class", () => {
  class Options {
    get portRange(): object {
      return Object.create({ first: 1000, last: 1000 });
    }
    get inherit(): string {
      return "copy";
    }
  }
  using manager = PortManager.open(pick(new Options(), "portRange"));
  expect(manager.portRange()).toEqual({ first: 1000, last: 1000 });
  using groups = PortGroups.open(pick(new Options(), "inherit"));
  groups.root.bindPortRange = { first: 1, last: 9 };
  const child = groups.create("/a");
  groups.root.bindPortRange = undefined;
  expect(child.bindPortRange).toEqual({ first: 1, last: 9 });
});

test("a polluted Object.prototype changes nothing", () => {
  const prototype = Object.prototype as unknown as Record<string, unknown>;
  using manager = PortManager.open({ portRange: { first: 1000, last: 1000 } });
  for (const name of POLLUTED) prototype[name] = 7;
  expect(manager.reservePort(WEB).port).toBe(1000);
  expect(manager.reservePort({ ...WEB, destination: {}, flags: {}, port: 9 }).flags).toEqual({
    mostRecent: false,
    loadBalanced: false,
    tupleOnly: false,
  });
  expect(manager.pool(WEB).take()).toBeLessThan(0);
  const ports = [0, 0].map(() => {
    using other = PortManager.open({});
    return other.pool(WEB).take();
  });
  expect(ports.every((port) => port >= 16000)).toBe(true);
  expect(caught(() => manager.setPortRange(1, undefined as never))).toBeInstanceOf(Error);
  using groups = PortGroups.open({});
  expect(groups.create("/a", {}).bindPortRange).toBeUndefined();
  using list = new ReservedPorts("80", {});
  expect(list.size).toBe(1);
});

/** One accessor of an object, by way of a class of its own. */
function pick(from: object, name: string): object {
  return Object.create(
    Object.defineProperty({}, name, { get: () => Reflect.get(from, name), enumerable: false }),
  );
}
