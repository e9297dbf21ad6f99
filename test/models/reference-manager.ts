// The reference model: gVisor's port manager as one would write it with maps, one port at a time.
//
// It is the second opinion of the fuzzer and the baseline of the benches, so it has one
// virtue only: each rule can be read off a few lines. What is held is a tree of maps.
//
//   (network, transport) ─▶ port ─▶ local address ─▶ device ─▶ destination ─▶ references[8]
//                                   "" is any        0 is none  "" is any      one per flag set
//
// A counter says how often its key is held with each of the eight combinations of the three
// flags. Below a port no map is ever empty: whatever loses its last reference is removed at
// once, level by level, and the port with it. "There is a map" therefore means "something is held".
//
// The price: a search looks at every port of the range, and judging one port looks at every
// destination held there. Both are what the core is measured against.
//
// It answers as gVisor's `pkg/tcpip/ports` does, negative counts included, but for four cases:
// a range from port 0 is refused, a search meets each port exactly once even where the offset
// passes 2^32, port 0 cannot be released or reserved as a tuple, and a repeated network counts
// once (none at all is a mistake of the caller).

import {
  EPHEMERAL_FIRST,
  EPHEMERAL_LAST,
  EXHAUSTED,
  FLAG_MASK,
  IN_USE,
  PORT_MAX,
  TRANSPORT_TCP,
  TUPLE_ONLY,
} from "../../assembly/abi.ts";

/** What is asked for. Addresses are canonical text, "" is any; port 0 means "pick one". */
export interface ReferenceRequest {
  networks: readonly number[];
  transport: number;
  address: string;
  port: number;
  flags: number;
  device: number;
  destination: { address: string; port: number };
}

/** Whether a port suits the caller. What it throws comes out of the call that asked. */
type ReferenceTester = (port: number) => boolean;

/** A request without its port, made ready for a search over many ports. */
interface Key {
  readonly networks: readonly number[];
  readonly transport: number;
  readonly address: string;
  readonly device: number;
  readonly flags: number;
  readonly destination: string;
  readonly toAnywhere: boolean;
}

interface Counter {
  readonly toAnywhere: boolean;
  /** By flag set. One may fall below zero after a release with other flags; the sum never. */
  readonly references: number[];
}

type Destinations = Map<string, Counter>;
type Devices = Map<number, Destinations>;
type Addresses = Map<string, Devices>;
type Ports = Map<number, Addresses>;

const ANY = "";
const NO_DEVICE = 0;

export class ReferencePortManager {
  /** By network and transport. */
  readonly #ports = new Map<string, Ports>();
  #first = EPHEMERAL_FIRST;
  #last = EPHEMERAL_LAST;
  #hint = 0;

