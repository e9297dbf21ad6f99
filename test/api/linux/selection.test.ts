// Selection policies behind bind(), listen() and connect(): each gives the ports of RFC 6056's
// plain loops, never one that is outside the range, outside the group's, reserved or taken; and
// connect() by default those of Linux' keyed hash and hint.

import { describe, expect, test } from "vitest";
import { PortError } from "../../../bindings/index.ts";
import type { Linux2632Settings } from "../../../bindings/linux/rules/2.6.32/options.ts";
import type { Linux2632Socket } from "../../../bindings/linux/rules/2.6.32/socket.ts";
import { parseAddress } from "../../../bindings/requests/address.ts";
import type { SelectionOptions } from "../../../bindings/selection.ts";
import { Random } from "../../fuzz/random.ts";
import { expectError } from "../../invalid-input/fixture.ts";
import {
  hashOf,
  type IsFree,
  LINEAR,
  optionsOf,
  Plain,
  POLICIES,
  SECRET,
  type Tuple,
} from "../../support/rfc6056.ts";
import { bind, connect, type Fixture, onBuilds, RANGE, WEB } from "./fixture.ts";

/** Draws nothing at open, and nothing later. */
const KEYED: SelectionOptions = { algorithm: "hash", secret: SECRET, from: 0 };
const ADDRESSES = ["", "10.0.0.1", "2001:db8::1"];
const ENDS = ["192.0.2.1", "192.0.2.2", "2001:db8::2"];
const STEPS = 150;

function tupleOf(local: string, remote: string, port: number): Tuple {
  const bytes = (text: string): Uint8Array =>
    new Uint8Array(Uint32Array.from(parseAddress("address", text).words).buffer);
  return { local: bytes(local), remote: bytes(remote), port };
}

/** What a search may look at while it is played: ranges and reserved ports change now and then. */
class Systems {
  readonly s: Fixture;
  readonly random: Random;
  readonly open: Linux2632Socket[] = [];
  range: { first: number; last: number } = RANGE;
  reserved: ReadonlySet<number> = new Set();

  constructor(s: Fixture, seed: number) {
    this.s = s;
    this.random = new Random(seed);
  }

  change(kind: "bindPortRange" | "connectPortRange"): void {
    const { random, s } = this;
    if (random.chance(10)) {
      const first = random.between(2000, 2040);
      s.ports.setPortRange(first, first + random.below(30));
    }
    if (random.chance(10)) {
      const ports = Array.from({ length: random.below(10) }, () => random.between(2000, 2070));
      this.reserved = new Set(ports);
      s.ports.reserved.text = ports.join(",");
    }
    if (random.chance(10)) {
      const first = random.between(1990, 2030);
      s.groups.get("/web")[kind] = random.chance(30) ? undefined : { first, last: first + 60 };
    }
    while (this.open.length > 0 && random.chance(30)) {
      this.open.splice(random.below(this.open.length), 1)[0]?.close();
    }
    const { first, last } = s.ports.portRange();
    const limit = s.groups.get("/web")[kind] ?? { first: 1, last: 65535 };
    this.range = { first: Math.max(first, limit.first), last: Math.min(last, limit.last) };
  }

  get isEmpty(): boolean {
    return this.range.first > this.range.last;
  }
}

function begin(s: Fixture, seed: number): Systems {
  s.group("/web");
  return new Systems(s, seed);
}

