// Explaining: why bind(), listen() or connect() refuses a port, by the rules of Linux 6.18. The
// core judges each owner for the socket; here its answers are put into words.

import { GROUP_BIND, GROUP_CONNECT } from "../../../../assembly/abi.ts";
import { noMemory } from "../../../errors.ts";
import { limitingPath, type PortGroup } from "../../../groups/group.ts";
import { showEnd } from "../../../requests/printing.ts";
import { type PortRange, showRange, unpackRange } from "../../../requests/range.ts";
import type { LinuxExplanation, LinuxObstacle, LinuxRule } from "../../explanation.ts";
import { copyLines, LINE_WORDS } from "../../lines.ts";
import { openOf } from "../../system.ts";
import type { Linux2632Record } from "../2.6.32/record.ts";
import { type Address, ANY_V6, isV4Words, writeEnds } from "./address.ts";
import {
  IS_UDP,
  LISTENING,
  NO_PORT,
  ORDER,
  PORTS,
  REUSE_ADDR,
  REUSE_PORT,
  STATE_SHIFT,
  USED,
  V6ONLY,
} from "./core.ts";
import type { LinuxRecord, LinuxSocketType } from "./record.ts";
import { recordIn } from "./records.ts";
import type { System } from "./socket-options.ts";

/** The socket whose call is explained. */
interface Asker {
  readonly socket: number;
  readonly type: LinuxSocketType;
  readonly group: PortGroup | undefined;
  /** The user who owns the socket. */
  readonly uid: number;
}

/** A listen(): the socket's own address and port. */
interface Asked extends Asker {
  readonly local: Address;
  readonly port: number;
}

/** A bind(). */
interface AskedBind extends Asked {
  readonly isPrivileged: boolean;
  readonly isOfMachine: boolean;
}

/** A connect(). */
interface AskedConnect extends Asker {
  /** The local address that routing chooses. */
  readonly source: Address;
  readonly target: Address;
  readonly remotePort: number;
  /** 1: the target is the machine's own. */
  readonly isOwn: number;
  /** The port that the socket had; 0: any. */
  readonly port: number;
}

const CONFLICT = 2;
const SHARE = 1;

export function explainBind(system: System, asked: AskedBind): LinuxExplanation {
  const { port, socket } = asked;
  const { linux } = system;
  const refused = refusedAtOnce(system, asked);
  if (refused !== undefined) return { allowed: false, port, because: [refused] };
  if (port !== 0) return explainNamed(system, asked);
  const told = explainAny(system, asked);
  const isLater = (linux.flags(socket) & (NO_PORT | IS_UDP)) === NO_PORT;
  return { ...told, allowed: told.allowed || isLater };
}

export function explainListen(system: System, asked: Asked): LinuxExplanation {
  const { socket, port } = asked;
  const flags = system.linux.flags(socket);
  const isFit = (flags & USED) === 0 && flags >>> STATE_SHIFT <= LISTENING;
  if (!isFit) return { allowed: false, port, because: [WRONG_STATE] };
  return port === 0 ? explainAny(system, asked) : explainNamed(system, asked);
}

/** Why connect() gets no port, or not the one that the socket had. */
export function explainConnect(system: System, asked: AskedConnect): LinuxExplanation {
  const { core, linux } = system;
  const { socket, port, remotePort, isOwn } = asked;
  const flags = linux.flags(socket);
  const isFit = (flags & IS_UDP) !== 0 || ((flags & USED) === 0 && flags >>> STATE_SHIFT === 0);
  if (!isFit) return { allowed: false, port, because: [WRONG_STATE] };
  const write = (): void => writeEnds(core, asked.source, asked.target);
  if (port === 0) {
    return explainSearch(system, asked, GROUP_CONNECT, (what) => {
      write();
      return linux.countOpenTo(socket, remotePort, isOwn, what);
    });
  }
  const { lines, records } = copyLines(system);
  const because = records.flatMap((record, index): LinuxObstacle[] => {
    write();
    if (linux.hasTuple(socket, port, remotePort, isOwn, record) === 0) return [];
    const holder = recordIn(system, lines.subarray(index * LINE_WORDS, (index + 1) * LINE_WORDS));
    return [{ rule: "tuple", text: `${holderText(holder)} has the tuple`, holder }];
  });
  return { allowed: because.length === 0, port, because };
}

const WRONG_STATE: LinuxObstacle = {
  rule: "wrong-state",
  text: "the socket has a port, is connected or listens",
};

/** The checks that the kernel makes before it looks at ports. */
function refusedAtOnce(system: System, asked: AskedBind): LinuxObstacle | undefined {
  const { socket, type, local, port } = asked;
  const { linux } = system;
  const flags = linux.flags(socket);
  const isV6 = type.endsWith("6");
  const start = linux.start(openOf(system));
  const reasons: readonly (readonly [applies: boolean, rule: LinuxRule, text: string])[] = [
    [local.isV6 !== isV6, "wrong-family", `a ${type} socket has no address ${local.plain}`],
    [!asked.isOfMachine, "not-local", `${local.plain} is none of the machine's addresses`],
    [
      port > 0 && port < start && !asked.isPrivileged,
      "privileged",
      `ports below ${start} are for root`,
    ],
    [linux.port(socket) !== 0 || flags >>> STATE_SHIFT !== 0, "wrong-state", WRONG_STATE.text],
    [
      isV6 && isV4Words(local.words) && (flags & V6ONLY) !== 0,
      "wrong-family",
      "the socket is IPv6-only, and the address is IPv4",
    ],
  ];
  const found = reasons.find(([applies]) => applies);
  return found === undefined ? undefined : { rule: found[1], text: found[2] };
}

// ── An explicit port ──────────────────────────────────────────────────────────────────────

