// Candidates: the ports that may be listened on, and whether this process or this host uses one.
//
//   manager   what this thread listens on or has leased, with the ranges of its groups
//   name      what any process of the host is about to listen on, or has leased (Linux)
//   kernel    what any socket listens on, by trying

import type { Server } from "node:net";
import { noMemory, PortError, wrongValue } from "../../errors.ts";
import { checkGroup } from "../../groups/group.ts";
import {
  IPV4,
  IPV6,
  type PortGroup,
  PortManager,
  type PortRange,
  Refusal,
  type Reservation,
  type ReserveRequest,
  TCP,
} from "../../index.ts";
import { parseAddress } from "../../requests/address.ts";
import { checkRangeObject, showRange } from "../../requests/range.ts";
import { holdName, hostPath } from "../blocks/host-name.ts";
import { readHostSettings } from "../host/host-state.ts";
import { LINUX_RANGE } from "../host/use.ts";

/** Which ports may be picked. */
export interface ListenRange {
  /**
   * The ports to pick from. By default 10000 up to the port below the system's own range, of which
   * the kernel gives ports to other sockets.
   */
  range?: PortRange | undefined;
  /** Instead of a range: the ports that this group lets its sockets bind. */
  group?: PortGroup | undefined;
}

/** The first port of those that few programs use by convention. */
const FIRST = 10_000;
const ALL = { first: 1, last: 65535 };

let opened: PortManager | undefined;

/** The records of this thread's ports. */
function manager(): PortManager {
  opened ??= PortManager.open({ portRange: ALL });
  return opened;
}

/** A port that no other caller on this host takes for as long as it is held. */
export interface HeldPort {
  readonly port: number;
  /** The record of this thread. */
  readonly reservation: Reservation;
  /** The name within the host; none where the system has no such names. */
  readonly name: Server | undefined;
}

/**
 * The range that is asked for.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (a range and a group), `EINVAL`
 * (no range), `EACCES` (the group allows no port), `ENOENT` (it has been removed).
 */
export function rangeToListen({ range, group }: ListenRange): PortRange {
  if (range !== undefined && group !== undefined)
    throw wrongValue("range", "left out beside a group, whose range it is then", range);
  if (range !== undefined) return checkRangeObject("range", range, "for instance 20000..20999");
  if (group === undefined) return defaultRange();
  checkGroup(group);
  // Throws the reason if the group allows no port.
  manager().reservePort(requestOf({ group })).release();
  return group.effective.bind ?? ALL;
}

function defaultRange(): PortRange {
  const { portRange: system = LINUX_RANGE } = readHostSettings();
  return system.first > FIRST ? { first: FIRST, last: system.first - 1 } : system;
}

/** A request for ports of this address, or of all addresses. */
export function requestOf(
  options: ListenRange & { address?: string | undefined },
  transport: number = TCP,
): ReserveRequest {
  const { address, group } = options;
  const text = address === undefined ? "" : parseAddress("address", address).text;
  const family = text.includes(":") ? IPV6 : IPV4;
  const networks = text === "" ? [IPV4, IPV6] : [family];
  return { networks, transport, address: text, ...(group && { group }) };
}

/** The ports of a range, each once, from a random one on. */
export function* portsFrom({ first, last }: PortRange): Generator<number> {
  const count = last - first + 1;
  const start = Math.floor(Math.random() * count);
  for (let index = 0; index < count; index++) yield first + ((start + index) % count);
}

/**
 * Holds a port in this thread and, on Linux, in this host. Other sockets may listen on it.
 * @returns `undefined`: another caller holds it, or the group does not allow it.
 * @throws the system's error where a name cannot be held at all.
 */
export async function holdPort(
  port: number,
  request: ReserveRequest,
): Promise<HeldPort | undefined> {
  const reservation = manager().tryReserve({ ...request, port });
  if (reservation === Refusal.NO_MEMORY) throw noMemory(`port ${port}`);
  if (typeof reservation === "number") return undefined;
  if (process.platform !== "linux") return { port, reservation, name: undefined };
  try {
    const name = await nameOf(port);
    if (name !== undefined) return { port, reservation, name };
  } catch (error) {
    reservation.release();
    throw error;
  }
  reservation.release();
  return undefined;
}

async function nameOf(port: number): Promise<Server | undefined> {
  let failure: Error | undefined;
  const name = holdName(hostPath(`port/${port}`), {
    failed: (error) => {
      failure = error;
    },
  });
  if (name === undefined) await new Promise((done) => setImmediate(done));
  if (failure !== undefined) throw failure;
  return name;
}

/** Gives back what {@link holdPort} has held. */
export function freePort({ reservation, name }: HeldPort): void {
  name?.close();
  reservation.release();
}

/** The error: not so many ports of the range are free. */
export function noneFree(what: string, range: PortRange, count = 1): PortError {
  const wanted = count === 1 ? `no ${what}` : `no ${count} ${what}s`;
  const message = `${wanted} of ${showRange(range)} can be had: others listen there, or have leased them`;
  const details = { syscall: "listen", port: 0, searched: range };
  return new PortError("EADDRINUSE", "no-port-available", message, details);
}