onBuilds((open) => {
  describe.each(POLICIES)("%s", (algorithm) => {
    test.each([undefined, 0, 41])("gives bind() and listen() the plain ports: from %s", (from) => {
      const options = optionsOf(algorithm, 5, from);
      const s = open({ seed: 77, bindSelection: options, connectSelection: KEYED });
      const plain = new Plain(77, options);
      const systems = begin(s, 3);
      const found = { ports: 0, none: 0 };
      for (let step = 0; step < STEPS; step++) {
        systems.change("bindPortRange");
        if (systems.isEmpty) continue;
        const address = systems.random.pick(ADDRESSES);
        const isListening = address === "" && systems.random.chance(30);
        const socket = s.socket({ group: s.groups.get("/web") });
        const isFree: IsFree = (port) =>
          !systems.reserved.has(port) &&
          !systems.open.some((other) => other.port === port && overlap(other.address, address));
        const expected = plain.search(systems.range, tupleOf(address, "", 0), isFree);
        const got = portOf(() => (isListening ? socket.listen() : socket.bind(address, 0)));
        expect(got).toBe(expected);
        if (got === undefined) found.none += 1;
        else systems.open.push(socket);
        found.ports += 1;
      }
      expect(found.ports).toBeGreaterThan(STEPS / 2);
      expect(found.none).toBeGreaterThan(0);
    });

    if (algorithm !== "hash") {
      test.each([undefined, 0, 41])("gives connect() the plain loop's ports: from %s", (from) => {
        const options = optionsOf(algorithm, 5, from);
        const s = open({ seed: 78, bindSelection: KEYED, connectSelection: options });
        const plain = new Plain(78, options);
        expectConnections(s, (range, tuple, isFree) => plain.search(range, tuple, isFree));
      });
    }

    test("finds only ports that are free, within range and group, and not reserved", () => {
      const s = open({ bindSelection: algorithm, connectSelection: algorithm });
      s.ports.setPortRange(2000, 2063);
      s.ports.reserved.text = "2000-2009,2030";
      const group = s.group("/web", [2005, 2040], [2020, 2070]);
      const fill = (ask: () => number): Set<number> => {
        const ports = new Set<number>();
        for (let misses = 0; misses < 30; ) {
          const port = portOf(ask);
          if (port === undefined) misses += 1;
          else expect(ports.has(port)).toBe(false);
          if (port !== undefined) ports.add(port);
        }
        return ports;
      };
      const bound = fill(() => s.socket({ group }).bind("10.0.0.1", 0));
      const all = portsFrom(2010, 2040).filter((port) => port !== 2030);
      expect([...bound].filter((port) => !all.includes(port))).toEqual([]);
      if (LINEAR.includes(algorithm)) expect(bound.size).toBe(all.length);
      const connected = fill(() => s.socket({ group }).connect(WEB, 443));
      const rest = portsFrom(2020, 2063).filter((port) => port !== 2030 && !bound.has(port));
      expect([...connected].filter((port) => !rest.includes(port))).toEqual([]);
      if (LINEAR.includes(algorithm)) expect(connected.size).toBe(rest.length);
    });

    test("says what was searched where nothing is left", () => {
      const s = open({ bindSelection: algorithm, connectSelection: algorithm });
      s.ports.reserved.text = "1-65535";
      const searched = { reason: "no-port-available", searched: RANGE };
      expectError(bind(s.socket(), "", 0), { code: "EADDRINUSE", ...searched });
      expectError(connect(s.socket(), WEB), { code: "EADDRNOTAVAIL", ...searched });
      const group = s.group("/web", [1, 1], [2, 2]);
      const empty = { reason: "empty-range" };
      expectError(bind(s.socket({ group }), "", 0), { code: "EADDRINUSE", ...empty });
      expectError(connect(s.socket({ group }), WEB), { code: "EADDRNOTAVAIL", ...empty });
    });

    test("is repeatable with a seed, and not without", () => {
      const range = { first: 32_768, last: 60_999 };
      const portsOf = (options: Linux2632Settings): number[] => {
        const both = { bindSelection: algorithm, connectSelection: algorithm };
        const s = open({ portRange: range, ...both, ...options });
        for (const end of ENDS) s.connected(end);
        for (const address of ADDRESSES) s.bound(address, 0);
        return s.held;
      };
      expect(portsOf({ seed: 5 })).toEqual(portsOf({ seed: 5 }));
      if (algorithm === "sequential") {
        expect(portsOf({ seed: 5 })).toEqual(portsOf({ seed: 6 }));
        return;
      }
      expect(portsOf({ seed: 5 })).not.toEqual(portsOf({ seed: 6 }));
      const random = undefined;
      expect(portsOf({ random } as object)).not.toEqual(portsOf({ random } as object));
    });
  });

  describe("connect() by default", () => {
    test.each([0, 5, 0xfffffff0])("goes by the keyed hash of the tuple and the hint %s", (hint) => {
      const s = open({ hint, connectSelection: KEYED });
      let next = hint;
      expectConnections(s, ({ first, last }, tuple, isFree) => {
        const count = last - first + 1;
        for (let i = 1; i <= count; i++) {
          const port = first + (((i + next + hashOf(tuple, 0)) % 2 ** 32) % count);
          if (!isFree(port)) continue;
          next = (next + i) % 2 ** 32;
          return port;
        }
        return undefined;
      });
      expect(s.ports.hint).toBe(next);
    });

    test("begins elsewhere where the policy has another counter", () => {
      const [zero, ten] = [0, 10].map((from) => {
        const s = open({
          connectSelection: { ...KEYED, from },
          portRange: { first: 2000, last: 2099 },
        });
        return s.connected().port;
      });
      expect(((ten as number) - (zero as number) + 100) % 100).toBe(10);
    });

    test("is the same for the same tuple and secret, and another for another secret", () => {
      const range = { first: 32_768, last: 60_999 };
      const portsOf = (connectSelection?: SelectionOptions): number[] => {
        const s = open({ portRange: range, ...({ connectSelection } as object) });
        for (const end of ENDS) s.connected(end);
        return s.held;
      };
      expect(portsOf(KEYED)).toEqual(portsOf(KEYED));
      expect(portsOf(KEYED)).not.toEqual(portsOf({ ...KEYED, secret: new Uint8Array(32) }));
      // Drawn from the host's source, each for itself.
      expect(portsOf()).not.toEqual(portsOf());
    });

    test("hashes the address of the socket, if it has one, and else that of routing", () => {
      const range = { first: 2000, last: 2999 };
      const portFrom = (localAddress: string): number => {
        const s = open({ portRange: range, connectSelection: KEYED });
        return s.connected(WEB, { localAddress }).port;
      };
      const s = open({ portRange: range, connectSelection: KEYED, localAddress: "10.0.0.9" });
      s.bound("10.0.0.1", 0, { reuseAddr: true }).connect(WEB, 443);
      const loser = s.bound("10.0.0.1", 0, { reuseAddr: true });
      expectError(connect(loser, WEB), { code: "EADDRNOTAVAIL" });
      expect(loser.address).toBe("10.0.0.1");
      expect(loser.connect(WEB, 443)).toBe(portFrom("10.0.0.1"));
      s.sockets.at(-1)?.close();
      const other = open({ portRange: range, connectSelection: KEYED, localAddress: "10.0.0.9" });
      expect(other.connected().port).toBe(portFrom("10.0.0.9"));
      expect(portFrom("10.0.0.9")).not.toBe(portFrom("10.0.0.1"));
    });

    test("is replaced by an offset of the caller's, for that call", () => {
      const s = open({ connectSelection: KEYED });
      expect(s.connected(WEB, { offset: 0 }).port).toBe(2001);
      expect(s.connected("192.0.2.2", { offset: 0 }).port).toBe(2002);
    });
  });

  test("an offset of the caller's comes before any policy", () => {
    for (const connectSelection of POLICIES) {
      const s = open({ connectSelection, hint: 2 });
      expect(s.connected(WEB, { offset: 3 }).port).toBe(2006);
    }
  });

  test("sequential goes on behind the last port, for bind() and connect() each by itself", () => {
    const s = open({ bindSelection: "sequential", connectSelection: "sequential" });
    expect([s.bound("", 0).port, s.connected().port, s.bound("", 0).port]).toEqual([
      2000, 2001, 2002,
    ]);
    expect(s.connected().port).toBe(2003);
    s.sockets[0]?.close();
    expect([s.bound("", 0).port, s.connected().port]).toEqual([2004, 2005]);
  });

  test("a bind() to an explicit port, or of a bound socket, moves no counter", () => {
    const s = open({ bindSelection: "sequential", connectSelection: KEYED });
    s.bound("", 2005);
    const socket = s.bound("", 0);
    expect(socket.port).toBe(2000);
    socket.connect(WEB, 443);
    expect(s.ports.hint).toBe(0);
    expect(s.bound("", 0).port).toBe(2001);
    expectError(bind(socket, "", 0), { code: "EINVAL" });
    expect(s.bound("", 0).port).toBe(2002);
  });

  test("sockets with SO_REUSEADDR share under every policy", () => {
    for (const bindSelection of LINEAR) {
      const s = open({ bindSelection, portRange: { first: 2000, last: 2000 } });
      for (let times = 0; times < 4; times++) s.bound("", 0, { reuseAddr: true });
      expect(s.ports.bindBucket(2000)).toEqual({ fastreuse: 1, owners: 4, timeWait: 0 });
    }
  });
});