function explainNamed(system: System, asked: Asked): LinuxExplanation {
  const { socket, port, group, local } = asked;
  writeEnds(system.core, local, ANY_V6);
  const outside = outsideGroup(system, asked);
  const flags = system.linux.flags(socket);
  const isLike = (flags & IS_UDP) === 0 && system.linux.isLike(socket, port) !== 0;
  const holders = isLike ? [] : holdersInTheWay(system, asked);
  const because = group !== undefined && outside !== undefined ? [outside] : [];
  because.push(...holders.map((holder) => obstacleOf(holder, flags, asked.uid)));
  return { allowed: because.length === 0, port, because };
}

function outsideGroup(
  { linux }: System,
  { socket, port, group }: Asked,
): LinuxObstacle | undefined {
  if (group === undefined) return undefined;
  if (linux.allowsPort(socket, port) !== 0) return undefined;
  const path = limitingPath(group, GROUP_BIND, port);
  const text = `group ${group.path} does not allow port ${port}: ${path} sets the limit`;
  return { rule: "outside-group", text, group: path };
}

/** The owners that have to go; of UDP's those before the first that shares. */
function holdersInTheWay(system: System, { socket, type, port }: Asked): LinuxRecord[] {
  const { lines, records } = copyLines(system);
  const isUdp = type.startsWith("udp");
  const found: { order: number; verdict: number; holder: LinuxRecord }[] = [];
  for (const [index, record] of records.entries()) {
    const line = lines.subarray(index * LINE_WORDS, (index + 1) * LINE_WORDS);
    if (((line[PORTS] as number) & 0xffff) !== port) continue;
    const holder = recordIn(system, line);
    if (holder.type.startsWith("udp") !== isUdp) continue;
    const verdict = system.linux.verdict(socket, record);
    if (verdict !== 0) found.push({ order: orderIn(line), verdict, holder });
  }
  if (isUdp) found.sort((one, other) => one.order - other.order);
  const sharing = isUdp ? found.findIndex(({ verdict }) => verdict === SHARE) : -1;
  const first = sharing < 0 ? found : found.slice(0, sharing);
  return first.filter(({ verdict }) => verdict === CONFLICT).map(({ holder }) => holder);
}

function orderIn(line: Uint32Array): number {
  return new Float64Array(line.slice(ORDER, ORDER + 2).buffer)[0] as number;
}

/** A holder in words; for a connection without a socket also when it ends. */
export function holderText(holder: LinuxRecord | Linux2632Record): string {
  const { id, type, address, port, state, until } = holder;
  const who = `${type} ${showEnd(address || "*", port)}`;
  return id === 0 ? `${who} in ${state} until ${until}` : `socket ${id}, ${who},`;
}

function obstacleOf(holder: LinuxRecord, flags: number, uid: number): LinuxObstacle {
  const sharesAddress = (flags & REUSE_ADDR) !== 0 && holder.reuseAddr;
  const sharesPort = (flags & REUSE_PORT) !== 0 && holder.reusePort;
  const by = holderText(holder);
  if (sharesAddress && holder.state === "listening") {
    return { rule: "listening", text: `${by} listens`, holder };
  }
  if (sharesPort && holder.uid !== uid) {
    return { rule: "user", text: `${by} is of user ${holder.uid}, not ${uid}`, holder };
  }
  const text = `${by} and the socket have neither SO_REUSEADDR nor SO_REUSEPORT in common`;
  return { rule: "flags", text, holder };
}

// ── Any port ──────────────────────────────────────────────────────────────────────────────

function explainAny(system: System, asked: Asked): LinuxExplanation {
  writeEnds(system.core, asked.local, ANY_V6);
  return explainSearch(system, asked, GROUP_BIND, (what) => {
    return system.linux.countOpen(asked.socket, Math.min(what, 1));
  });
}

/** Counts ports that are reserved (0); not reserved and not held (1); nor is their tuple taken (2). */
type CountOpen = (what: number) => number;

/** How many ports of the system's range each rule takes away. */
function explainSearch(
  system: System,
  { socket, group }: Asker,
  kind: typeof GROUP_BIND | typeof GROUP_CONNECT,
  countOpen: CountOpen,
): LinuxExplanation {
  const { linux } = system;
  const searched = unpackRange(linux.portRange(openOf(system)) >>> 0) as PortRange;
  const own = unpackRange(linux.searched(socket) >>> 0) as PortRange;
  const within = unpackRange(linux.range(socket, kind) >>> 0);
  const [all, ofOwn, ofGroup] = [searched, own, within].map(sizeOf) as [number, number, number];
  const [reserved, unheld, free] = [0, 1, 2].map((what) => {
    const count = countOpen(what);
    if (count < 0) throw noMemory(`an explanation, limit ${system.limit} bytes`);
    return count;
  }) as [number, number, number];
  const path = group?.path;
  const taken: readonly LinuxObstacle[] = [
    {
      rule: "outside-own-range",
      text: `IP_LOCAL_PORT_RANGE leaves ${showRange(own)}`,
      ports: all - ofOwn,
    },
    {
      rule: "outside-group",
      text: `group ${path} leaves less`,
      group: path,
      ports: ofOwn - ofGroup,
    },
    { rule: "reserved", text: "ip_local_reserved_ports has them", ports: reserved },
    { rule: "held", text: "others have them", ports: ofGroup - reserved - unheld },
    { rule: "tuple", text: "connections to the same end have them", ports: unheld - free },
  ];
  const because = taken.filter(({ ports }) => ports !== 0);
  return { allowed: free > 0, port: 0, because, searched, free };
}

function sizeOf(range: PortRange | undefined): number {
  return range === undefined ? 0 : range.last - range.first + 1;
}
