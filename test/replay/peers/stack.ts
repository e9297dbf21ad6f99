// A user-space network stack as gVisor builds one above its port manager, as far as ports are
// concerned: what its endpoints ask of PortManager, and when (NETSTACK's callers, in
// pkg/tcpip/transport).
//
// bind() asks for the port with the demuxer as tester. connect() of a TCP socket without a port
// picks one and reserves it by its number, together with the remote end. accept() reserves the
// tuple. TIME_WAIT keeps it.

import { PortError, PortManager, TCP } from "../../../bindings/index.ts";
import { flagsOf } from "../../support/ask.ts";
import type { Name, Setup, SocketType, System } from "../linux-6.18/system.ts";
import {
  IPV4,
  IPV6,
  isLoopback,
  localOf,
  type Place,
  placeOf,
  remoteOf,
  written,
} from "./addresses.ts";
import { Demuxer, type Identity } from "./demuxer.ts";
import { Endpoint, type Held } from "./endpoint.ts";

/** How long TIME_WAIT keeps a tuple, and after how long its own host may take it over. */
const TIME_WAIT_MS = 60_000;
const TAKEOVER_MS = 1000;
const LOOPBACK_DEVICE = 1;
const ANYWHERE = { remoteAddress: "", remotePort: 0 };

interface Remote extends Place {
  readonly port: number;
}

type Options = NonNullable<Parameters<typeof PortManager.open>[0]>;

export function openStack(setup: Setup, options: Options = {}): System<Endpoint> {
  return new Stack(setup, options);
}

class Stack implements System<Endpoint> {
  readonly #manager: PortManager;
  readonly #usedAtOpen: number;
  readonly #addresses: readonly string[];
  readonly #demuxer = new Demuxer<Endpoint>();
  /** When each endpoint in TIME_WAIT came there. */
  readonly #timeWaits = new Map<Endpoint, number>();
  readonly #sockets = new Set<Endpoint>();
  #now = 0;

  constructor({ sysctl, addresses, seed }: Setup, options: Options) {
    this.#manager = PortManager.open({ ...options, seed });
    this.#addresses = addresses;
    for (const [name, text] of Object.entries(sysctl)) this.sysctl(name, text);
    this.#usedAtOpen = this.#manager.stats().memory.used;
  }

  socket(type: SocketType): Endpoint {
    return this.#known(new Endpoint(type));
  }

  setFlag(endpoint: Endpoint, flag: string, value: boolean): string {
    if (flag === "reuseaddr") endpoint.reuseAddress = value;
    if (flag === "reuseport") endpoint.reusePort = value;
    if (flag === "v6only") endpoint.v6Only = value;
    return "ok";
  }

  setDevice(endpoint: Endpoint, device: number): string {
    endpoint.device = device;
    return "ok";
  }

  setRange(): string {
    return "ENOPROTOOPT";
  }

  range(): readonly [number, number] {
    const { first, last } = this.#manager.portRange();
    return [first, last];
  }

  name({ address, port, isIPv6 }: Endpoint): Name {
    return { address: written(address, isIPv6), port };
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const [endpoint, since] of this.#timeWaits) {
      if (this.#now - since >= TIME_WAIT_MS) this.#forget(endpoint);
    }
  }

