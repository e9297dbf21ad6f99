// leasePort: ports that belong to this process among all of this host, for programs that must be
// told a number and listen later.

import { createServer } from "node:net";
import { outOfRange, PortError } from "../../errors.ts";
import type { PortRange } from "../../index.ts";
import { checkBoolean, checkInteger, readOptions } from "../../requests/checks.ts";
import { builtin } from "../builtin.ts";
import {
  freePort,
  type HeldPort,
  holdPort,
  type ListenRange,
  noneFree,
  portsFrom,
  rangeToListen,
  requestOf,
} from "./candidates.ts";
import { type Listener, tryListen } from "./try-listen.ts";

/** Options of {@link leasePort}. */
export interface LeaseOptions extends ListenRange {
  /** How many ports, 1 by default. */
  count?: number | undefined;
  /** Must the ports follow each other? */
  contiguous?: boolean | undefined;
}

const NAMES = ["range", "group", "count", "contiguous"];
const NO_IPV6 = ["EAFNOSUPPORT", "EADDRNOTAVAIL"];

/** Ports that are leased. Made by {@link leasePort}. */
export class PortLease implements Disposable {
  /** Ascending. */
  readonly ports: readonly number[];
  #held: readonly HeldPort[];

  constructor(held: readonly HeldPort[]) {
    this.#held = held;
    this.ports = held.map(({ port }) => port).sort((a, b) => a - b);
  }

  /** The first port. */
  get port(): number {
    return this.ports[0] as number;
  }

  /** Gives the ports back. A second call does nothing. */
  release(): void {
    for (const held of this.#held) freePort(held);
    this.#held = [];
  }

  /** As {@link release}, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Leases ports for this process (Linux): until they are given back, or the process or worker thread
 * ends, however it ends, no other process of this network namespace is leased them, nor listens on
 * them by {@link listenOn}. At the time of leasing no socket listens there, at any address, by TCP
 * or UDP. This process, or one that it tells, then listens by `server.listen(port)`.
 * @throws as a rejected promise: PortError `ENOTSUP` (another system than Linux), `EADDRINUSE`
 * (`no-port-available`: not so many are free), and the others of {@link listenOn};
 * `ERR_OUT_OF_RANGE` (more than the range has).
 * @example
 * const lease = await leasePort({ count: 2, contiguous: true });
 * spawn("some-server", ["--port", `${lease.ports[0]}`, "--admin-port", `${lease.ports[1]}`]);
 */
export async function leasePort(options: LeaseOptions = {}): Promise<PortLease> {
  const given = readOptions("options", options, NAMES);
  const range = rangeToListen(given);
  const count = given.count === undefined ? 1 : checkInteger("count", given.count, 1, 65535);
  const isContiguous = checkBoolean("contiguous", given.contiguous);
  if (count > range.last - range.first + 1)
    throw outOfRange("count", `at most the ports of ${range.first}..${range.last}`, count);
  checkSystem();
  const found = await (isContiguous ? inARow(range, count, given) : anywhere(range, count, given));
  if (found.length === count) return new PortLease(found);
  giveBack(found);
  throw noneFree(isContiguous ? "contiguous port" : "port", range, count);
}

/** As many ports as are free, up to so many. */
async function anywhere(range: PortRange, count: number, given: ListenRange): Promise<HeldPort[]> {
  const found: HeldPort[] = [];
  let untried: number[] = [];
  const tryThem = async (): Promise<void> => {
    found.push(...(await leaseThese(untried, given, found)));
    untried = [];
  };
  for (const port of portsFrom(range)) {
    untried.push(port);
    if (found.length + untried.length === count) await tryThem();
    if (found.length === count) return found;
  }
  await tryThem();
  return found;
}

/** So many ports that follow each other, or none. */
async function inARow(range: PortRange, count: number, given: ListenRange): Promise<HeldPort[]> {
  const refused = new Set<number>();
  for (const first of portsFrom({ first: range.first, last: range.last - count + 1 })) {
    const row = Array.from({ length: count }, (_, index) => first + index);
    if (row.some((port) => refused.has(port))) continue;
    const found = await leaseThese(row, given);
    if (found.length === count) return found;
    const ports = found.map(({ port }) => port);
    for (const port of row) if (!ports.includes(port)) refused.add(port);
    giveBack(found);
  }
  return [];
}

/**
 * Leases the free ones of the ports.
 * @param before ports that are given back, too, if one cannot be tried.
 */
async function leaseThese(
  ports: readonly number[],
  given: ListenRange,
  before: HeldPort[] = [],
): Promise<HeldPort[]> {
  const answers = await Promise.allSettled(ports.map((port) => leased(port, given)));
  const found = answers.flatMap((answer) =>
    answer.status === "fulfilled" ? (answer.value ?? []) : [],
  );
  const failure = answers.find((answer) => answer.status === "rejected");
  if (failure === undefined) return found;
  giveBack(found);
  giveBack(before);
  throw failure.reason;
}

function checkSystem(): void {
  if (process.platform === "linux") return;
  throw new PortError(
    "ENOTSUP",
    "not-supported",
    `leasePort needs Linux, and this is ${process.platform}: let the program that listens pick the ` +
      "port by listenOn, or listen on port 0 and tell the number",
  );
}

function giveBack(found: HeldPort[]): void {
  for (const held of found.splice(0)) freePort(held);
}

/** A port that no process has leased and no socket listens on. */
async function leased(port: number, options: ListenRange): Promise<HeldPort | undefined> {
  const held = await holdPort(port, requestOf(options));
  if (held === undefined) return undefined;
  let isFree = false;
  try {
    isFree = (await canListen(createServer(), port)) && (await canReceive(port));
    return isFree ? held : undefined;
  } finally {
    if (!isFree) freePort(held);
  }
}

/** Tries UDP, at all addresses of both families, or of the only family of the host. */
async function canReceive(port: number): Promise<boolean> {
  const { createSocket } = builtin("dgram");
  try {
    return await canListen(createSocket("udp6"), port);
  } catch (error) {
    if (!NO_IPV6.includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return canListen(createSocket("udp4"), port);
  }
}

async function canListen(listener: Listener, port: number): Promise<boolean> {
  const isListening = await tryListen(listener, { port, exclusive: true });
  if (isListening) await new Promise<void>((closed) => listener.close(() => closed()));
  return isListening;
}
