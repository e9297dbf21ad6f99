// Explaining: why bind() gets a port, or none, by the rules of Linux 2.6.32. Nothing is changed.

import { IN_USE, NOT_PERMITTED, OUTSIDE_GROUP } from "../../../../assembly/abi.ts";
import { limitingPath, type PortGroup } from "../../../groups/group.ts";
import { type Address, ANY } from "../../../requests/address.ts";
import { writeEnds } from "../../../requests/block.ts";
import { type PortRange, unpackRange } from "../../../requests/range.ts";
import type { LinuxExplanation, LinuxObstacle } from "../../explanation.ts";
import { openOf } from "../../system.ts";
import { holderText } from "../6.18/explain.ts";
import type { Linux2632Record } from "./record.ts";
import { listed2632 } from "./records.ts";
import type { System } from "./socket-options.ts";

type Obstacle = LinuxObstacle<Linux2632Record>;
type Explanation = LinuxExplanation<Linux2632Record>;

/** What bind() would be asked for. */
interface Asked {
  readonly socket: number;
  readonly type: "tcp" | "udp";
  readonly local: Address;
  readonly port: number;
  readonly reuseAddr: boolean;
  readonly device: number;
  readonly group: PortGroup | undefined;
}

export function explain2632(system: System, asked: Asked): Explanation {
  writeEnds(system.core, asked.local, ANY, 0);
  return asked.port === 0 ? explainAny(system, asked) : explainNamed(system, asked);
}

function explainNamed(system: System, asked: Asked): Explanation {
  const { port, socket } = asked;
  const answer = system.linux.judgeBind(socket, port);
  const because = answer > 0 ? [] : obstacles(system, asked, answer);
  return { allowed: answer > 0, port, because };
}

function obstacles(system: System, asked: Asked, refusal: number): Obstacle[] {
  const { group, port } = asked;
  if (refusal === NOT_PERMITTED) {
    const start = system.linux.start(openOf(system));
    return [{ rule: "privileged", text: `ports below ${start} need a privileged socket` }];
  }
  if (refusal === OUTSIDE_GROUP && group !== undefined) {
    const path = limitingPath(group, 0, port);
    const text = `group ${group.path} does not allow port ${port}: ${path} sets the limit`;
    return [{ rule: "outside-group", text, group: path }];
  }
  return refusal === IN_USE ? holders(system, asked) : [hasPort()];
}

function hasPort(): Obstacle {
  return { rule: "wrong-state", text: "the socket has a port, is connected or listens" };
}

/** The owners that have to go. */
function holders(system: System, { type, local, port, reuseAddr, device }: Asked): Obstacle[] {
  return listed2632(system)
    .filter(({ record, isOpen }) => {
      const { address, bindToDevice } = record;
      const meets =
        (device === 0 || bindToDevice === 0 || device === bindToDevice) &&
        (local.text === "" || address === "" || local.text === address);
      const isOwner = record.type === type && record.port === port;
      return isOwner && meets && !(reuseAddr && isOpen);
    })
    .map(({ record: holder }) => {
      const by = holderText(holder);
      return reuseAddr && holder.reuseAddr && holder.state === "listening"
        ? { rule: "listening", text: `${by} listens`, holder }
        : { rule: "flags", text: `${by} and the socket do not both have SO_REUSEADDR`, holder };
    });
}

function explainAny(system: System, { socket, group }: Asked): Explanation {
  const { linux, reserved } = system;
  const searched = unpackRange(linux.portRange(openOf(system))) as PortRange;
  const within = unpackRange(linux.bindRange(socket));
  if (linux.port(socket) !== 0 || linux.state(socket) !== 0) {
    return { allowed: false, port: 0, because: [hasPort()] };
  }
  const [all, left] = [sizeOf(searched), sizeOf(within)];
  const free = linux.countOpen(socket);
  let kept = 0;
  for (let port = within?.first ?? 1; port <= (within?.last ?? 0); port++) {
    if (reserved.has(port)) kept++;
  }
  const path = group?.path;
  const taken: readonly Obstacle[] = [
    { rule: "outside-group", text: `group ${path} leaves less`, group: path, ports: all - left },
    { rule: "reserved", text: "ip_local_reserved_ports has them", ports: kept },
    { rule: "held", text: "others have them", ports: left - kept - free },
  ];
  const because = taken.filter(({ ports }) => ports !== 0);
  return { allowed: free > 0, port: 0, because, searched, free };
}

function sizeOf(range: PortRange | undefined): number {
  return range === undefined ? 0 : range.last - range.first + 1;
}
