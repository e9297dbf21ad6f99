// The table of registered endpoints of a user-space network stack, as gVisor's demuxer keeps it
// (pkg/tcpip/stack/transport_demuxer.go): which endpoint receives packets for a local address and
// port from a remote one. Several endpoints may be registered with one identity where their flags
// allow it.

import { LOAD_BALANCED, MOST_RECENT } from "../../../assembly/abi.ts";

/** Which packets an endpoint is to get; "" and 0 stand for any. */
export interface Identity {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

export interface Registration {
  readonly transport: number;
  readonly networks: readonly number[];
  readonly identity: Identity;
  readonly device: number;
  readonly flags: number;
}

/** TUPLE_ONLY does not count here: that two tuples are equal is what the demuxer finds out. */
const SHARING_FLAGS = MOST_RECENT | LOAD_BALANCED;

export class Demuxer<Endpoint> {
  readonly #registered = new Map<string, { endpoint: Endpoint; registration: Registration }[]>();

  /** Could an endpoint be registered so, beside those that are there? */
  allows(registration: Registration): boolean {
    return keysOf(registration).every((key) => {
      const others = (this.#registered.get(key) ?? []).map(({ registration: { flags } }) => flags);
      const shared = others.reduce((all, flags) => all & flags, SHARING_FLAGS);
      return others.length === 0 || (shared & registration.flags) !== 0;
    });
  }

  register(registration: Registration, endpoint: Endpoint): boolean {
    if (!this.allows(registration)) return false;
    for (const key of keysOf(registration)) {
      const entries = this.#registered.get(key) ?? [];
      this.#registered.set(key, [...entries, { endpoint, registration }]);
    }
    return true;
  }

  unregister(registration: Registration): void {
    for (const key of keysOf(registration)) {
      const entries = this.#registered.get(key) ?? [];
      const left = entries.filter((entry) => entry.registration !== registration);
      if (left.length > 0) this.#registered.set(key, left);
      else this.#registered.delete(key);
    }
  }

  /** The endpoints registered with just this identity, on the device or on none. */
  find(
    transport: number,
    network: number,
    identity: Identity,
    device: number,
  ): Endpoint | undefined {
    for (const at of [device, 0]) {
      const found = this.#registered.get(keyOf(transport, network, identity, at));
      if (found !== undefined) return found[0]?.endpoint;
    }
    return undefined;
  }
}

function keysOf({ transport, networks, identity, device }: Registration): string[] {
  return networks.map((network) => keyOf(transport, network, identity, device));
}

function keyOf(transport: number, network: number, identity: Identity, device: number): string {
  const { localAddress, localPort, remoteAddress, remotePort } = identity;
  return [transport, network, localAddress, localPort, remoteAddress, remotePort, device].join();
}
