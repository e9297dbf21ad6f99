// Operations in the words of the Linux vectors: what each must look like, and playing them on one
// system that starts empty.
//
// A socket's number is its name for the length of a trace and never comes back. When a trace is
// over it is drained: the sockets that are left are closed and time goes on until no TIME_WAIT is
// left, so that what is counted then, and the memory in use, has been forgotten.

import { BadInput } from "./input.ts";
import type { LinuxSystem, Look, Outcome, SocketRequest } from "./linux-system.ts";

type Bounds = readonly [low: number, high: number];

interface OnSocket {
  readonly sock: number;
}

export type LinuxOperation =
  | (OnSocket & SocketRequest & { op: "socket" })
  | (OnSocket & { op: "bind"; addr: string; port: number; random?: readonly number[] })
  | (OnSocket & { op: "listen"; random?: readonly number[] })
  | (OnSocket & To & { op: "connect" })
  | (OnSocket & { op: "close" })
  | (OnSocket & { op: "closeToTimeWait"; stamp: number; hasTimestamp: boolean })
  | (OnSocket & { op: "setReuse"; reuse: boolean })
  | (OnSocket & { op: "moveSocket"; group: string })
  | { op: "setGroup"; group: string; bind?: Bounds | null; connect?: Bounds | null }
  | { op: "setReserved"; ports: readonly number[] }
  | { op: "setLocalRange"; low: number; high: number }
  | { op: "setNow"; now: number }
  | { op: "setTwReuse"; value: 0 | 1 }
  | { op: "setUnprivilegedStart"; start: number }
  | { op: "bucket"; port: number }
  | { op: "expireTimeWait" | "stats" };

/** In the vectors nothing is absent. */
interface To {
  readonly saddr?: string;
  readonly daddr: string;
  readonly dport: number;
  readonly portOffset?: number;
}

/** As a vector file has it. `drawn` is how many of `random` were taken: none if it is absent. */
export type LinuxRecorded = LinuxOperation & { expect: LinuxAnswer; drawn?: number };

export type LinuxAnswer = Readonly<Record<string, unknown>> | null;

// ── What an operation looks like ──────────────────────────────────────────────────────────

interface Field {
  readonly is: (value: unknown) => boolean;
  readonly valid: string;
  readonly isOptional?: true;
}

type Fields = Readonly<Record<string, Field>>;

const U32_MAX = 0xffffffff;
const PORT_MAX = 65535;
const PATH = /^\/$|^(?:\/[^/\s]+)+$/;

const sock: Field = integer(0, Number.MAX_SAFE_INTEGER);
const port: Field = integer(1, PORT_MAX);
const portOrAny: Field = integer(0, PORT_MAX);
const u32: Field = integer(0, U32_MAX);
const seconds: Field = integer(0, U32_MAX);
const flag: Field = { is: (value) => typeof value === "boolean", valid: "true or false" };
const text: Field = { is: (value) => typeof value === "string", valid: "a string" };
const address: Field = { is: (value) => text.is(value) && value !== "", valid: "an address" };
const path: Field = { is: (value) => text.is(value) && PATH.test(String(value)), valid: "a path" };
const values: Field = { ...listOf(u32), isOptional: true };
const limit: Field = {
  is: (value) => value === null || isBounds(value),
  valid: "[low, high] or null",
  isOptional: true,
};
const answer: Field = { is: (value) => typeof value === "object", valid: "an object or null" };
const drawn: Field = { ...integer(0, U32_MAX), isOptional: true };

const RECORDED: Fields = { op: text, expect: answer, drawn };

const FIELDS: Readonly<Record<LinuxOperation["op"], Fields>> = {
  socket: { sock, reuse: flag, device: integer(0, 0x7fffffff), group: path },
  bind: { sock, addr: text, port: portOrAny, random: values },
  listen: { sock, random: values },
  connect: { sock, saddr: address, daddr: address, dport: port, portOffset: u32 },
  close: { sock },
  closeToTimeWait: { sock, stamp: seconds, hasTimestamp: flag },
  setReuse: { sock, reuse: flag },
  moveSocket: { sock, group: path },
  setGroup: { group: path, bind: limit, connect: limit },
  setReserved: { ports: listOf(portOrAny) },
  setLocalRange: { low: port, high: port },
  setNow: { now: seconds },
  setTwReuse: { value: integer(0, 1) },
  setUnprivilegedStart: { start: portOrAny },
  bucket: { port },
  expireTimeWait: {},
  stats: {},
};

/** The value as an operation with its answer, or `BadInput` that says what is wrong with it. */
export function recordedOf(value: unknown): LinuxRecorded {
  if (typeof value !== "object" || value === null) {
    throw new BadInput(`expected an operation, got ${JSON.stringify(value)}`);
  }
  const { op } = value as { op?: unknown };
  if (typeof op !== "string" || !Object.hasOwn(FIELDS, op)) {
    throw new BadInput(`unknown operation ${JSON.stringify(op)}`);
  }
  const fields: Fields = { ...FIELDS[op as LinuxOperation["op"]], ...RECORDED };
  const strange = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
  if (strange !== undefined) throw new BadInput(`${op} has no field ${strange}`);
  for (const [name, { is, valid, isOptional = false }] of Object.entries(fields)) {
    const got: unknown = (value as Record<string, unknown>)[name];
    if (got === undefined ? isOptional : is(got)) continue;
    throw new BadInput(`${op}: ${name} must be ${valid}, got ${JSON.stringify(got)}`);
  }
  return value as LinuxRecorded;
}

function integer(min: number, max: number): Field {
  return {
    is: (value) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max,
    valid: `an integer ${min}..${max}`,
  };
}

