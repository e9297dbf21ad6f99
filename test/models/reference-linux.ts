// The reference model of Linux2632Ports: the two functions with which Linux 2.6.32 to 3.2 gave TCP
// sockets their local ports, `inet_csk_get_port` (bind, listen) and `__inet_hash_connect`
// (connect), with a bind range and a connect range per group, as one would write them with maps.
//
// It follows their steps one by one, on what the kernel keeps. It is the second opinion of the
// replays and the fuzzer, and the baseline of the benches.
//
//   buckets       port ─▶ fastreuse, owners        there is one while the port has owners
//   established   local:port remote:port device ─▶ a connected socket, or its TIME_WAIT
//
// An owner is a socket or a TIME_WAIT. A bucket's `fastreuse` is written when an owner comes and
// never when one leaves:
//
//   > 0   all owners were bound with the reuse bit, and were not listening
//     0   one of them was not
//    -1   connect() made the bucket; sockets that joined by bind() since then had the reuse bit
//
// Time is in seconds and given by the caller, and so is chance: each run of the search behind
// bind() to port 0 draws one value. Nothing refused has changed anything but what the rules say.

/** Why a call was refused, as the kernel's callers see it. */
export type ReferenceRefusal = "EADDRINUSE" | "EADDRNOTAVAIL" | "EINVAL" | "EISCONN";

/** Both ends included. Empty when the last port is below the first. */
export interface ReferenceRange {
  readonly first: number;
  readonly last: number;
}

type Kind = "bind" | "connect";

export interface ReferenceSocket {
  reuse: boolean;
  /** 0: none. */
  readonly device: number;
  group: ReferenceGroup;
  /** "" is any. */
  address: string;
  /** 0: none. */
  port: number;
  state: "closed" | "listening" | "connected";
  /** Whether it was bound to a port that it named: then a failed connect() does not lose it. */
  isPortNamed: boolean;
  /** Where it stands among the established; "" where it does not. */
  tuple: string;
}

/** Where a connect() goes, and the address that routing would choose for it. */
export interface ReferenceWay {
  readonly local: string;
  readonly remote: string;
  readonly remotePort: number;
}

export interface ReferenceGroup {
  readonly parent: ReferenceGroup | undefined;
  /** Absent: no limit at this step. */
  bind?: ReferenceRange | undefined;
  connect?: ReferenceRange | undefined;
}

type BoundField = "reuse" | "device" | "address" | "port" | "tuple";

interface TimeWait extends Readonly<Pick<ReferenceSocket, BoundField>> {
  readonly state: "time-wait";
  readonly entered: number;
  /** When the last TCP timestamp was seen; absent: there was none. */
  readonly stamp: number | undefined;
}

type Owner = ReferenceSocket | TimeWait;

interface Bucket {
  fastreuse: number;
  readonly owners: Set<Owner>;
  /** How many of the owners are sockets (`num_owners`). */
  sockets: number;
}

const ANY = "";
const NO_DEVICE = 0;
const NO_PORT = 0;
const ALL: ReferenceRange = { first: 1, last: 65535 };
const TIME_WAIT_SECONDS = 60;
const RETRIES = 5;

export class ReferenceLinuxPorts {
  readonly #random: () => number;
  readonly #buckets = new Map<number, Bucket>();
  readonly #established = new Map<string, Owner>();
  /** In the order in which they are due. */
  readonly #timeWaits = new Set<TimeWait>();
  readonly #groups = new Map<string, ReferenceGroup>([["/", { parent: undefined }]]);
  #hint: number;
  /** Sockets that own a port, any port (`bsockets`). */
  #sockets = 0;
  /** Where ports are picked. */
  range: ReferenceRange = { first: 32768, last: 60999 };
  /** Never picked. */
  reserved: ReadonlySet<number> = new Set();
  reusesTimeWait = false;
  /** In seconds. */
  now = 0;
  /** How many random values the last bind() or listen() drew: one per run of its search. */
  drawn = 0;