/** Connections to a few ends, each of which must get the port that is expected. */
function expectConnections(
  s: Fixture,
  pick: (range: Systems["range"], tuple: Tuple, isFree: IsFree) => number | undefined,
): void {
  const systems = begin(s, 4);
  let none = 0;
  const bound = [s.bound("10.7.7.7", 2003), s.bound("10.7.7.7", 2010, { reuseAddr: true })];
  for (let step = 0; step < STEPS; step++) {
    systems.change("connectPortRange");
    if (systems.isEmpty) continue;
    const localAddress = systems.random.pick(ADDRESSES.slice(1));
    const to = systems.random.pick(ENDS);
    const socket = s.socket({ group: s.groups.get("/web") });
    const isFree: IsFree = (port) =>
      !systems.reserved.has(port) &&
      !bound.some((other) => other.port === port) &&
      !systems.open.some(
        (other) => other.port === port && ends.get(other) === `${localAddress} ${to}`,
      );
    const expected = pick(systems.range, tupleOf(localAddress, to, 443), isFree);
    const got = portOf(() => socket.connect(to, 443, { localAddress }));
    expect(got).toBe(expected);
    if (got === undefined) none += 1;
    else systems.open.push(socket);
    ends.set(socket, `${localAddress} ${to}`);
  }
  expect(none).toBeGreaterThan(0);
}

const ends = new WeakMap<Linux2632Socket, string>();

function overlap(one: string, other: string): boolean {
  return one === "" || other === "" || one === other;
}

/** Undefined where none is found; any other error is no answer. */
function portOf(ask: () => number): number | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof PortError && error.reason === "no-port-available") return undefined;
    throw error;
  }
}

function portsFrom(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
