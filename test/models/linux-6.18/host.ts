// What the sockets of one machine share, in the model of Linux 6.18: addresses, settings, the
// buckets of TCP ports, the table of connections, the UDP sockets in the order in which they are
// looked at.

import { type Address, isAny, isLoopback, keyOf } from "./address.ts";
import { Bucket } from "./bucket.ts";
import { clampRange, type Order, type Random, type Range } from "./picking.ts";
import { defaultSettings, type Settings } from "./settings.ts";
import { Socket, type TimeWait, type Tuple } from "./socket.ts";

/** The device from which comes what the machine sends to itself. */
export const LOOPBACK = 1;

export interface HostOptions {
  /** Addresses beside loopback; undefined: every address is the machine's. */
  readonly addresses?: readonly string[] | undefined;
  readonly random?: Random;
  readonly order?: Order;
  /** Slots of UDP's hash table, a power of two. */
  readonly udpSlots?: number;
}

/** A refusal, by the kernel's name for it. */
export class Errno extends Error {
  override readonly name = "Errno";
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

export class Host {
  readonly settings: Settings = defaultSettings();
  readonly order: Order;
  readonly udpSlots: number;
  random: Random;
  now = 0;
  readonly buckets: Map<number, Bucket> = new Map();
  /** With those whose FIN has got no answer. */
  readonly gone: Set<TimeWait> = new Set();
  readonly listeners: Set<Socket> = new Set();
  /** By port: the UDP sockets in the order in which they are looked at. */
  readonly datagrams: Map<number, Socket[]> = new Map();
  readonly #addresses: ReadonlySet<string> | undefined;
  readonly #connections = new Map<string, (Socket | TimeWait)[]>();

  constructor({ addresses, random, order, udpSlots }: HostOptions) {
    this.#addresses = addresses === undefined ? undefined : new Set(addresses);
    this.random = random ?? ((bound) => Math.floor(Math.random() * bound));
    this.order = order ?? "kernel";
    this.udpSlots = udpSlots ?? 65536;
  }

  /** Has the machine the address, so that bind() takes it? */
  isLocal(address: Address): boolean {
    if (isAny(address) || isLoopback(address)) return true;
    return this.#addresses === undefined || this.#addresses.has(keyOf(address));
  }

  /** Does the machine itself answer connections to the address? */
  answers(address: Address): boolean {
    return isLoopback(address) || this.#addresses?.has(keyOf(address)) === true;
  }

  rangeOf(socket: Socket): Range {
    return clampRange(this.settings.range, socket.range);
  }

  /** How many connections are in TIME_WAIT, or half open without a socket. */
  get timeWaits(): number {
    return [...this.gone].filter(({ isUnanswered }) => !isUnanswered).length;
  }

  // ── Ports ─────────────────────────────────────────────────────────────────────────────────

  bucketAt(port: number): Bucket {
    let bucket = this.buckets.get(port);
    if (bucket === undefined) {
      bucket = new Bucket();
      this.buckets.set(port, bucket);
    }
    return bucket;
  }

  attach(socket: Socket, port: number): void {
    socket.bucket = this.bucketAt(port);
    socket.bucket.add(socket);
    socket.port = port;
  }

  /** The socket has its port no longer. */
  releasePort(socket: Socket): void {
    const { bucket, port } = socket;
    socket.port = 0;
    if (bucket === undefined) return;
    bucket.remove(socket);
    if (bucket.isEmpty) this.buckets.delete(port);
    socket.bucket = undefined;
    socket.isConnectBound = false;
  }

  moveAddress(socket: Socket, address: Address): void {
    if (socket.bucket === undefined) socket.address = address;
    else socket.bucket.move(socket, address);
  }

  // ── Connections ───────────────────────────────────────────────────────────────────────────

  enter(connection: Socket | TimeWait): void {
    const key = nameOf(connection.tuple as Tuple);
    this.#connections.set(key, [connection, ...(this.#connections.get(key) ?? [])]);
  }

  leave(connection: Socket | TimeWait): void {
    if (connection.tuple === undefined) return;
    const key = nameOf(connection.tuple);
    const rest = (this.#connections.get(key) ?? []).filter((other) => other !== connection);
    if (rest.length > 0) this.#connections.set(key, rest);
    else this.#connections.delete(key);
    if (connection instanceof Socket) connection.tuple = undefined;
  }

  /** Has a connection, other than that one, the tuple, and what loopback brings? */
  hasOther(tuple: Tuple, one?: Socket): boolean {
    const known = this.#connections.get(nameOf(tuple)) ?? [];
    return known.some((other) => other !== one && other.device <= LOOPBACK);
  }

  /** The connection that a socket with that device would meet at the tuple. */
  findConnection(tuple: Tuple, device: number): Socket | TimeWait | undefined {
    const known = this.#connections.get(nameOf(tuple)) ?? [];
    const met = known.filter((other) => other.device === 0 || other.device === device);
    return this.decides(met, device);
  }

  /** Which of the connections decides that have one tuple: the newest. */
  decides: (met: readonly (Socket | TimeWait)[], device: number) => Socket | TimeWait | undefined =
    ([newest]) => newest;

  /** Has another connection the tuple, of that very device? */
  hasEqual(one: Socket, device: number): boolean {
    const known = one.tuple && this.#connections.get(nameOf(one.tuple));
    return known?.some((other) => other !== one && other.device === device) === true;
  }

  /** The TIME_WAIT and its tuple are gone. */
  dropTimeWait(wait: TimeWait): void {
    this.leave(wait);
    this.gone.delete(wait);
    wait.bucket.remove(wait);
    if (wait.bucket.isEmpty) this.buckets.delete(wait.tuple.port);
    if (wait.peer instanceof Socket) wait.peer.peer = undefined;
  }

  setTime(now: number): void {
    this.now = now;
    for (const wait of [...this.gone]) if (wait.endsAt <= now) this.dropTimeWait(wait);
  }
}

function nameOf({ local, port, remote, remotePort }: Tuple): string {
  return [keyOf(local), port, keyOf(remote), remotePort].join("|");
}