  sysctl(name: string, text: string): string {
    if (name !== "ip_local_port_range") return "ENOENT";
    const [first, last] = text.trim().split(/\s+/).map(Number) as [number, number];
    return codeOf(() => this.#manager.setPortRange(first, last));
  }

  readSysctl(): string {
    return this.range().join("\t");
  }

  end(): { bytes: number } {
    for (const endpoint of [...this.#sockets, ...this.#timeWaits.keys()]) this.#forget(endpoint);
    const bytes = this.#manager.stats().memory.used - this.#usedAtOpen;
    this.#manager.close();
    return { bytes };
  }

  // ── bind and listen ───────────────────────────────────────────────────────────────────────

  bind(endpoint: Endpoint, text: string, port: number): string {
    if (endpoint.state !== "initial") return "EINVAL";
    const place = placeOf(text);
    if (!this.#isOwn(place)) return "EADDRNOTAVAIL";
    const networks = endpoint.networksAt(place, text);
    const refusal = this.#reserve(endpoint, networks, place.address, port);
    if (refusal !== "ok") return refusal;
    endpoint.state = "bound";
    endpoint.isBound = true;
    endpoint.boundAddress = endpoint.address;
    if (endpoint.transport === TCP) return "ok";
    return this.#register(endpoint, networks, ANYWHERE) ? "ok" : this.#undone(endpoint);
  }

  listen(endpoint: Endpoint): string {
    if (endpoint.transport !== TCP) return "EOPNOTSUPP";
    if (endpoint.state === "listening") return "ok";
    if (endpoint.state === "initial") {
      const refusal = this.bind(endpoint, endpoint.isIPv6 ? "::" : "0.0.0.0", 0);
      if (refusal !== "ok") return refusal;
    }
    if (endpoint.state !== "bound") return "EINVAL";
    const { networks } = endpoint.held as Held;
    if (!this.#register(endpoint, networks as number[], ANYWHERE)) return "EADDRINUSE";
    endpoint.state = "listening";
    return "ok";
  }

  /** Asks the ports, with the demuxer as tester. */
  #reserve(endpoint: Endpoint, networks: number[], address: string, port: number): string {
    const { transport, device, flags } = endpoint;
    const isTcp = transport === TCP;
    const request = { ...this.#request(endpoint, networks, address), port };
    const tester = (localPort: number): boolean => {
      const identity = { localAddress: address, localPort, ...ANYWHERE };
      return this.#demuxer.allows({ transport, networks, identity, device, flags });
    };
    return codeOf(() => {
      const reservation = this.#manager.reservePort(request, isTcp ? tester : undefined);
      this.#hold(endpoint, { ...request, port: reservation.port }, address);
    });
  }

  // ── connect and accept ────────────────────────────────────────────────────────────────────

  connect(endpoint: Endpoint, text: string, port: number): string {
    if (endpoint.state === "failed") return "ECONNABORTED";
    const remote: Remote = { ...remoteOf(text), port };
    if (endpoint.transport !== TCP) return this.#connectUdp(endpoint, remote);
    if (endpoint.state === "connected") return "EISCONN";
    if (endpoint.state === "listening") return "EISCONN";
    const local = endpoint.address === "" ? localOf(remote) : endpoint.address;
    const refusal =
      endpoint.state === "bound"
        ? this.#connectBound(endpoint, local, remote)
        : this.#connectAny(endpoint, local, remote);
    if (refusal !== "ok") return refusal;
    endpoint.state = "connected";
    return this.#shakeHands(endpoint, remote);
  }

  /** The port is held already; what remains is the tuple, which may be another socket's. */
  #connectBound(endpoint: Endpoint, local: string, remote: Remote): string {
    endpoint.address = local;
    if (this.#register(endpoint, [remote.network], remoteEnd(remote), endpoint.heldFlags)) {
      this.#releaseOtherNetwork(endpoint, remote.network);
      return "ok";
    }
    endpoint.address = endpoint.boundAddress;
    return "EADDRNOTAVAIL";
  }

  /** Picks a port that can be reserved by its number, and registered, with just this remote end. */
  #connectAny(endpoint: Endpoint, local: string, remote: Remote): string {
    endpoint.address = local;
    try {
      this.#manager.pickEphemeralPort((port) => this.#takes(endpoint, port, remote));
      return "ok";
    } catch (error) {
      endpoint.address = "";
      if (error instanceof PortError && error.reason === "no-port-available") {
        return "EADDRNOTAVAIL";
      }
      throw error;
    }
  }

  #takes(endpoint: Endpoint, port: number, remote: Remote): boolean {
    const { network } = remote;
    if (endpoint.address === remote.address && port === remote.port) return false;
    const destination = { address: remote.address, port: remote.port };
    const request = { ...this.#request(endpoint, [network], endpoint.address), port, destination };
    const reserve = (): string => codeOf(() => void this.#manager.reservePort(request));
    if (reserve() !== "ok") {
      if (!this.#takesOverTimeWait(endpoint, port, remote) || reserve() !== "ok") return false;
    }
    this.#hold(endpoint, request, endpoint.address);
    if (this.#register(endpoint, [network], remoteEnd(remote))) return true;
    this.#release(endpoint);
    return false;
  }

  /** As `tcp_tw_reuse` has it by default: on loopback, and after a second. */
  #takesOverTimeWait(endpoint: Endpoint, localPort: number, remote: Remote): boolean {
    if (!isLoopback(remote.address)) return false;
    const identity = { localAddress: endpoint.address, localPort, ...remoteEnd(remote) };
    const { transport, device } = endpoint;
    const other = this.#demuxer.find(transport, remote.network, identity, device);
    const since = other && this.#timeWaits.get(other);
    if (other === undefined || since === undefined) return false;
    if (this.#now - since < TAKEOVER_MS) return false;
    this.#forget(other);
    return true;
  }

  #shakeHands(client: Endpoint, remote: Remote): string {
    const server = this.#listenerAt(client, remote);
    const accepted = server && this.#accepted(server, client, remote);
    if (server === undefined || accepted === undefined) {
      this.#forget(client);
      client.state = "failed";
      return "ECONNREFUSED";
    }
    client.peer = accepted;
    accepted.peer = client;
    server.waiting.push(accepted);
    return "ok";
  }

  #listenerAt(client: Endpoint, { network, address, port }: Remote): Endpoint | undefined {
    const device = client.device === 0 ? LOOPBACK_DEVICE : client.device;
    for (const localAddress of [address, ""]) {
      const identity = { localAddress, localPort: port, ...ANYWHERE };
      const found = this.#demuxer.find(TCP, network, identity, device);
      if (found?.state === "listening") return found;
    }
    return undefined;
  }

  /** The server's end, which holds the tuple with the listener's flags. */
  #accepted(listener: Endpoint, client: Endpoint, remote: Remote): Endpoint | undefined {
    const accepted = new Endpoint(listener.isIPv6 ? "tcp6" : "tcp4");
    const { network, address, port } = remote;
    const ends = { remoteAddress: client.address, remotePort: client.port };
    const identity = { localAddress: address, localPort: port, ...ends };
    const before = this.#demuxer.find(TCP, network, identity, 0);
    // A new connection ends the TIME_WAIT of the one before it.
    if (before !== undefined && this.#timeWaits.has(before)) this.#forget(before);
    const request = {
      ...this.#request(accepted, [network], address),
      flags: flagsOf(listener.heldFlags),
      destination: { address: client.address, port: client.port },
      port,
    };
    if (codeOf(() => void this.#manager.reserveTuple(request)) !== "ok") return undefined;
    this.#hold(accepted, request, address, listener.heldFlags);
    if (!this.#register(accepted, [network], ends, listener.heldFlags)) {
      this.#release(accepted);
      return undefined;
    }
    accepted.state = "connected";
    return this.#known(accepted);
  }

  accept(listener: Endpoint): Endpoint | undefined {
    return listener.waiting.shift();
  }

  // ── UDP ───────────────────────────────────────────────────────────────────────────────────

  #connectUdp(endpoint: Endpoint, remote: Remote): string {
    const { network } = remote;
    if (endpoint.state === "initial") {
      const refusal = this.#reserve(endpoint, [network], localOf(remote), 0);
      if (refusal !== "ok") return refusal === "EADDRINUSE" ? "EADDRNOTAVAIL" : refusal;
    }
    this.#unregister(endpoint);
    if (endpoint.address === "") endpoint.address = localOf(remote);
    this.#register(endpoint, [network], remoteEnd(remote));
    endpoint.state = "connected";
    return "ok";
  }

  disconnect(endpoint: Endpoint): string {
    if (endpoint.transport === TCP) return "EOPNOTSUPP";
    if (endpoint.state !== "connected") return "ok";
    if (!endpoint.isBound) {
      this.#release(endpoint);
      endpoint.address = "";
      endpoint.state = "initial";
      return "ok";
    }
    this.#unregister(endpoint);
    endpoint.address = endpoint.boundAddress;
    this.#register(endpoint, (endpoint.held as Held).networks as number[], ANYWHERE);
    endpoint.state = "bound";
    return "ok";
  }

  // ── close ─────────────────────────────────────────────────────────────────────────────────

  /**
   * The end that closes a connection first is left in TIME_WAIT, once the other end has closed
   * too.
   */
  close(endpoint: Endpoint, isReset: boolean): string {
    const { peer } = endpoint;
    for (const connection of endpoint.waiting.splice(0)) this.close(connection, true);
    endpoint.hasClosed = true;
    if (endpoint.transport !== TCP || peer === undefined || endpoint.state !== "connected") {
      this.#forget(endpoint);
    } else if (isReset) {
      this.#forget(endpoint);
      this.#forget(peer);
    } else if (peer.hasClosed) {
      this.#forget(endpoint);
      this.#timeWaits.set(peer, this.#now);
    }
    return "ok";
  }

  #forget(endpoint: Endpoint): void {
    this.#timeWaits.delete(endpoint);
    this.#sockets.delete(endpoint);
    this.#release(endpoint);
    endpoint.state = "closed";
  }

  // ── What an endpoint holds ────────────────────────────────────────────────────────────────

  #request(endpoint: Endpoint, networks: number[], address: string) {
    const { transport, device, flags } = endpoint;
    return { networks, transport, address, bindToDevice: device, flags: flagsOf(flags) };
  }

  #hold(endpoint: Endpoint, held: Held, address: string, flags = endpoint.flags): void {
    endpoint.held = held;
    endpoint.heldFlags = flags;
    endpoint.address = address;
    endpoint.port = held.port;
  }

  #release(endpoint: Endpoint): void {
    this.#unregister(endpoint);
    if (endpoint.held !== undefined) this.#manager.releasePort(endpoint.held);
    endpoint.held = undefined;
    endpoint.port = 0;
  }

  /** A dual-stack socket that has connected by one network needs the other no longer. */
  #releaseOtherNetwork(endpoint: Endpoint, network: number): void {
    const held = endpoint.held as Held;
    if (held.networks?.length !== 2) return;
    const other = network === IPV4 ? IPV6 : IPV4;
    this.#manager.releasePort({ ...held, networks: [other] });
    endpoint.held = { ...held, networks: [network] };
  }

