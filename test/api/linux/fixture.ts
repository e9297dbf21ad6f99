// Fixture: a system of Linux' ports on either build, its sockets, all that it shows, and the check
// that a refused call has changed nothing. At the end all is closed and expired: then nothing may
// be counted, and no byte be in use that was not at open.

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
import { caught, expectError, type Refused } from "../../invalid-input/fixture.ts";
import { BUILDS, type Build, modulesFor } from "../../support/builds.ts";
import { SECRET } from "../../support/rfc6056.ts";
import { openGroups } from "../groups/fixture.ts";

export type Open = (options?: Linux2632Settings) => Fixture;

/** Ten ports, of which most stories need but a few. */
export const FIRST = 2000;
export const LAST = 2009;
export const RANGE: { first: number; last: number } = { first: FIRST, last: LAST };

/** The remote end that most connections go to. */
export const WEB = "192.0.2.1";

/** The system's default, with a secret that is the same each time: a story has one end. */
const KEYED: Linux2632Settings = {
  connectSelection: { algorithm: "hash", secret: SECRET, from: 0 },
};
const TIME_MAX = 4_294_967_000_000;
const TIME_WAIT_MS = 60_000;

/** The same stories on both builds; each test opens the setups that it needs. */
export function onBuilds(tell: (open: Open, build: Build) => void): void {
  onBuildsWith((build, options) => new Fixture(build, options), tell);
}

/** The same with another class of them. */
export function onBuildsWith<T extends Fixture>(
  make: (build: Build, options?: Linux2632Settings) => T,
  tell: (open: (options?: Linux2632Settings) => T, build: Build) => void,
): void {
  describe.each(BUILDS)("%s build", (build) => {
    const setups: T[] = [];
    afterEach(() => {
      for (const fixture of setups.splice(0)) fixture.end();
    });
    tell((options) => {
      const fixture = make(build, options);
      setups.push(fixture);
      return fixture;
    }, build);
  });
}

export class Fixture {
  readonly build: Build;
  readonly ports: Linux2632Ports;
  readonly groups: PortGroups;
  readonly sockets: Linux2632Socket[] = [];
  readonly usedAtOpen: number;
  /** What bind() draws next; 0 when it is used up. */
  draws: number[] = [];
  /** How many draws were taken. */
  drawn = 0;
  /** Of sockets of which nothing else is said, if not what the system says itself. */
  type: "tcp" | "udp" | undefined;
  readonly #timeWaitMs: number;

  constructor(build: Build, options: Linux2632Settings = {}) {
    this.build = build;
    this.groups = openGroups(build);
    const random = (): number => {
      this.drawn += 1;
      return this.draws.shift() ?? 0;
    };
    // Draws can be given to the kernel's own way of picking only.
    const isOwn = (options.bindSelection ?? "random") === "random";
    const chance = options.seed === undefined && isOwn ? { random } : {};
    const all = { portRange: RANGE, ...KEYED, ...chance, ...options, ...modulesFor(build) };
    this.ports = Linux2632Ports.open(all);
    this.usedAtOpen = this.used;
    this.#timeWaitMs = options.timeWaitMs ?? TIME_WAIT_MS;
  }

  get used(): number {
    return this.ports.stats().memory.used;
  }

  get isClosed(): boolean {
    return caught(() => this.ports.stats()) instanceof PortError;
  }

  // ── Sockets ───────────────────────────────────────────────────────────────────────────────

  socket(options?: Linux2632SocketOptions): Linux2632Socket {
    const { type } = this;
    const socket = this.ports.socket(type === undefined ? options : { type, ...options });
    this.sockets.push(socket);
    return socket;
  }

  /** A socket that is bound to that address and port. */
  bound(address: string, port: number, options?: Linux2632SocketOptions): Linux2632Socket {
    const socket = this.socket(options);
    const answer = socket.bind(address, port);
    expect(socket.port).toBe(answer);
    if (port !== 0) expect(answer).toBe(port);
    return socket;
  }

  listener(address: string, port: number, options?: Linux2632SocketOptions): Linux2632Socket {
    const socket = this.bound(address, port, options);
    expect(socket.listen()).toBe(socket.port);
    return socket;
  }

  /** A socket that is connected to port 443 of that address, from any port. */
  connected(
    to: string = WEB,
    how?: Linux2632ConnectOptions,
    options?: Linux2632SocketOptions,
  ): Linux2632Socket {
    const socket = this.socket(options);
    expect(socket.connect(to, 443, how)).toBe(socket.port);
    return socket;
  }

  /** A connection from that very port of 127.0.0.1, through a range that has no other. */
  connectedFrom(port: number, to: string = WEB, options?: Linux2632SocketOptions): Linux2632Socket {
    const { first, last } = this.ports.portRange();
    this.ports.setPortRange(port, port);
    const socket = this.connected(to, undefined, options);
    this.ports.setPortRange(first, last);
    return socket;
  }

