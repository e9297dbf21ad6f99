// Linux: the scenario's connections through the kernel's pickers, one socket each, by the rules of
// 6.18 or of 2.6.32.

import { coreOf } from "../../bindings/core/core.ts";
import { reservedAddress } from "../../bindings/groups/reserved.ts";
import {
  type Linux2632Ports,
  type Linux2632Socket,
  LinuxPorts,
  type LinuxSocket,
  type PolicyName,
} from "../../bindings/index.ts";
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

type Socket = LinuxSocket | Linux2632Socket;

interface Connection {
  readonly socket: Socket;
  readonly destination: number;
  readonly port: number;
}

export class LinuxSockets implements Ports {
  readonly limits: Limits;
  readonly #system: LinuxPorts | Linux2632Ports;
  readonly #settings: Settings;
  readonly #addresses: readonly string[];
  readonly #connections: Connection[] = [];
  #arrivals = 0;

  readonly #core = coreOf(undefined);
  readonly #memory: Memory = new Memory(this.#core);

  constructor(settings: Settings) {
    const { first, last, rules, selection, destinations, cooldown } = settings;
    this.limits = new Limits(settings);
    this.#settings = settings;
    this.#addresses = Array.from({ length: destinations }, (_, index) => remoteAddress(index));
    const common = {
      portRange: { first, last },
      unprivilegedPortStart: 0,
      reserved: this.limits.reserved,
      localAddress: LOCAL,
      timeWaitMs: cooldown,
      seed: SEED,
    };
    this.#system =
      rules === "6.18"
        ? LinuxPorts.open(common)
        : LinuxPorts.open({ rules, connectSelection: selection as PolicyName, ...common });
  }

  get live(): number {
    return this.#connections.length;
  }

  arrive(destination: number): boolean {
    const group = this.limits.groupOf(destination);
    const socket = this.#system.socket(group === undefined ? undefined : { group });
    try {
      if (this.#bindsNext()) socket.bind(LOCAL, 0);
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
    if (gone !== undefined) end(gone.socket, this.#settings.cooldown > 0);
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
    const system = systemOf(this.#system);
    drawing.clear();
    memory.refresh();
    if (this.#settings.rules === "6.18") memory.readHolders(system, drawing);
    else memory.readBuckets(system, drawing);
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
    const bucket = this.#system.bindBucket(port);
    // What bind() has given connect() passes over; bind() passes over all that has an owner.
    const isTaken =
      bucket !== undefined && (bucket.fastreuse >= 0 || this.#settings.selection === "bind(0)");
    const towards = new Set(isTaken ? this.#addresses.keys() : this.#towards(port));
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

  /** Does the next connection bind() its socket before? */
  #bindsNext(): boolean {
    const { selection } = this.#settings;
    return selection === "bind(0)" || (selection === "both" && this.#arrivals++ % 4 === 0);
  }

  /** Where the connections from a port go to. */
  #towards(port: number): number[] {
    return this.#connections
      .filter((connection) => connection.port === port)
      .map(({ destination }) => destination)
      .sort((a, b) => a - b);
  }
}

/** Ends a connection: in order where it is to leave TIME_WAIT behind, else by a reset. */
function end(socket: Socket, waits: boolean): void {
  if (!("receive" in socket)) {
    socket.close(waits ? { timeWait: true } : undefined);
    return;
  }
  if (waits) {
    socket.shutdown();
    socket.receive("fin");
  }
  socket.close({ reset: !waits });
}