  /** The port now held, or `IN_USE` for an explicit port, or `EXHAUSTED` for a search. */
  reservePort(request: ReferenceRequest, offset: number, test?: ReferenceTester): number {
    const key = keyOf(request);
    const isNamed = request.port !== 0;
    const reserve = (port: number): boolean => {
      if (!this.#isAvailable(key, port, isNamed)) return false;
      this.#add(key, port);
      return test === undefined || this.#keepIf(test, key, port);
    };

    if (isNamed) return reserve(request.port) ? request.port : IN_USE;
    return this.pickEphemeralPort(offset, reserve);
  }

  /** Holds one connection. Only the very same tuple can be in its way, no listener ever is. */
  reserveTuple(request: ReferenceRequest): boolean {
    const key = keyOf(request);
    const port = explicitPort(request);
    for (const network of key.networks) {
      const counter = this.#counter(network, key, port);
      if (counter !== undefined && (sharedFlags(counter) & key.flags) === 0) return false;
    }
    this.#add(key, port);
    return true;
  }

  /** Gives one reference back on each network; true if the key was held on any of them. */
  releasePort(request: ReferenceRequest): boolean {
    return this.#drop(keyOf(request), explicitPort(request));
  }

  /** The first port from `offset` on, round the range, that passes the test, or `EXHAUSTED`. */
  pickEphemeralPort(offset: number, test: ReferenceTester): number {
    const first = this.#first;
    const count = this.#last - first + 1;
    const start = offset % count;
    for (let i = 0; i < count; i++) {
      const port = first + ((start + i) % count);
      if (test(port)) return port;
    }
    return EXHAUSTED;
  }

  /** The same from `offset` plus a hint, which moves on by one with each port found. */
  pickEphemeralPortStable(offset: number, test: ReferenceTester): number {
    const port = this.pickEphemeralPort((this.#hint + offset) >>> 0, test);
    if (port !== EXHAUSTED) this.#hint = (this.#hint + 1) >>> 0;
    return port;
  }

  /** Picks as connect() does: each port is judged as if it had been named. */
  connect(request: ReferenceRequest, offset: number): number {
    const key = keyOf(request);
    return this.pickEphemeralPort(offset, (port) => {
      if (!this.#isAvailable(key, port, true)) return false;
      this.#add(key, port);
      return true;
    });
  }

  isAvailable(request: ReferenceRequest, portSpecified = true): boolean {
    return this.#isAvailable(keyOf(request), explicitPort(request), portSpecified);
  }

  portRange(): { first: number; last: number } {
    return { first: this.#first, last: this.#last };
  }

  setPortRange(first: number, last: number): boolean {
    if (first < 1 || first > last || last > PORT_MAX) return false;
    this.#first = first;
    this.#last = last;
    return true;
  }

  stats(): { descriptors: number; counters: number; references: number } {
    const stats = { descriptors: 0, counters: 0, references: 0 };
    for (const ports of this.#ports.values()) {
      stats.descriptors += ports.size;
      for (const addresses of ports.values()) countPort(addresses, stats);
    }
    return stats;
  }

  // ── One port ──────────────────────────────────────────────────────────────────────────────

  #isAvailable(key: Key, port: number, isNamed: boolean): boolean {
    for (const network of key.networks) {
      const addresses = this.#addresses(network, key, port);
      if (addresses !== undefined && !addressesAllow(addresses, key, isNamed)) return false;
    }
    return true;
  }

  #add(key: Key, port: number): void {
    for (const network of key.networks) {
      const ports = under(this.#ports, `${network}/${key.transport}`, (): Ports => new Map());
      const addresses = under(ports, port, (): Addresses => new Map());
      const devices = under(addresses, key.address, (): Devices => new Map());
      const destinations = under(devices, key.device, (): Destinations => new Map());
      const counter = under(destinations, key.destination, () => newCounter(key));
      count(counter, key.flags, +1);
    }
  }

  /** The flags dropped need not be held: the sum alone decides when a counter goes. */
  #drop(key: Key, port: number): boolean {
    let wasHeld = false;
    for (const network of key.networks) {
      const counter = this.#counter(network, key, port);
      if (counter === undefined) continue;
      wasHeld = true;
      count(counter, key.flags, -1);
      if (total(counter) <= 0) this.#remove(network, key, port);
    }
    return wasHeld;
  }

  #keepIf(test: ReferenceTester, key: Key, port: number): boolean {
    let keep = false;
    try {
      keep = test(port);
    } finally {
      if (!keep) this.#drop(key, port);
    }
    return keep;
  }

  #addresses(network: number, { transport }: Key, port: number): Addresses | undefined {
    return this.#ports.get(`${network}/${transport}`)?.get(port);
  }

  #counter(network: number, key: Key, port: number): Counter | undefined {
    const devices = this.#addresses(network, key, port)?.get(key.address);
    return devices?.get(key.device)?.get(key.destination);
  }

  #remove(network: number, key: Key, port: number): void {
    const addresses = this.#addresses(network, key, port);
    const devices = addresses?.get(key.address);
    const destinations = devices?.get(key.device);