  /** A group with a range for bind() and one for connect(); none is no limit. */
  group(path: string, bind?: Range, connect?: Range): PortGroup {
    return this.groups.create(path, {
      ...(bind && { bindPortRange: { first: bind[0], last: bind[1] } }),
      ...(connect && { connectPortRange: { first: connect[0], last: connect[1] } }),
    });
  }

  /** The ports of all sockets that have one, in the order in which the sockets were made. */
  get held(): number[] {
    return this.sockets.map(({ port }) => port).filter((port) => port !== 0);
  }

  // ── Looking ───────────────────────────────────────────────────────────────────────────────

  verify(): void {
    verifyLinux(this.ports);
  }

  /** Everything that the system, its sockets and its groups show. */
  picture(): object {
    if (this.isClosed) return ["closed", this.#uses(), this.sockets.map(lookAt)];
    this.verify();
    const { ports } = this;
    const { buckets, sockets, timeWait, memory } = ports.stats();
    const watched = new Set([1, 80, 443, 1023, 1024, 65535]);
    const { first, last } = ports.portRange();
    for (let port = first; port <= Math.min(last, first + 20); port++) watched.add(port);
    for (const { port } of this.sockets) if (port !== 0) watched.add(port);
    return {
      figures: { buckets, sockets, timeWait, used: memory.used, limit: memory.limit },
      settings: [ports.portRange(), ports.unprivilegedPortStart, ports.tcpTwReuse],
      clock: [ports.time, ports.hint],
      reserved: ports.reserved.text,
      known: [...watched].map((port) => [port, ports.bindBucket(port)]),
      sockets: this.sockets.map(lookAt),
      uses: this.#uses(),
    };
  }

  #uses(): Record<string, number> {
    const uses: Record<string, number> = {};
    const left = ["/"];
    for (let path = left.pop(); path !== undefined; path = left.pop()) {
      uses[path] = this.groups.get(path).uses;
      const children = this.groups.list(path).filter((name) => name.endsWith("/"));
      const at = path === "/" ? "" : path;
      left.push(...children.map((name) => `${at}/${name.slice(0, -1)}`));
    }
    return uses;
  }

  // ── The end ───────────────────────────────────────────────────────────────────────────────

  /** Closes all. Groups would not let their tree be closed, were one of them in use. */
  end(): void {
    if (!this.isClosed) {
      this.drain();
      this.ports.close();
    }
    if (caught(() => this.groups.root.uses) instanceof PortError) return;
    this.groups.close();
  }

  /** Closes all sockets, and lets every TIME_WAIT expire. */
  drain(): void {
    const { ports } = this;
    this.verify();
    for (const socket of this.sockets) socket.close();
    ports.setTime(Math.min(TIME_MAX, ports.time + this.#timeWaitMs));
    ports.expireTimeWait();
    this.verify();
    expect(ports.stats()).toMatchObject({ buckets: 0, sockets: 0, timeWait: 0 });
    expect(this.used, "bytes in use when all is closed").toBe(this.usedAtOpen);
  }
}

type Range = readonly [first: number, last: number];

function lookAt({ type, port, address, state, reuseAddr, group }: Linux2632Socket): unknown {
  return [type, state, address, port, reuseAddr, group?.path];
}

// ── Acts ──────────────────────────────────────────────────────────────────────────────────
// Of a socket that is there when the act begins.

export function bind(socket: Linux2632Socket, address: string, port: number): () => number {
  return () => socket.bind(address, port);
}

export function listen(socket: Linux2632Socket): () => number {
  return () => socket.listen();
}

/** To port 443. */
export function connect(
  socket: Linux2632Socket,
  to: string,
  how?: Linux2632ConnectOptions,
): () => number {
  return () => socket.connect(to, 443, how);
}

// ── Refusals ──────────────────────────────────────────────────────────────────────────────

/** The act is refused in that way, and nothing has changed. */
export function expectRefused(fixture: Fixture, act: () => unknown, refused: Refused): PortError {
  const before = fixture.picture();
  const error = expectError(act, refused);
  expect(fixture.picture()).toEqual(before);
  return error;
}

/** The act throws what the caller's own code throws, and nothing has changed. */
export function expectThrown(fixture: Fixture, act: () => unknown, error: unknown): void {
  const before = fixture.picture();
  expect(caught(act)).toBe(error);
  expect(fixture.picture()).toEqual(before);
}

/** Of what the linux module exports, what tests stand in for. */
export type Watched2632 = Readonly<
  Record<"open2632" | "closeSystem2632" | "verify2632", (...all: number[]) => number>
>;
