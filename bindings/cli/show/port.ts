// `portwarden show --port`: the sockets that have a port on this host, with their programs, and what
// may still share it, by the rules of Linux 6.18 (docs/internals/linux-rules.md).
//
// The kernel does not tell which sockets have SO_REUSEADDR or SO_REUSEPORT, nor which of them were
// bound: answers that depend on that are given as a condition.

import { type HostTransport, readHostState } from "../../node/host/host-state.ts";
import type { SocketRow } from "../../node/host/proc.ts";
import { isPicked, rangeUse } from "../../node/host/use.ts";
import { bullet, table, title } from "../output.ts";
import { type OwnedRow, ownedRows } from "./programs.ts";

/** Whether another socket may have the port, too. */
interface Sharing {
  readonly who: "listen-same-address" | "listen-other-address" | "connect";
  readonly allowed: "yes" | "no" | "if";
  readonly text: string;
}

/** A port in one transport. */
interface PortUse {
  readonly transport: HostTransport;
  readonly sockets: readonly OwnedRow[];
  /** `undefined`: the host does not list its sockets. */
  readonly mayShare: readonly Sharing[] | undefined;
}

/** A port of this host. */
interface PortShown {
  readonly port: number;
  /** Is it in the range from which the kernel picks, and does it pick it? */
  readonly picked: boolean;
  /** Does binding it need a privilege? */
  readonly privileged: boolean;
  readonly uses: readonly PortUse[];
  readonly unknown: readonly string[];
}

export function lookAtPort(port: number, root?: string): PortShown {
  const host = readHostState(root);
  const rows = ownedRows((row) => row.port === port, root);
  const uses = (["tcp", "udp"] as const).map((transport): PortUse => {
    const sockets = rows.filter((row) => row.transport === transport);
    const isKnown = host[transport] !== undefined;
    return { transport, sockets, mayShare: isKnown ? sharingOf(transport, sockets) : undefined };
  });
  return {
    port,
    picked: isPicked(rangeUse(host), port),
    privileged: port < (host.unprivilegedPortStart ?? 0),
    uses,
    unknown: host.unknown,
  };
}

/** Which sockets may share the port with these. */
export function sharingOf(transport: HostTransport, sockets: readonly SocketRow[]): Sharing[] {
  const listen = sockets.filter(({ state, remotePort }) =>
    transport === "tcp" ? state === "LISTEN" : remotePort === 0,
  );
  const isOnAll = sockets.some(isOnAllAddresses);
  const same = sameAddress(transport, sockets, listen);
  return [
    { who: "listen-same-address", ...same },
    isOnAll
      ? { who: "listen-other-address", ...same }
      : { who: "listen-other-address", allowed: "yes", text: "no socket is on all addresses" },
    { who: "connect", ...connecting(transport, sockets, listen) },
  ];
}

function isOnAllAddresses({ address }: SocketRow): boolean {
  return address === "0.0.0.0" || address === "::";
}

type Answer = Omit<Sharing, "who">;

function sameAddress(
  transport: HostTransport,
  sockets: readonly SocketRow[],
  listen: readonly SocketRow[],
): Answer {
  if (sockets.length === 0) return { allowed: "yes", text: "no socket has it" };
  if (transport === "udp") {
    return { allowed: "if", text: "all have SO_REUSEADDR, or all SO_REUSEPORT and one user" };
  }
  if (listen.length > 0) {
    return { allowed: "if", text: "all that listen have SO_REUSEPORT, and one user" };
  }
  return { allowed: "if", text: "it has SO_REUSEADDR, and so have those that have the port" };
}

function connecting(
  transport: HostTransport,
  sockets: readonly SocketRow[],
  listen: readonly SocketRow[],
): Answer {
  if (sockets.length === 0) return { allowed: "yes", text: "no socket has it" };
  if (transport === "udp") return sameAddress(transport, sockets, listen);
  if (listen.some(isOnAllAddresses)) {
    return {
      allowed: "no",
      text: "a port that was bound is passed over, and bind() meets a listener",
    };
  }
  if (listen.length > 0) {
    return { allowed: "if", text: "it is bound to another address than those that listen" };
  }
  return {
    allowed: "if",
    text: "it goes elsewhere than they do, and they were not bound, or all have SO_REUSEADDR",
  };
}

const NAMES: Readonly<Record<Sharing["who"], string>> = {
  "listen-same-address": "a listener (or bind) on the same address",
  "listen-other-address": "a listener (or bind) on another address of this host, not on all,",
  connect: "an outgoing connection from it",
};

/** The same in words. */
export function portText({ port, picked, privileged, uses, unknown }: PortShown): string {
  const lines = [
    `Port ${port} ${picked ? "is one that the kernel picks" : "is none that the kernel picks"}` +
      `${privileged ? ", and only privileged programs may bind it" : ""}.`,
  ];
  for (const { transport, sockets, mayShare } of uses) {
    if (mayShare === undefined) continue;
    const rows = sockets.map(({ address, remoteAddress, remotePort, state, pid, program }) => [
      address,
      remotePort === 0 ? "" : `${remoteAddress}:${remotePort}`,
      state,
      pid === undefined ? "" : `${program} (${pid})`,
    ]);
    lines.push("", title(transport.toUpperCase()));
    if (rows.length > 0) lines.push(table(["address", "peer", "state", "program"], rows));
    for (const { who, allowed, text } of mayShare) {
      const answer = allowed === "if" ? `may share it if ${text}` : `${CAN[allowed]}: ${text}`;
      lines.push(bullet(`${NAMES[who]} ${answer}`));
    }
  }
  return [...lines, ...unknown.map((text) => bullet(text))].join("\n");
}

const CAN = { yes: "can have it", no: "cannot have it" } as const;