  /** @param random gives uniform 32-bit numbers; the search of connect() starts at the hint. */
  constructor(random: () => number, hint = 0) {
    this.#random = random;
    this.#hint = hint;
  }

  // ── What sockets do ───────────────────────────────────────────────────────────────────────

  socket(reuse: boolean, device: number, group: ReferenceGroup): ReferenceSocket {
    const bound = { address: ANY, port: NO_PORT, isPortNamed: false };
    return { reuse, device, group, state: "closed", tuple: "", ...bound };
  }

  /** The port now held; port 0 asks for any. */
  bind(socket: ReferenceSocket, address: string, port: number): number | ReferenceRefusal {
    this.drawn = 0;
    if (socket.port !== NO_PORT || socket.state !== "closed") return "EINVAL";
    socket.address = address;
    if (!this.#getPort(socket, port)) {
      socket.address = ANY;
      return "EADDRINUSE";
    }
    socket.isPortNamed = port !== NO_PORT;
    return socket.port;
  }

  listen(socket: ReferenceSocket): number | ReferenceRefusal {
    this.drawn = 0;
    if (socket.state === "connected") return "EINVAL";
    if (socket.state === "listening") return socket.port;
    socket.state = "listening";
    if (this.#getPort(socket, socket.port)) return socket.port;
    socket.state = "closed";
    return "EADDRINUSE";
  }

  connect(
    socket: ReferenceSocket,
    way: ReferenceWay,
    portOffset: number,
  ): number | ReferenceRefusal {
    if (socket.state !== "closed") return "EISCONN";
    const before = socket.address;
    if (socket.address === ANY) socket.address = way.local;
    if (this.#hashConnect(socket, way, portOffset)) {
      socket.state = "connected";
      return socket.port;
    }
    socket.address = before;
    if (socket.port !== NO_PORT && !socket.isPortNamed) this.#leave(socket);
    return "EADDRNOTAVAIL";
  }

  close(socket: ReferenceSocket): void {
    if (socket.port === NO_PORT) return;
    if (socket.state === "connected") this.#established.delete(socket.tuple);
    this.#leave(socket);
  }

  /** A connected socket goes, its tuple stays for a while and owns the port in its place. */
  closeToTimeWait(socket: ReferenceSocket, stamp: number | undefined): void {
    const { reuse, device, address, port, tuple } = socket;
    const key = { reuse, device, address, port, tuple };
    const entry: TimeWait = { ...key, state: "time-wait", entered: this.now, stamp };
    this.#timeWaits.add(entry);
    this.#established.set(tuple, entry);
    this.#buckets.get(port)?.owners.add(entry);
    this.#leave(socket);
  }

  /** Removes what has waited its time; how many that were. */
  expireTimeWait(): number {
    const before = this.#timeWaits.size;
    for (const entry of this.#timeWaits) {
      if (this.now < entry.entered + TIME_WAIT_SECONDS) break;
      this.#established.delete(entry.tuple);
      this.#endTimeWait(entry);
    }
    return before - this.#timeWaits.size;
  }

  /** By its path; one that was never heard of has no ranges of its own. */
  group(path: string): ReferenceGroup {
    let group = this.#groups.get(path);
    if (group === undefined) {
      const parent = path.slice(0, path.lastIndexOf("/")) || "/";
      group = { parent: this.group(parent) };
      this.#groups.set(path, group);
    }
    return group;
  }

  // ── What is to be seen ────────────────────────────────────────────────────────────────────

  bucket(port: number): { fastreuse: number; owners: number; timeWait: number } | undefined {
    const bucket = this.#buckets.get(port);
    if (bucket === undefined) return undefined;
    const { fastreuse, owners, sockets } = bucket;
    return { fastreuse, owners: sockets, timeWait: owners.size - sockets };
  }

  stats(): { buckets: number; bsockets: number; hint: number } {
    return { buckets: this.#buckets.size, bsockets: this.#sockets, hint: this.#hint };
  }

  /** Could a search take this port for the socket? Reserved ports are another matter. */
  suitsBind(socket: ReferenceSocket, address: string, port: number): boolean {
    const bucket = this.#buckets.get(port);
    return bucket === undefined || !conflicts({ ...socket, address }, bucket);
  }

  suitsConnect(socket: ReferenceSocket, way: ReferenceWay, port: number): boolean {
    const bucket = this.#buckets.get(port);
    if (bucket === undefined) return true;
    const local = socket.address === ANY ? way.local : socket.address;
    return bucket.fastreuse < 0 && this.#isFree(tupleOf(local, port, way, socket.device), false);
  }

  // ── inet_csk_get_port ─────────────────────────────────────────────────────────────────────

  /** Makes the socket an owner of port `named`, or, where that is 0, of one that is found. */
  #getPort(socket: ReferenceSocket, named: number): boolean {
    const shares = socket.reuse && socket.state !== "listening";
    let attempts = RETRIES;
    for (;;) {
      const found = named === NO_PORT ? this.#search(socket, shares) : this.#named(socket, named);
      if (found === undefined) return false;
      const { port, smallestSize } = found;
      const bucket = this.#buckets.get(port);
      if (bucket === undefined) {
        this.#own(socket, port, this.#newBucket(port, shares ? 1 : 0));
        return true;
      }
      if (bucket.fastreuse <= 0 || !shares || smallestSize !== -1) {
        if (conflicts(socket, bucket)) {
          if (shares && smallestSize !== -1 && --attempts >= 0) continue;
          return false;
        }
        if (bucket.fastreuse !== 0 && !shares) bucket.fastreuse = 0;
      }
      if (socket.port === NO_PORT) this.#own(socket, port, bucket);
      return true;
    }
  }

  #named(socket: ReferenceSocket, port: number): Found | undefined {
    const { first, last } = limited(ALL, socket.group, "bind");
    return port < first || port > last ? undefined : { port, smallestSize: -1 };
  }