  #register(
    endpoint: Endpoint,
    networks: number[],
    ends: Pick<Identity, "remoteAddress" | "remotePort">,
    flags = endpoint.heldFlags,
  ): boolean {
    this.#unregister(endpoint);
    const { transport, address, port, held } = endpoint;
    const identity = { localAddress: address, localPort: port, ...ends };
    const device = held?.bindToDevice ?? 0;
    const registration = { transport, networks, identity, device, flags };
    if (!this.#demuxer.register(registration, endpoint)) return false;
    endpoint.registration = registration;
    return true;
  }

  #unregister(endpoint: Endpoint): void {
    if (endpoint.registration !== undefined) this.#demuxer.unregister(endpoint.registration);
    endpoint.registration = undefined;
  }

  #undone(endpoint: Endpoint): string {
    this.#release(endpoint);
    Object.assign(endpoint, { state: "initial", isBound: false, address: "" });
    return "EADDRINUSE";
  }

  #known(endpoint: Endpoint): Endpoint {
    this.#sockets.add(endpoint);
    return endpoint;
  }

  #isOwn({ address }: Place): boolean {
    return address === "" || isLoopback(address) || this.#addresses.includes(address);
  }
}

function remoteEnd({ address, port }: Remote): { remoteAddress: string; remotePort: number } {
  return { remoteAddress: address, remotePort: port };
}

/** "ok", or the code of what was refused. */
function codeOf(act: () => void): string {
  try {
    act();
    return "ok";
  } catch (error) {
    if (error instanceof PortError) return error.code;
    throw error;
  }
}
