// Allocators: portwarden and what it is compared with, behind the calls that all of them have.
//
// A fixture says which pools of ports there are and which ports each of them holds; every system
// begins with the same. A Set or a bitmap knows its own pool alone: whatever the others hold is
// held there too, where it would be in the way.

import { MOST_RECENT, TUPLE_ONLY } from "../../assembly/abi.ts";
import {
  IPV4,
  PortError,
  PortManager,
  type PortPool,
  type PortRange,
  type Reservation,
  TCP,
} from "../../bindings/index.ts";
import {
  ReferencePortManager,
  type ReferenceRequest,
} from "../../test/models/reference-manager.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { JsSet } from "../baselines/js-set.ts";

export interface Allocator {
  /** The first port that is free from an offset on, round the range; 0 or less: there is none. */
  take(offset: number): number;
  free(port: number): boolean;
}

export interface BatchAllocator extends Allocator {
  takeMany(ports: Uint16Array, offsets: Uint32Array): number;
  freeMany(ports: Uint16Array): number;
}

/** Ports of one description. */
export interface Member {
  readonly networks: readonly number[];
  readonly transport: number;
  readonly address: string;
  readonly destination?: { address: string; port: number };
  readonly reuseAddr?: boolean;
  readonly held: Iterable<number>;
}

export interface Fixture {
  readonly range: PortRange;
  readonly members: readonly Member[];
}

/** A system, with the pools of a fixture in their order. */
export interface Opened<Ports extends Allocator = Allocator> {
  readonly pools: readonly Ports[];
  close(): void;
}

/** The local address of what has one address. */
export const ADDRESS = "10.0.0.1";

/** TCP ports of one address, of which some are held. */
export function plainMember(held: Iterable<number>): Member {
  return { networks: [IPV4], transport: TCP, address: ADDRESS, held };
}

// ── portwarden ────────────────────────────────────────────────────────────────────────────

export function openPools({ range, members }: Fixture): Opened<PortPool> {
  const manager = PortManager.open({ portRange: range });
  const pools = members.map(({ held, ...description }) => {
    const pool = manager.pool(description);
    for (const port of held) checkTaken(port, pool.takeAt(port));
    return pool;
  });
  return { pools, close: () => manager.close() };
}

export function openReservations({ range, members }: Fixture): Opened {
  const manager = PortManager.open({ portRange: range });
  const pools = members.map(({ held, ...description }) => {
    const pool = manager.pool(description);
    for (const port of held) checkTaken(port, pool.takeAt(port));
    pool.close();
    return reservationsOf(manager, description);
  });
  return { pools, close: () => manager.close() };
}

/** One object for each port, as a caller keeps them. */
function reservationsOf(manager: PortManager, description: Omit<Member, "held">): Allocator {
  const { networks, transport, address, reuseAddr = false } = description;
  const kept = new Array<Reservation | undefined>(65536).fill(undefined);
  return {
    take(offset) {
      try {
        const request = { networks, transport, address, reuseAddr, offset };
        const reservation = manager.reservePort(request);
        kept[reservation.port] = reservation;
        return reservation.port;
      } catch (error) {
        if (error instanceof PortError && error.reason === "no-port-available") return 0;
        throw error;
      }
    },
    free: (port) => (kept[port] as Reservation).release(),
  };
}

// ── What it is compared with ──────────────────────────────────────────────────────────────

export function openReferenceModel({ range, members }: Fixture): Opened {
  const manager = new ReferencePortManager();
  manager.setPortRange(range.first, range.last);
  const pools = members.map((member) => {
    const request = referenceRequest(member);
    // As accepted connections are held, which looks at no other holder.
    for (const port of member.held) {
      checkTaken(port, manager.reserveTuple({ ...request, port }) ? port : 0);
    }
    return referencePool(manager, request, member.destination !== undefined);
  });
  return { pools, close: () => {} };
}

/** Holds a port of the reference model without a search. */
export interface ReferencePool extends Allocator {
  hold(port: number): void;
}

function referencePool(
  manager: ReferencePortManager,
  request: ReferenceRequest,
  connects: boolean,
): ReferencePool {
  return {
    take(offset) {
      request.port = 0;
      return connects ? manager.connect(request, offset) : manager.reservePort(request, offset);
    },
    free(port) {
      request.port = port;
      return manager.releasePort(request);
    },
    hold(port) {
      request.port = port;
      manager.reserveTuple(request);
    },
  };
}

export function referenceRequest(member: Omit<Member, "held">): ReferenceRequest {
  const { networks, transport, address, reuseAddr } = member;
  const flags = reuseAddr !== true ? 0 : transport === TCP ? TUPLE_ONLY : MOST_RECENT;
  const destination = member.destination ?? { address: "", port: 0 };
  return { networks, transport, address, port: 0, flags, device: 0, destination };
}

export function openSets({ range, members }: Fixture): Opened<JsSet> {
  const pools = members.map(({ held }) => filled(new JsSet(range.first, range.last), held));
  return { pools, close: () => {} };
}

export function openBitmaps({ range, members }: Fixture): Opened<JsBitmap> {
  const pools = members.map(({ held }) => filled(new JsBitmap(range.first, range.last), held));
  return { pools, close: () => {} };
}

function filled<Ports extends JsSet | JsBitmap>(ports: Ports, held: Iterable<number>): Ports {
  for (const port of held) checkTaken(port, ports.takeAt(port));
  return ports;
}

function checkTaken(port: number, answer: number): void {
  if (answer !== port) throw new Error(`port ${port} could not be taken: ${answer}`);
}
