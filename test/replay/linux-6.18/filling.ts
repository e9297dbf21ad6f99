// The loops of cases: sockets, pairs or connections of one kind until one is refused.

import type { Flag, Machine, SocketType } from "./machine.ts";

export interface FillOptions {
  readonly type: SocketType;
  readonly opts?: Readonly<Record<string, number>>;
  readonly bind?: readonly [address: string, port: unknown];
  readonly connect?: readonly [address: string, port: unknown];
  readonly max?: number;
  readonly until?: "duplicate";
  readonly pair?: "tcp" | "udp";
  readonly cycle?: "tcp" | "udp";
  readonly addr?: string;
  readonly listener?: string;
  readonly count?: number;
  readonly closes?: "client" | "server";
  readonly sleepOnceMs?: number;
}

/** Where the loop's sockets are kept, and where it finds others. */
export interface Opened {
  readonly sockets: unknown[];
  find(name: string): unknown;
}

export interface Filled {
  readonly n: number;
  readonly errno: string | null;
  readonly distinct: boolean;
  readonly min: number;
  readonly max: number;
}

type PortOf = (value: unknown) => number;

/** One round: its port, or why it was refused. */
type Round = () => number | string;

export function fill(
  machine: Machine,
  options: FillOptions,
  opened: Opened,
  portOf: PortOf,
): Filled {
  const count = options.max ?? options.count ?? 0;
  const ports: number[] = [];
  const round = roundOf(machine, options, opened, portOf);
  let errno: string | null = null;
  while (ports.length < count) {
    const answer = round();
    if (typeof answer === "string") {
      errno = answer;
      break;
    }
    const isAgain = ports.includes(answer);
    ports.push(answer);
    if (isAgain && options.until === "duplicate") break;
  }
  const distinct = new Set(ports).size === ports.length;
  return { n: ports.length, errno, distinct, min: Math.min(...ports), max: Math.max(...ports) };
}

function roundOf(machine: Machine, options: FillOptions, opened: Opened, portOf: PortOf): Round {
  if (options.pair === "tcp") return () => pairOfTcp(machine, options, opened);
  if (options.pair === "udp") return () => pairOfUdp(machine, options, opened);
  if (options.cycle === undefined) return () => single(machine, options, opened, portOf);
  return cycling(machine, options, opened);
}

/** A socket that binds or connects. */
function single(
  machine: Machine,
  { type, opts = {}, bind, connect }: FillOptions,
  { sockets }: Opened,
  portOf: PortOf,
): number | string {
  const socket = machine.socket(type, 0);
  sockets.push(socket);
  for (const [flag, value] of Object.entries(opts)) {
    machine.setFlag(socket, flag as Flag, value === 1);
  }
  if (bind !== undefined) {
    const answer = machine.bind(socket, bind[0], portOf(bind[1]), 0);
    if (answer !== "ok") return answer;
  }
  if (connect !== undefined) {
    const answer = machine.connect(socket, connect[0], portOf(connect[1]));
    if (answer !== "ok") return answer;
  }
  return machine.name(socket).port;
}

/** A connection whose listener closes; both ends get SO_REUSEADDR. */
function pairOfTcp(
  machine: Machine,
  { type, addr = "" }: FillOptions,
  { sockets }: Opened,
): number | string {
  const listener = machine.socket(type, 0);
  const client = machine.socket(type, 0);
  sockets.push(client);
  const bound = machine.bind(listener, addr, 0, 0);
  if (bound !== "ok") {
    machine.close(listener, false);
    return bound;
  }
  machine.listen(listener);
  const answer = machine.connect(client, addr, machine.name(listener).port);
  const server = answer === "ok" ? machine.accept(listener) : undefined;
  machine.close(listener, false);
  if (server === undefined) return answer;
  sockets.push(server);
  machine.setFlag(client, "reuseaddr", true);
  machine.setFlag(server, "reuseaddr", true);
  return machine.name(client).port;
}

/** Two sockets that are bound, and connected to each other. */
function pairOfUdp(
  machine: Machine,
  { type, addr = "" }: FillOptions,
  { sockets }: Opened,
): number | string {
  const pair = [machine.socket(type, 0), machine.socket(type, 0)] as const;
  sockets.push(...pair);
  for (const socket of pair) {
    const answer = machine.bind(socket, addr, 0, 0);
    if (answer !== "ok") return answer;
  }
  const [one, other] = pair;
  machine.connect(one, addr, machine.name(other).port);
  machine.connect(other, addr, machine.name(one).port);
  return machine.name(one).port;
}

/** One connection after the other, each closed in order before the next. */
function cycling(machine: Machine, options: FillOptions, opened: Opened): Round {
  const { cycle, sleepOnceMs } = options;
  let mayWait = sleepOnceMs !== undefined;
  const once: Round =
    cycle === "tcp"
      ? () => cycleOfTcp(machine, options, opened)
      : () => cycleOfUdp(machine, options);
  return () => {
    const answer = once();
    if (answer !== "EADDRNOTAVAIL" || !mayWait) return answer;
    mayWait = false;
    machine.advance(sleepOnceMs as number);
    return once();
  };
}

function cycleOfTcp(
  machine: Machine,
  { type, addr = "", listener = "", closes }: FillOptions,
  opened: Opened,
): number | string {
  const server = opened.find(listener);
  const client = machine.socket(type, 0);
  const answer = machine.connect(client, addr, machine.name(server).port);
  const accepted = answer === "ok" ? machine.accept(server) : undefined;
  const { port } = machine.name(client);
  const ends = closes === "client" ? [client, accepted] : [accepted, client];
  for (const end of ends) if (end !== undefined) machine.close(end, false);
  return answer === "ok" ? port : answer;
}

function cycleOfUdp(machine: Machine, { type, addr = "" }: FillOptions): number | string {
  const kept: unknown[] = [];
  const answer = pairOfUdp(machine, { type, addr }, { sockets: kept, find: () => undefined });
  for (const socket of kept) machine.close(socket, false);
  return answer;
}