function listOf({ is, valid }: Field): Field {
  return {
    is: (value) => Array.isArray(value) && value.every(is),
    valid: `a list, each ${valid}`,
  };
}

function isBounds(value: unknown): value is Bounds {
  if (!listOf(port).is(value)) return false;
  const [low = 0, high = 0, ...more] = value as number[];
  return low <= high && high > 0 && more.length === 0;
}

// ── Playing ───────────────────────────────────────────────────────────────────────────────

const OK: LinuxAnswer = { ok: true };
const TIME_WAIT_SECONDS = 60;

export class LinuxPlayer {
  operations = 0;
  /** How many TIME_WAITs have been removed because their time was over. */
  expired = 0;
  readonly #system: LinuxSystem;
  readonly #sockets = new Map<number, unknown>();
  #newest = -1;
  #now = 0;

  constructor(system: LinuxSystem) {
    this.#system = system;
  }

  perform(operation: LinuxOperation): LinuxAnswer {
    this.operations += 1;
    const system = this.#system;
    switch (operation.op) {
      case "socket":
        return this.#open(operation);
      case "bind": {
        const { addr, port, random = [] } = operation;
        return inWords(system.bind(this.socket(operation), addr, port, random));
      }
      case "listen":
        return inWords(system.listen(this.socket(operation), operation.random ?? []));
      case "connect": {
        const { saddr, daddr, dport, portOffset } = operation;
        const way = { local: saddr, remote: daddr, remotePort: dport };
        return inWords(system.connect(this.socket(operation), way, portOffset));
      }
      case "close":
        system.close(this.socket(operation));
        this.#sockets.delete(operation.sock);
        return OK;
      case "closeToTimeWait":
        return this.#closeToTimeWait(operation);
      case "setReuse":
        system.setReuse(this.socket(operation), operation.reuse);
        return OK;
      case "moveSocket":
        system.moveSocket(this.socket(operation), operation.group);
        return OK;
      case "setNow":
        return this.#setNow(operation.now);
      case "bucket":
        return system.bucket(operation.port) ?? null;
      case "stats":
        return system.stats();
      default:
        this.#administer(operation);
        return OK;
    }
  }

  /** How many random values the last bind(), listen() or connect() took. */
  get drawn(): number {
    return this.#system.drawn;
  }

  /** The sockets that are open, by number. */
  get open(): Iterable<number> {
    return this.#sockets.keys();
  }

  has(sock: number): boolean {
    return this.#sockets.has(sock);
  }

  look(sock: number): Look {
    return this.#system.look(this.socket({ sock }));
  }

  /** The system's own socket of that number. */
  socket({ sock }: OnSocket): unknown {
    const socket = this.#sockets.get(sock);
    if (socket === undefined) throw new BadInput(`socket ${sock} is not open`);
    return socket;
  }

  /** Closes everything. The answer should be zero in every field. */
  drain(): LinuxAnswer {
    for (const socket of this.#sockets.values()) this.#system.close(socket);
    this.#system.setNow(this.#now + TIME_WAIT_SECONDS);
    this.#system.expireTimeWait();
    const { buckets, bsockets } = this.#system.stats();
    return { buckets, bsockets, ...this.#system.end() };
  }

  /** Closes a system that is no longer in order, so whatever it says about that is no news. */
  abandon(): void {
    try {
      this.#system.end();
    } catch {}
  }

  #open(operation: LinuxOperation & { op: "socket" }): LinuxAnswer {
    const { sock } = operation;
    if (sock <= this.#newest) throw new BadInput(`socket ${sock} is not a new one`);
    this.#sockets.set(sock, this.#system.socket(operation));
    this.#newest = sock;
    return OK;
  }

  #closeToTimeWait(operation: LinuxOperation & { op: "closeToTimeWait" }): LinuxAnswer {
    const { sock, stamp, hasTimestamp } = operation;
    const socket = this.socket(operation);
    if (stamp > this.#now) throw new BadInput(`stamp ${stamp} lies ahead of ${this.#now}`);
    const refused = this.#system.closeToTimeWait(socket, hasTimestamp ? stamp : undefined);
    if (refused !== undefined) return inWords(refused);
    this.#sockets.delete(sock);
    return OK;
  }

  #setNow(now: number): LinuxAnswer {
    if (now < this.#now) throw new BadInput(`time goes back from ${this.#now} to ${now}`);
    this.#now = now;
    this.#system.setNow(now);
    return OK;
  }

  /** Whatever is no socket's business, and always granted. */
  #administer(operation: LinuxOperation): void {
    const system = this.#system;
    switch (operation.op) {
      case "setGroup":
        for (const kind of ["bind", "connect"] as const) {
          const bounds = operation[kind];
          if (bounds !== undefined) system.setGroup(operation.group, kind, rangeOf(bounds));
        }
        return;
      case "setReserved":
        system.setReserved(operation.ports);
        return;
      case "setLocalRange":
        system.setLocalRange(operation.low, operation.high);
        return;
      case "setTwReuse":
        system.setTwReuse(operation.value);
        return;
      case "setUnprivilegedStart":
        system.setUnprivilegedStart(operation.start);
        return;
      case "expireTimeWait":
        this.expired += system.expireTimeWait();
    }
  }
}

function rangeOf(bounds: Bounds | null): { first: number; last: number } | undefined {
  return bounds === null ? undefined : { first: bounds[0], last: bounds[1] };
}

function inWords(outcome: Outcome): LinuxAnswer {
  return typeof outcome === "number" ? { port: outcome } : { err: outcome };
}