  /** From a random port on, round the range: `rover` looks at each of the `remaining` ports. */
  #search(socket: ReferenceSocket, shares: boolean): Found | undefined {
    const { first: low, last: high } = limited(this.range, socket.group, "bind");
    if (low > high) return undefined;
    let remaining = high - low + 1;
    let rover = low + (this.#random() % remaining);
    this.drawn += 1;
    let smallestSize = -1;
    let smallestRover = rover;

    do {
      if (!this.reserved.has(rover)) {
        const bucket = this.#buckets.get(rover);
        if (bucket === undefined) return { port: rover, smallestSize };
        const isFewest = smallestSize === -1 || bucket.sockets < smallestSize;
        if (bucket.fastreuse > 0 && shares && isFewest) {
          smallestSize = bucket.sockets;
          smallestRover = rover;
          if (this.#sockets > high - low + 1) return { port: smallestRover, smallestSize };
        }
        if (!conflicts(socket, bucket)) return { port: rover, smallestSize };
      }
      rover = rover === high ? low : rover + 1;
    } while (--remaining > 0);

    return smallestSize === -1 ? undefined : { port: smallestRover, smallestSize };
  }

  // ── __inet_hash_connect ───────────────────────────────────────────────────────────────────

  #hashConnect(socket: ReferenceSocket, way: ReferenceWay, portOffset: number): boolean {
    const { address, port, device } = socket;
    if (port === NO_PORT) return this.#connectFromAny(socket, way, portOffset);

    const tuple = tupleOf(address, port, way, device);
    const isOnlyOwner = this.#buckets.get(port)?.owners.size === 1;
    if (!isOnlyOwner && !this.#isFree(tuple, true)) return false;
    this.#establish(socket, tuple);
    return true;
  }

  #connectFromAny(socket: ReferenceSocket, way: ReferenceWay, portOffset: number): boolean {
    const { first: low, last: high } = limited(this.range, socket.group, "connect");
    const offset = (this.#hint + portOffset) >>> 0;
    const remaining = high - low + 1;

    for (let i = 1; i <= remaining; i++) {
      const port = low + (((i + offset) >>> 0) % remaining);
      if (this.reserved.has(port)) continue;
      const bucket = this.#buckets.get(port);
      if (bucket !== undefined && bucket.fastreuse >= 0) continue;
      const tuple = tupleOf(socket.address, port, way, socket.device);
      if (bucket !== undefined && !this.#isFree(tuple, false)) continue;
      this.#hint = (this.#hint + i) >>> 0;
      this.#own(socket, port, bucket ?? this.#newBucket(port, -1));
      this.#establish(socket, tuple);
      return true;
    }
    return false;
  }

  /** No connection has the tuple, or a TIME_WAIT that may be taken over (`check_established`). */
  #isFree(tuple: string, isBound: boolean): boolean {
    const there = this.#established.get(tuple);
    if (there === undefined) return true;
    if (there.state !== "time-wait" || there.stamp === undefined) return false;
    return isBound || (this.reusesTimeWait && this.now - there.stamp > 1);
  }

  #establish(socket: ReferenceSocket, tuple: string): void {
    const there = this.#established.get(tuple);
    if (there?.state === "time-wait") this.#endTimeWait(there);
    this.#established.set(tuple, socket);
    socket.tuple = tuple;
  }

