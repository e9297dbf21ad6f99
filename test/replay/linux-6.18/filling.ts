// The loops of cases: sockets, pairs or connections of one kind until one is refused.

import type { Flag, SocketType, System } from "./system.ts";

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

export function fill(system: System, options: FillOptions, opened: Opened, portOf: PortOf): Filled {
  const count = options.max ?? options.count ?? 0;
  const ports: number[] = [];
  const round = roundOf(system, options, opened, portOf);
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

function roundOf(system: System, options: FillOptions, opened: Opened, portOf: PortOf): Round {
  if (options.pair === "tcp") return () => pairOfTcp(system, options, opened);
  if (options.pair === "udp") return () => pairOfUdp(system, options, opened);
  if (options.cycle === undefined) return () => single(system, options, opened, portOf);
  return cycling(system, options, opened);
}

/** A socket that binds or connects. */
function single(
  system: System,
  { type, opts = {}, bind, connect }: FillOptions,
  { sockets }: Opened,
  portOf: PortOf,
): number | string {
  const socket = system.socket(type, 0);
  sockets.push(socket);
  for (const [flag, value] of Object.entries(opts)) {
    system.setFlag(socket, flag as Flag, value === 1);
  }
  if (bind !== undefined) {
    const answer = system.bind(socket, bind[0], portOf(bind[1]), 0);
    if (answer !== "ok") return answer;
  }
  if (connect !== undefined) {
    const answer = system.connect(socket, connect[0], portOf(connect[1]));
    if (answer !== "ok") return answer;
  }
  return system.name(socket).port;
}

/** A connection whose listener closes; both ends get SO_REUSEADDR. */
function pairOfTcp(
  system: System,
  { type, addr = "" }: FillOptions,
  { sockets }: Opened,
): number | string {
  const listener = system.socket(type, 0);
  const client = system.socket(type, 0);
  sockets.push(client);
  const bound = system.bind(listener, addr, 0, 0);
  if (bound !== "ok") {
    system.close(listener, false);
    return bound;
  }
  system.listen(listener);
  const answer = system.connect(client, addr, system.name(listener).port);
  const server = answer === "ok" ? system.accept(listener) : undefined;
  system.close(listener, false);
  if (server === undefined) return answer;
  sockets.push(server);
  system.setFlag(client, "reuseaddr", true);
  system.setFlag(server, "reuseaddr", true);
  return system.name(client).port;
}

/** Two sockets that are bound, and connected to each other. */
function pairOfUdp(
  system: System,
  { type, addr = "" }: FillOptions,
  { sockets }: Opened,
): number | string {
  const pair = [system.socket(type, 0), system.socket(type, 0)] as const;
  sockets.push(...pair);
  for (const socket of pair) {
    const answer = system.bind(socket, addr, 0, 0);
    if (answer !== "ok") return answer;
  }
  const [one, other] = pair;
  system.connect(one, addr, system.name(other).port);
  system.connect(other, addr, system.name(one).port);
  return system.name(one).port;
}

/** One connection after the other, each closed in order before the next. */
function cycling(system: System, options: FillOptions, opened: Opened): Round {
  const { cycle, sleepOnceMs } = options;
  let mayWait = sleepOnceMs !== undefined;
  const once: Round =
    cycle === "tcp" ? () => cycleOfTcp(system, options, opened) : () => cycleOfUdp(system, options);
  return () => {
    const answer = once();
    if (answer !== "EADDRNOTAVAIL" || !mayWait) return answer;
    mayWait = false;
    system.advance(sleepOnceMs as number);
    return once();
  };
}

function cycleOfTcp(
  system: System,
  { type, addr = "", listener = "", closes }: FillOptions,
  opened: Opened,
): number | string {
  const server = opened.find(listener);
  const client = system.socket(type, 0);
  const answer = system.connect(client, addr, system.name(server).port);
  const accepted = answer === "ok" ? system.accept(server) : undefined;
  const { port } = system.name(client);
  const ends = closes === "client" ? [client, accepted] : [accepted, client];
  for (const end of ends) if (end !== undefined) system.close(end, false);
  return answer === "ok" ? port : answer;
}

function cycleOfUdp(system: System, { type, addr = "" }: FillOptions): number | string {
  const kept: unknown[] = [];
  const answer = pairOfUdp(system, { type, addr }, { sockets: kept, find: () => undefined });
  for (const socket of kept) system.close(socket, false);
  return answer;
}
