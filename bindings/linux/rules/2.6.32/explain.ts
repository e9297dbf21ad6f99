// Explaining: why bind(), listen() or connect() gets a port, or none, by the rules of Linux 2.6.32.
// Nothing is changed.

import {
  GROUP_BIND,
  IN_USE,
  NOT_PERMITTED,
  OUTSIDE_GROUP,
  PORT_MAX,
} from "../../../../assembly/abi.ts";
import { noMemory } from "../../../errors.ts";
import { limitingPath, type PortGroup } from "../../../groups/group.ts";
import { type Address, ANY } from "../../../requests/address.ts";
import { writeEnds } from "../../../requests/block.ts";
import { type PortRange, unpackRange } from "../../../requests/range.ts";
import type { LinuxExplanation, LinuxObstacle } from "../../explanation.ts";
import { openOf } from "../../system.ts";
import { holderText } from "../6.18/explain.ts";
import type { Linux2632Record } from "./record.ts";
import { listed2632 } from "./records.ts";
import { STATES, type System } from "./socket-options.ts";

type Obstacle = LinuxObstacle<Linux2632Record>;
type Explanation = LinuxExplanation<Linux2632Record>;

const CONNECTED = STATES.indexOf("connected");

/** The address and the port that a call is about, which the socket may have already. */
export interface Asked2632 {
  readonly socket: number;
  readonly id: number;
  readonly type: "tcp" | "udp";
  readonly local: Address;
  readonly port: number;
  readonly reuseAddr: boolean;
  readonly device: number;
  readonly group: PortGroup | undefined;
}

export function explainBind2632(system: System, asked: Asked2632): Explanation {
  writeEnds(system.core, asked.local, ANY, 0);
  return asked.port === 0 ? explainAny(system, asked) : explainNamed(system, asked);
}

/** Why listen() is refused; the address and the port are the socket's own. */
export function explainListen2632(system: System, asked: Asked2632): Explanation {
  const { socket, port, group } = asked;
  if (port === 0) return explainBind2632(system, asked);
  if (system.linux.state(socket) === CONNECTED) return wrongState(port);
  const { first, last } = group?.effective.bind ?? { first: 1, last: group ? 0 : PORT_MAX };
  const isInside = port >= first && port <= last;
  const because = isInside ? holders(system, asked) : obstacles(system, asked, OUTSIDE_GROUP);
  return { allowed: because.length === 0, port, because };
}

/** Why connect() gets no port, or not the one that the socket had. */
export function explainConnect2632(
  system: System,
  asked: Asked2632,
  remote: Address,
  remotePort: number,
): Explanation {
  const { core, linux } = system;
  const { socket, type, local, port, device, id } = asked;
  if (type === "tcp" && linux.state(socket) !== 0) return wrongState(port);
  if (port === 0) {
    const [unheld, free] = [0, 1].map((what) => {
      writeEnds(core, local, remote, remotePort);
      const count = linux.countOpenTo(socket, what);
      if (count < 0) throw noMemory(`an explanation, limit ${system.limit} bytes`);
      return count;
    }) as [number, number];
    return explainSearch(system, asked, linux.connectRange(socket), unheld, free);
  }
  const inTheWay = listed2632(system).filter(({ record, isLasting }) => {
    const isTheirs = record.type === type && record.port === port && record.id !== id;
    const isFromHere = record.address === local.text && record.bindToDevice === device;
    const to = record.remote;
    return (
      isTheirs && isFromHere && isLasting && to?.address === remote.text && to.port === remotePort
    );
  });
  const because = inTheWay.map(({ record: holder }): Obstacle => {
    return { rule: "tuple", text: `${holderText(holder)} has the tuple`, holder };
  });
  return { allowed: because.length === 0, port, because };
}

function wrongState(port: number): Explanation {
  return { allowed: false, port, because: [hasPort()] };
}

function explainNamed(system: System, asked: Asked2632): Explanation {
  const { port, socket } = asked;
  const answer = system.linux.judgeBind(socket, port);
  const because = answer > 0 ? [] : obstacles(system, asked, answer);
  return { allowed: answer > 0, port, because };
}

function obstacles(system: System, asked: Asked2632, refusal: number): Obstacle[] {
  const { group, port } = asked;
  if (refusal === NOT_PERMITTED) {
    const start = system.linux.start(openOf(system));
    return [{ rule: "privileged", text: `ports below ${start} need a privileged socket` }];
  }
  if (refusal === OUTSIDE_GROUP && group !== undefined) {
    const path = limitingPath(group, GROUP_BIND, port);
    const text = `group ${group.path} does not allow port ${port}: ${path} sets the limit`;
    return [{ rule: "outside-group", text, group: path }];
  }
  return refusal === IN_USE ? holders(system, asked) : [hasPort()];
}

function hasPort(): Obstacle {
  return { rule: "wrong-state", text: "the socket has a port, is connected or listens" };
}

/** The owners that have to go. */
function holders(
  system: System,
  { id, type, local, port, reuseAddr, device }: Asked2632,
): Obstacle[] {
  return listed2632(system)
    .filter(({ record, isOpen }) => {
      const { address, bindToDevice } = record;
      const meets =
        (device === 0 || bindToDevice === 0 || device === bindToDevice) &&
        (local.text === "" || address === "" || local.text === address);
      const isOwner = record.type === type && record.port === port && record.id !== id;
      return isOwner && meets && !(reuseAddr && isOpen);
    })
    .map(({ record: holder }) => {
      const by = holderText(holder);
      return reuseAddr && holder.reuseAddr && holder.state === "listening"
        ? { rule: "listening", text: `${by} listens`, holder }
        : { rule: "flags", text: `${by} and the socket do not both have SO_REUSEADDR`, holder };
    });
}

function explainAny(system: System, asked: Asked2632): Explanation {
  const { socket } = asked;
  const { linux } = system;
  if (linux.port(socket) !== 0 || linux.state(socket) !== 0) return wrongState(0);
  const free = linux.countOpen(socket);
  return explainSearch(system, asked, linux.bindRange(socket), free, free);
}

/**
 * How many ports each rule takes away; `unheld`: ports that are not reserved and that no bind()
 * holds.
 */
function explainSearch(
  system: System,
  { group }: Asked2632,
  range: number,
  unheld: number,
  free: number,
): Explanation {
  const { linux, reserved } = system;
  const searched = unpackRange(linux.portRange(openOf(system))) as PortRange;
  const within = unpackRange(range);
  const [all, left] = [sizeOf(searched), sizeOf(within)];
  let kept = 0;
  for (let port = within?.first ?? 1; port <= (within?.last ?? 0); port++) {
    if (reserved.has(port)) kept++;
  }
  const path = group?.path;
  const taken: readonly Obstacle[] = [
    { rule: "outside-group", text: `group ${path} leaves less`, group: path, ports: all - left },
    { rule: "reserved", text: "ip_local_reserved_ports has them", ports: kept },
    { rule: "held", text: "others have them", ports: left - kept - unheld },
    { rule: "tuple", text: "connections to the same end have them", ports: unheld - free },
  ];
  const because = taken.filter(({ ports }) => ports !== 0);
  return { allowed: free > 0, port: 0, because, searched, free };
}

function sizeOf(range: PortRange | undefined): number {
  return range === undefined ? 0 : range.last - range.first + 1;
}