  #newBucket(port: number, fastreuse: number): Bucket {
    const bucket: Bucket = { fastreuse, owners: new Set(), sockets: 0 };
    this.#buckets.set(port, bucket);
    return bucket;
  }

  #own(socket: ReferenceSocket, port: number, bucket: Bucket): void {
    bucket.owners.add(socket);
    bucket.sockets += 1;
    this.#sockets += 1;
    socket.port = port;
  }

  /** The socket gives up its port. */
  #leave(socket: ReferenceSocket): void {
    const bucket = this.#buckets.get(socket.port) as Bucket;
    bucket.sockets -= 1;
    this.#sockets -= 1;
    this.#disown(socket, bucket);
    socket.port = NO_PORT;
  }

  #endTimeWait(entry: TimeWait): void {
    this.#timeWaits.delete(entry);
    this.#disown(entry, this.#buckets.get(entry.port) as Bucket);
  }

  #disown(owner: Owner, bucket: Bucket): void {
    bucket.owners.delete(owner);
    if (bucket.owners.size === 0) this.#buckets.delete(owner.port);
  }
}

/** What a search comes back with; `smallestSize` is -1 unless it has noted a port to share. */
interface Found {
  readonly port: number;
  readonly smallestSize: number;
}

/** What all ranges on the way from a group up to the root leave of a range. */
export function limited(
  { first, last }: ReferenceRange,
  from: ReferenceGroup,
  kind: Kind,
): ReferenceRange {
  let low = first;
  let high = last;
  for (let group: ReferenceGroup | undefined = from; group !== undefined; group = group.parent) {
    const range = group[kind];
    if (range === undefined) continue;
    low = Math.max(low, range.first);
    high = Math.min(high, range.last);
  }
  return { first: low, last: high };
}

/** Whether an owner of the bucket is in the socket's way (`bind_conflict`). */
function conflicts(socket: ReferenceSocket, bucket: Bucket): boolean {
  for (const owner of bucket.owners) {
    if (owner === socket) continue;
    if (!overlap(owner.device, socket.device, NO_DEVICE)) continue;
    if (!overlap(owner.address, socket.address, ANY)) continue;
    if (!(socket.reuse && owner.reuse && owner.state !== "listening")) return true;
  }
  return false;
}

function overlap<T>(a: T, b: T, any: T): boolean {
  return a === any || b === any || a === b;
}

/** A map here has no structs for keys, so it is text. */
function tupleOf(local: string, port: number, way: ReferenceWay, device: number): string {
  return `${local}:${port} ${way.remote}:${way.remotePort} ${device}`;
}