    destinations?.delete(key.destination);
    if (destinations?.size === 0) devices?.delete(key.device);
    if (devices?.size === 0) addresses?.delete(key.address);
    if (addresses?.size === 0) this.#ports.get(`${network}/${key.transport}`)?.delete(port);
  }
}

// ── The rules of sharing ────────────────────────────────────────────────────────────────────

/** Any address meets all addresses; a specific one meets itself and any. Each is judged alone. */
function addressesAllow(addresses: Addresses, key: Key, isNamed: boolean): boolean {
  if (key.address === ANY) {
    for (const devices of addresses.values()) {
      if (!devicesAllow(devices, key, isNamed)) return false;
    }
    return true;
  }
  for (const address of [ANY, key.address]) {
    const devices = addresses.get(address);
    if (devices !== undefined && !devicesAllow(devices, key, isNamed)) return false;
  }
  return true;
}

/** No device meets all devices; a device meets itself and none. They are judged together. */
function devicesAllow(devices: Devices, key: Key, isNamed: boolean): boolean {
  const sharesNothing = !isNamed && key.transport === TRANSPORT_TCP;
  if (key.device === NO_DEVICE) {
    // Whatever is held here is in the way, even for a destination that does not meet ours.
    return flagsAllow(devices.values(), key, false) && !sharesNothing;
  }
  const near = [devices.get(NO_DEVICE), devices.get(key.device)];
  return flagsAllow(
    near.filter((destinations) => destinations !== undefined),
    key,
    sharesNothing,
  );
}

/** All that meet must share a flag with us, and it must be the same flag for all of them. */
function flagsAllow(near: Iterable<Destinations>, key: Key, sharesNothing: boolean): boolean {
  let shared = FLAG_MASK;
  for (const destinations of near) {
    for (const [destination, counter] of destinations) {
      if (destination === key.destination) {
        shared &= sharedFlags(counter);
      } else if (counter.toAnywhere || key.toAnywhere) {
        // A destination against any: only TupleOnly is judged, the other flags pass.
        shared &= ~TUPLE_ONLY | sharedFlags(counter);
      } else {
        continue;
      }
      if ((shared & key.flags) === 0 || sharesNothing) return false;
    }
  }
  return true;
}

// ── Counters ────────────────────────────────────────────────────────────────────────────────

function newCounter(key: Key): Counter {
  return { toAnywhere: key.toAnywhere, references: [0, 0, 0, 0, 0, 0, 0, 0] };
}

function count(counter: Counter, flags: number, step: number): void {
  counter.references[flags] = (counter.references[flags] ?? 0) + step;
}

function total(counter: Counter): number {
  return counter.references.reduce((sum, references) => sum + references);
}

/** The flags that every holder has. A count below zero is no holder. */
function sharedFlags(counter: Counter): number {
  let shared = FLAG_MASK;
  counter.references.forEach((references, flags) => {
    if (references > 0) shared &= flags;
  });
  return shared;
}

function countPort(addresses: Addresses, stats: { counters: number; references: number }): void {
  for (const devices of addresses.values()) {
    for (const destinations of devices.values()) {
      stats.counters += destinations.size;
      for (const counter of destinations.values()) stats.references += total(counter);
    }
  }
}

// ── Requests ────────────────────────────────────────────────────────────────────────────────

function keyOf(request: ReferenceRequest): Key {
  const { transport, address, device, flags, destination } = request;
  const networks = request.networks.length === 1 ? request.networks : distinct(request.networks);
  return {
    networks,
    transport,
    address,
    device,
    flags,
    destination: `${destination.port} ${destination.address}`,
    toAnywhere: destination.address === ANY,
  };
}

function distinct(networks: readonly number[]): readonly number[] {
  if (networks.length === 0) throw new RangeError("a request needs at least one network");
  return [...new Set(networks)];
}

function explicitPort(request: ReferenceRequest): number {
  if (request.port === 0) throw new RangeError("port 0 cannot be held, so it cannot be named");
  return request.port;
}

/** The value at `key`, made first if there is none. */
function under<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
