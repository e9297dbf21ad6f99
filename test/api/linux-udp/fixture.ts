// Fixture: a system as for TCP, whose sockets are UDP's if nothing else is said.

import { expect } from "vitest";
import type {
  Linux2632ConnectOptions,
  Linux2632Socket,
  Linux2632SocketOptions,
} from "../../../bindings/index.ts";
import type { Linux2632Settings } from "../../../bindings/linux/rules/2.6.32/options.ts";
import type { Build } from "../../support/builds.ts";
import { Fixture as LinuxFixture, onBuildsWith } from "../linux/fixture.ts";

/** Where all connect to: it makes no difference. */
export const REMOTE = "192.0.2.1";

export type Open = (options?: Linux2632Settings) => Fixture;

/** The same stories on both builds; each test opens the setups that it needs. */
export function onBuilds(tell: (open: Open, build: Build) => void): void {
  onBuildsWith((build, options) => new Fixture(build, options), tell);
}

export class Fixture extends LinuxFixture {
  /** Sockets that only fill the memory: no test looks at them. */
  readonly fillers: Linux2632Socket[] = [];

  override type = "udp" as const;

  /** A socket that is connected to the remote end. */
  toRemote(
    how: Linux2632ConnectOptions = { offset: 0 },
    options?: Linux2632SocketOptions,
  ): Linux2632Socket {
    const socket = this.socket(options);
    expect(socket.connect(REMOTE, 53, how)).toBe(socket.port);
    expect(socket.state).toBe("connected");
    return socket;
  }

  override picture(): object {
    return { ...super.picture(), drawn: this.drawn };
  }

  override drain(): void {
    for (const socket of this.fillers) socket.close();
    super.drain();
  }
}
