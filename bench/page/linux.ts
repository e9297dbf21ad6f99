// Linux: the scenario's connections through the kernel's pickers, one socket each.

import { coreOf } from "../../bindings/core/core.ts";
import { reservedAddress } from "../../bindings/groups/reserved.ts";
import type { Linux2632Socket, PolicyName } from "../../bindings/index.ts";
import { Linux2632Ports } from "../../bindings/linux/rules/2.6.32/ports.ts";
import { systemOf } from "../../bindings/linux/system.ts";
import type { Drawing } from "./drawing.ts";
import { Limits } from "./limits.ts";
import { Memory } from "./memory.ts";
import {
  type Asked,
  attempt,
  automatic,
  LOCAL,
  type Ports,
  REMOTE_PORT,
  remoteAddress,
  remoteName,
} from "./ports.ts";
import type { Answer, Place, Span } from "./protocol.ts";
import type { Settings } from "./settings.ts";

const SEED = 1;

interface Connection {
  readonly socket: Linux2632Socket;
  readonly destination: number;
  readonly port: number;
}

export class LinuxSockets implements Ports {
  readonly limits: Limits;
  readonly #system: Linux2632Ports;
  readonly #addresses: readonly string[];
  readonly #coolsDown: boolean;
  readonly #connections: Connection[] = [];

  readonly #core = coreOf(undefined);
  readonly #memory: Memory = new Memory(this.#core);

  constructor(settings: Settings) {
    const { first, last, selection, destinations, cooldown } = settings;
    this.limits = new Limits(settings);
    this.#coolsDown = cooldown > 0;
    this.#addresses = Array.from({ length: destinations }, (_, index) => remoteAddress(index));
    this.#system = Linux2632Ports.open({
      portRange: { first, last },
      unprivilegedPortStart: 0,
      reserved: this.limits.reserved,
      connectSelection: selection as PolicyName,
      localAddress: LOCAL,
      timeWaitMs: cooldown,
      seed: SEED,
    });
  }

  get live(): number {
    return this.#connections.length;
  }

  arrive(destination: number): boolean {
    const group = this.limits.groupOf(destination);
    const socket = this.#system.socket(group === undefined ? undefined : { group });
    try {
      const port = socket.connect(this.#addresses[destination] as string, REMOTE_PORT);
      this.#connections.push({ socket, destination, port });
      return true;
    } catch {
      socket.close();
      return false;
    }
  }

  leave(index: number): void {
    const last = this.#connections.pop() as Connection;
    const gone = index === this.#connections.length ? last : this.#connections[index];
    if (gone !== last) this.#connections[index] = last;
    gone?.socket.close(this.#coolsDown ? { timeWait: true } : undefined);
  }

  tick(now: number): void {
    if (now < this.#system.time) return;
    this.#system.setTime(now);
    this.#system.expireTimeWait();
  }

  get range(): Span {
    return this.#system.portRange();
  }

  setRange({ first, last }: Span): void {
    this.#system.setPortRange(first, last);
  }

  read(drawing: Drawing): void {
    const memory = this.#memory;
    const { ones, twos, cooling } = drawing;
    const set = (bits: Uint32Array, port: number): void => {
      bits[port >>> 5] = (bits[port >>> 5] as number) | (1 << port);
    };
    drawing.clear();
    memory.refresh();
    memory.readRecords(systemOf(this.#system), (port, sockets, waits) => {
      if (sockets > 0) set(ones, port);
      if (sockets > 1) set(twos, port);
      if (waits > 0) set(cooling, port);
    });
    memory.readReserved(reservedAddress(this.limits.reserved, this.#core), drawing.reserved);
  }

  ask(port: number): Asked {
    const record = this.#system.bindBucket(port);
    return { holders: record?.owners ?? 0, isCooling: (record?.timeWait ?? 0) > 0 };
  }

  holdersOf(port: number): { holders: string[]; cooling: string[] } {
    const count = this.#system.bindBucket(port)?.timeWait ?? 0;
    const waits = count === 1 ? "one connection" : `${count} connections`;
    return {
      holders: this.#towards(port).map(remoteName),
      cooling: count === 0 ? [] : [`${waits} in TIME_WAIT`],
    };
  }

  requests(port: number, place: Place): Answer[] {
    const towards = new Set(this.#towards(port));
    const group = this.limits.groupAt(place);
    const fresh = this.#addresses
      .map((_, destination) => destination)
      .filter((destination) => !towards.has(destination))
      .filter((one) => group === undefined || group === this.limits.groupOf(one));
    const bind = attempt("bind() to it", () => {
      const socket = this.#system.socket(group === undefined ? undefined : { group });
      try {
        socket.bind(LOCAL, port);
      } finally {
        socket.close();
      }
    });
    return [automatic(port, this, place, fresh.map(remoteName)), bind];
  }

  close(): void {
    this.#system.close();
  }

  /** Where the connections from a port go to. */
  #towards(port: number): number[] {
    return this.#connections
      .filter((connection) => connection.port === port)
      .map(({ destination }) => destination)
      .sort((a, b) => a - b);
  }
}
