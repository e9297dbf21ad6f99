// What Kubernetes, moby and Nomad expect of an allocator of ports, as calls on a manager, its
// pools, groups and reserved lists. The suites call a pool a flow.

import {
  type PolicyName,
  PortError,
  type PortGroup,
  PortGroups,
  PortManager,
  type PortPool,
  Refusal,
  ReservedPorts,
  TCP,
  UDP,
} from "../../../bindings/index.ts";
import { BadInput } from "../input.ts";
import type { Call } from "../linux-6.18/sequences.ts";

interface PoolDescription {
  readonly address?: string;
  readonly networks?: readonly number[];
  readonly transport?: "tcp" | "udp";
  readonly group?: string;
  readonly reserved?: string;
}

interface Range {
  readonly first: number;
  readonly last: number;
}

interface OpenOptions {
  readonly portRange: Range;
  readonly selection?: PolicyName;
}

type Options = NonNullable<Parameters<typeof PortManager.open>[0]>;

/** Refusals by the suites' names. */
const NAMES: Readonly<Record<number, string>> = {
  [Refusal.IN_USE]: "IN_USE",
  [Refusal.EXHAUSTED]: "EXHAUSTED",
  [Refusal.OUTSIDE_GROUP]: "OUTSIDE",
  [Refusal.EMPTY_RANGE]: "NO_RANGE",
};

export class AllocatorPlayer {
  readonly #options: Options;
  readonly #groups: PortGroups;
  readonly #named = new Map<string, PortGroup | ReservedPorts | PortPool>();
  #wrongGroups = 0;
  #manager: PortManager | undefined;

  constructor(options: Options = {}) {
    this.#options = options;
    const { module } = options;
    this.#groups = PortGroups.open(module === undefined ? {} : { module });
  }

  play([op, ...rest]: Call): unknown {
    const [name, value] = rest as [string, never];
    switch (op) {
      case "open":
        this.#manager = this.#open(rest[0] as OpenOptions);
        return null;
      case "group":
        this.#named.set(name, this.#group(`/${name}`, value));
        return null;
      case "groupError":
        return codeOf(() => this.#group(`/wrong-${++this.#wrongGroups}`, rest[0] as Range));
      case "reserved":
        this.#named.set(name, this.#reserved(value));
        return null;
      case "flow":
        this.#named.set(name, this.#pool(value));
        return null;
      case "reserveAll":
        return this.#reserveAll(rest[1] as string[], rest[2] as number, rest[4] as number);
      case "parseReserved":
        return this.#portsOf(name);
      case "parseReservedWithin": {
        const [text, first, last] = rest as [string, number, number];
        const ports = this.#portsOf(text);
        return Array.isArray(ports) ? ports.filter((port) => port >= first && port <= last) : ports;
      }
      default:
        return this.#ofPool(op, this.#find(name), rest.slice(1) as number[]);
    }
  }

  end(): void {
    this.#manager?.close();
    for (const named of this.#named.values()) if (named instanceof ReservedPorts) free(named);
  }

  #ofPool(op: string, pool: PortPool, [port = 0, last = 0]: readonly number[]): unknown {
    switch (op) {
      case "take":
        return named(pool.take());
      case "takeAt":
        return codeOf(() => named(pool.takeAt(port)));
      case "takeMany":
        return pool.takeMany(new Uint16Array(port));
      case "takeAll":
      case "takeAllInOrder":
        return takeAll(pool);
      case "free":
        return pool.free(port);
      case "has":
        return pool.has(port);
      case "held":
        return pool.held;
      case "list":
        return Array.from({ length: last - port + 1 }, (_, at) => port + at).filter((one) =>
          pool.has(one),
        );
      default:
        throw new BadInput(`unknown call ${JSON.stringify(op)}`);
    }
  }

  /** The sequential allocators of the suites begin with the first port of their range. */
  #open({ portRange, selection: algorithm }: OpenOptions): PortManager {
    if (algorithm === undefined) return PortManager.open({ ...this.#options, portRange });
    const from = algorithm === "sequential" ? { from: 0 } : {};
    return PortManager.open({ ...this.#options, portRange, selection: { algorithm, ...from } });
  }

  #group(path: string, range: Range): PortGroup {
    const group = this.#groups.create(path);
    group.bindPortRange = range;
    return group;
  }

  #reserved(text: string): ReservedPorts {
    const { module } = this.#options;
    return new ReservedPorts(text, module === undefined ? {} : { module });
  }

  #pool({ address, networks, transport, group, reserved }: PoolDescription): PortPool {
    return this.#opened().pool({
      transport: transport === "udp" ? UDP : TCP,
      ...(address !== undefined && { address }),
      networks: networks ?? [address?.includes(":") ? 6 : 4],
      ...(group !== undefined && { group: this.#named.get(group) as PortGroup }),
      ...(reserved !== undefined && { reserved: this.#named.get(reserved) as ReservedPorts }),
    });
  }

  /** One port at all of these addresses, searched from the offset unless it is given. */
  #reserveAll([first = "", ...others]: string[], port: number, offset: number): unknown {
    const manager = this.#opened();
    const at = (address: string, wanted: number) => ({
      networks: [address.includes(":") ? 6 : 4],
      transport: TCP,
      address,
      port: wanted,
    });
    const test = (wanted: number): boolean =>
      others.every((address) => manager.isAvailable(at(address, wanted)));
    return codeOf(() => {
      const request = at(first, port);
      const got = manager.reservePort(port === 0 ? { ...request, offset } : request, test);
      for (const address of others) manager.reservePort(at(address, got.port));
      return got.port;
    });
  }

  #portsOf(text: string): number[] | string {
    return codeOf(() => {
      const reserved = this.#reserved(text);
      const all = Array.from({ length: 65536 }, (_, port) => port);
      const ports = all.filter((port) => reserved.has(port));
      free(reserved);
      return ports;
    });
  }

  #opened(): PortManager {
    if (this.#manager === undefined) throw new BadInput("no manager has been opened");
    return this.#manager;
  }

  #find(name: string): PortPool {
    const pool = this.#named.get(name);
    if (pool === undefined) throw new BadInput(`no flow is called ${name}`);
    return pool as PortPool;
  }
}

function takeAll(pool: PortPool): object {
  const ports: number[] = [];
  let port: number = pool.take();
  for (; port > 0; port = pool.take()) ports.push(port);
  return {
    n: ports.length,
    distinct: new Set(ports).size === ports.length,
    inOrder: ports.every((one, at) => at === 0 || one > (ports[at - 1] as number)),
    first: ports[0],
    min: Math.min(...ports),
    max: Math.max(...ports),
    end: named(port),
  };
}

function named(port: number): number | string {
  return port > 0 ? port : (NAMES[port] ?? `refusal ${port}`);
}

function codeOf<T>(act: () => T): T | string {
  try {
    return act();
  } catch (error) {
    if (error instanceof PortError) return error.code;
    throw error;
  }
}

/** Those that have an end of their own. */
function free(reserved: ReservedPorts & { close?(): void }): void {
  reserved.close?.();
}
