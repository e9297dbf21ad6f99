// Fixture: a system on either build, its sockets and groups, all that can be told of them, and the
// proof that what was refused has changed nothing. When a fixture ends, all is closed: then nothing
// may be counted, and no byte be in use that was not at open.

import { afterEach, describe, expect } from "vitest";
import { PortError } from "../../../bindings/errors.ts";
import type { PortGroup, PortGroups } from "../../../bindings/groups/group.ts";
import type {
  Linux2632ConnectOptions,
  Linux2632Socket,
  Linux2632SocketOptions,
} from "../../../bindings/index.ts";
import type { Linux2632Settings } from "../../../bindings/linux/rules/2.6.32/options.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import { caught } from "../../invalid-input/fixture.ts";
import { BUILDS, type Build, modulesFor } from "../../support/builds.ts";
import { openGroups } from "../groups/fixture.ts";

/** What an act is refused with. */
export interface Refused {
  readonly code: string;
  readonly reason?: string;
  readonly syscall?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly searched?: { readonly first: number; readonly last: number } | undefined;
  /** Part of the message. */
  readonly says?: string;
}

type Range = readonly [first: number, last: number];

/** Ten ports. */
export const RANGE: { first: number; last: number } = { first: 2000, last: 2009 };
/** Where all connect to: it makes no difference. */
export const REMOTE = "192.0.2.1";

export type Open = (options?: Linux2632Settings) => Fixture;

/** The same stories on both builds; each test opens the setups that it needs. */
export function onBuilds(tell: (open: Open, build: Build) => void): void {
  describe.each(BUILDS)("%s build", (build) => {
    const setups: Fixture[] = [];
    afterEach(() => {
      for (const fixture of setups.splice(0)) fixture.end();
    });
    tell((options) => {
      const fixture = new Fixture(build, options);
      setups.push(fixture);
      return fixture;
    }, build);
  });
}

export class Fixture {
  readonly ports: Linux2632Ports;
  readonly groups: PortGroups;
  readonly sockets: Linux2632Socket[] = [];
  readonly usedAtOpen: number;
  /** Sockets that do nothing but fill the memory: nobody looks at them. */
  readonly fillers: Linux2632Socket[] = [];
  /** What bind() draws next; 0 when it is used up. */
  draws: number[] = [];
  /** How many draws were taken. */
  drawn = 0;

  constructor(build: Build, options: Linux2632Settings = {}) {
    this.groups = openGroups(build);
    const random = (): number => {
      this.drawn += 1;
      return this.draws.shift() ?? 0;
    };
    const chance = options.seed === undefined ? { random } : {};
    const all = { portRange: RANGE, ...chance, ...options, ...modulesFor(build) };
    this.ports = Linux2632Ports.open(all);
    this.usedAtOpen = this.used;
  }

  get used(): number {
    return this.ports.stats().memory.used;
  }

  /** A UDP socket, if nothing else is said. */
  socket(options: Linux2632SocketOptions = {}): Linux2632Socket {
    const socket = this.ports.socket({ type: "udp", ...options });
    this.sockets.push(socket);
    return socket;
  }

  bound(address: string, port: number, options?: Linux2632SocketOptions): Linux2632Socket {
    const socket = this.socket(options);
    expect(socket.bind(address, port)).toBe(socket.port);
    if (port !== 0) expect(socket.port).toBe(port);
    return socket;
  }

  connected(
    how: Linux2632ConnectOptions = { offset: 0 },
    options?: Linux2632SocketOptions,
  ): Linux2632Socket {
    const socket = this.socket(options);
    expect(socket.connect(REMOTE, 53, how)).toBe(socket.port);
    expect(socket.state).toBe("connected");
    return socket;
  }

  /** A group with a range for bind() and one for connect(); none is no limit. */
  group(path: string, bind?: Range, connect?: Range): PortGroup {
    return this.groups.create(path, {
      ...(bind && { bindPortRange: { first: bind[0], last: bind[1] } }),
      ...(connect && { connectPortRange: { first: connect[0], last: connect[1] } }),
    });
  }

  verify(): void {
    verifyLinux(this.ports);
  }

  /** Everything that can be told of the system, its sockets and its groups. */
  picture(): unknown {
    this.verify();
    const { ports } = this;
    const known = [1, 53, 80, 443, 1023, 1024, 65535, ...this.sockets.map(({ port }) => port)];
    for (let port = RANGE.first; port <= RANGE.last; port++) known.push(port);
    return {
      stats: ports.stats(),
      settings: [ports.portRange(), ports.unprivilegedPortStart, ports.hint, ports.reserved.text],
      known: known.filter((port) => port > 0).map((port) => [port, ports.bindBucket(port)]),
      sockets: this.sockets.map(lookAt),
      drawn: this.drawn,
    };
  }

  /** Closes all. Groups would not let their tree be closed, were one of them in use. */
  end(): void {
    if (!(caught(() => this.ports.stats()) instanceof PortError)) {
      this.drain();
      this.ports.close();
    }
    this.groups.close();
  }

  drain(): void {
    const { ports } = this;
    this.verify();
    for (const socket of [...this.sockets, ...this.fillers]) socket.close();
    this.verify();
    expect(ports.stats()).toMatchObject({ buckets: 0, sockets: 0, timeWait: 0 });
    expect(this.used, "bytes in use when all is closed").toBe(this.usedAtOpen);
  }
}

export function lookAt({ type, port, address, state, reuseAddr, group }: Linux2632Socket): unknown {
  return [type, state, address, port, reuseAddr, group?.path, group?.uses];
}

/** The act is refused in that way. */
export function expectError(act: () => unknown, { says = "", ...refused }: Refused): void {
  const error = caught(act);
  expect(error).toBeInstanceOf(PortError);
  expect(error).toMatchObject({ name: "PortError", ...refused });
  expect((error as PortError).message).toMatch(new RegExp(`^${refused.code}: .`));
  expect((error as PortError).message).toContain(says);
}

/** The act is refused in that way, and nothing has changed. */
export function expectRefused(fixture: Fixture, act: () => unknown, refused: Refused): void {
  const before = fixture.picture();
  expectError(act, refused);
  expect(fixture.picture()).toEqual(before);
}
