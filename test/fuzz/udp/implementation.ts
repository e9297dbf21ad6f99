// The real thing: Linux2632Ports on one build, with a tree of groups of its own.

import { PortError } from "../../../bindings/errors.ts";
import { type PortGroup, PortGroups } from "../../../bindings/groups/group.ts";
import { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import type { Linux2632Socket } from "../../../bindings/linux/rules/2.6.32/socket.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import type { Modules } from "../../support/builds.ts";
import type { Answer, Known, Look, Operation, PairMetrics, System, Target } from "./operation.ts";
import type { Setup } from "./setup.ts";

const MS = 1000;
/** A limit of memory, most of which is filled at once. */
export const LIMIT = 10_000;
/** Keys that are given draw nothing from the seed. */
const HASH = { algorithm: "hash", secret: new Uint8Array(32), from: 0 } as const;

export class Implementation implements System {
  readonly ports: Linux2632Ports;
  readonly usedAtOpen: number;
  readonly #groups: PortGroups;
  readonly #sockets = new Map<number, Linux2632Socket>();
  readonly #fillers: Linux2632Socket[] = [];
  #draws: readonly number[] = [];
  drawn = 0;

  constructor(setup: Setup, modules: Modules) {
    const { first, last, hint, localAddress, seed, spare } = setup;
    this.#groups = PortGroups.open({ module: modules.module });
    for (const path of setup.groups) if (path !== "/") this.#groups.create(path);
    this.ports = Linux2632Ports.open({
      ...{ ...modules, hint, localAddress, connectSelection: HASH },
      ...{ portRange: { first, last }, unprivilegedPortStart: setup.unprivilegedStart },
      ...(seed === undefined ? { random: () => this.#draws[this.drawn++] ?? 0 } : { seed }),
      ...(spare !== undefined && { memoryLimit: LIMIT }),
    });
    this.usedAtOpen = this.used;
    if (spare !== undefined) this.#fillers = fill(this.ports, spare);
  }

  /** Bytes in use. */
  get used(): number {
    return this.ports.stats().memory.used;
  }

  perform(operation: Operation): Answer {
    this.#draws = operation.draws ?? [];
    this.drawn = 0;
    const { ports } = this;
    switch (operation.op) {
      case "socket": {
        const { sock, type, reuse, device, group, privileged } = operation;
        const options = { type, reuseAddr: reuse, bindToDevice: device, privileged };
        return answered(() => {
          this.#sockets.set(sock, ports.socket({ ...options, group: this.#group(group) }));
        });
      }
      case "setGroup": {
        const group = this.#group(operation.group);
        if (operation.kind === "bind") group.bindPortRange = operation.range;
        else group.connectPortRange = operation.range;
        return "done";
      }
      case "setReserved":
        ports.reserved.text = operation.ports.join(",");
        return "done";
      case "setRange":
        ports.setPortRange(operation.first, operation.last);
        return "done";
      case "setUnprivilegedStart":
        ports.unprivilegedPortStart = operation.start;
        return "done";
      case "setNow":
        ports.setTime(operation.now * MS);
        return "done";
      case "expireTimeWait":
        return ports.expireTimeWait();
      default:
        return this.#onSocket(this.#socket(operation.sock), operation);
    }
  }

  look(sock: number): Look {
    const { type, state, address, port, reuseAddr } = this.#socket(sock);
    return { type, state, address, port, reuse: reuseAddr };
  }

  figures(): PairMetrics {
    const { buckets, sockets } = this.ports.stats();
    return { buckets, sockets, hint: this.ports.hint };
  }

  record(port: number): Known | undefined {
    return this.ports.bindBucket(port);
  }

  /** Traps, on the debug build, when an invariant does not hold. */
  verify(): void {
    verifyLinux(this.ports);
  }

  /** Closes what has only filled the memory. */
  empty(): void {
    for (const socket of this.#fillers) socket.close();
  }

  /** Closes it; the sum of uses of all groups, by whatever is left. */
  end(paths: readonly string[]): number {
    this.ports.close();
    const uses = paths.reduce((sum, path) => sum + this.#group(path).uses, 0);
    if (uses === 0) this.#groups.close();
    return uses;
  }

  #onSocket(socket: Linux2632Socket, operation: Operation): Answer {
    const isUdp = socket.type === "udp";
    switch (operation.op) {
      case "bind":
        return answered(() => socket.bind(operation.address, operation.port), isUdp);
      case "connect":
        return answered(() => connect(socket, operation), isUdp);
      case "listen":
        return answered(() => socket.listen(), isUdp);
      case "close":
        return answered(() => socket.close(), isUdp);
      case "closeToTimeWait": {
        const timestamp = operation.stamp === null ? null : operation.stamp * MS;
        return answered(() => socket.close({ timeWait: true, timestamp }), isUdp);
      }
      case "setReuse":
        return answered(() => {
          socket.reuseAddr = operation.reuse;
        }, isUdp);
      case "moveSocket":
        socket.group = this.#group(operation.group);
        return "done";
      default:
        return "done";
    }
  }

  #socket(sock: number): Linux2632Socket {
    return this.#sockets.get(sock) as Linux2632Socket;
  }

  #group(path: string): PortGroup {
    return this.#groups.get(path);
  }
}

/** Opens sockets that do nothing, until so many bytes are left, or a few less than one takes. */
export function fill(ports: Linux2632Ports, spare: number): Linux2632Socket[] {
  const fillers: Linux2632Socket[] = [];
  const { limit } = ports.stats().memory;
  for (;;) {
    const before = ports.stats().memory.used;
    const socket = ports.socket({ type: "udp" });
    const { used } = ports.stats().memory;
    fillers.push(socket);
    if (limit - used - (used - before) < spare) return fillers;
  }
}

function connect(socket: Linux2632Socket, { remote, remotePort, local, offset }: Target): number {
  if (local === undefined && offset === undefined) return socket.connect(remote, remotePort);
  return socket.connect(remote, remotePort, {
    ...(local !== undefined && { localAddress: local }),
    ...(offset !== undefined && { offset }),
  });
}

/** A refusal as an answer; any other error is none. */
function answered(act: () => unknown, withReason = false): Answer {
  try {
    const answer = act();
    return typeof answer === "number" ? answer : "done";
  } catch (error) {
    if (!(error instanceof PortError) || /^ERR_|^EBADF$|^ENOENT$/.test(error.code)) throw error;
    const { code, reason, searched } = error;
    if (!withReason) return { code };
    return { code, reason, ...(searched !== undefined && { searched }) };
  }
}
