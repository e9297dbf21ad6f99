// Socket refusals: the core's refusals as errors with the kernel's codes that say what was asked
// and searched.

import {
  AGAIN,
  BAD_STATE,
  EMPTY_RANGE,
  EXHAUSTED,
  GROUP_BIND,
  GROUP_CONNECT,
  NO_MEMORY,
  NOT_PERMITTED,
  OUTSIDE_GROUP,
} from "../../../../assembly/abi.ts";
import type { Core } from "../../../core/core.ts";
import { noMemory, PortError } from "../../../errors.ts";
import { explainEmpty, type PortGroup } from "../../../groups/group.ts";
import { showEnd } from "../../../requests/printing.ts";
import { type PortRange, showRange, unpackRange } from "../../../requests/range.ts";
import type { Exports2632 } from "./core.ts";

/** The socket whose call is refused. */
export interface About {
  readonly core: Core;
  readonly linux: Exports2632;
  /** Where the core keeps the system and the socket. */
  readonly system: number;
  readonly socket: number;
  readonly limit: number;
  readonly type: "tcp" | "udp";
  readonly state: string;
  readonly port: number;
  readonly group: PortGroup | undefined;
  /** Does the selection try single ports, so that it may miss some? */
  readonly isDrawn: boolean;
}

type Kind = typeof GROUP_BIND | typeof GROUP_CONNECT;

/** A bind() or listen(), of a port that was named, or of any: 0. */
export function refusedBind(
  refusal: number,
  about: About,
  syscall: string,
  address: string,
  port: number,
): PortError {
  const asked = `${about.type} ${showEnd(address || "*", port)}`;
  const details = { syscall, address, port };
  switch (refusal) {
    case NO_MEMORY:
      return noMemory(`${asked}, limit ${about.limit} bytes`);
    case BAD_STATE:
      return wrongState(syscall, stateOf(about));
    case NOT_PERMITTED: {
      const start = about.linux.start(about.system);
      const message = `ports below ${start} need a privileged socket: ${asked}`;
      return new PortError("EACCES", "privileged-port", message, details);
    }
    case OUTSIDE_GROUP: {
      const why = explain(about, GROUP_BIND, { first: port, last: port });
      return new PortError("EADDRINUSE", "outside-group", `${asked}: ${why}`, details);
    }
    case EMPTY_RANGE: {
      const message = `no port is left to search, ${asked}: ${explain(about, GROUP_BIND)}`;
      const searched = wholeRange(about);
      return new PortError("EADDRINUSE", "empty-range", message, { ...details, searched });
    }
    case EXHAUSTED:
    case AGAIN: {
      const searched = unpackRange(about.linux.bindRange(about.socket));
      return exhausted(about, "EADDRINUSE", asked, { ...details, searched: searched as PortRange });
    }
    default:
      return new PortError("EADDRINUSE", "port-in-use", `the port is taken: ${asked}`, details);
  }
}

/** A connect(); `to` describes the remote end for the message. */
export function refusedConnect(
  refusal: number,
  about: About,
  address: string,
  to: string,
): PortError {
  const { type, port, linux } = about;
  const asked = `${type} ${showEnd(address || "*", port)}${to}`;
  const details = { syscall: "connect", address, port };
  const code = type === "udp" ? "EAGAIN" : "EADDRNOTAVAIL";
  switch (refusal) {
    case NO_MEMORY:
      return noMemory(`${asked}, limit ${about.limit} bytes`);
    case BAD_STATE: {
      const message = `the socket is ${about.state}: ${asked}`;
      return new PortError("EISCONN", "connected", message, details);
    }
    case EMPTY_RANGE: {
      const message = `no port is left to search, ${asked}: ${explain(about, GROUP_CONNECT)}`;
      return new PortError(code, "empty-range", message, {
        ...details,
        searched: wholeRange(about),
      });
    }
    case EXHAUSTED: {
      const searched = unpackRange(linux.connectRange(about.socket));
      return exhausted(about, code, asked, { ...details, searched: searched as PortRange });
    }
    default: {
      const message = `another connection has the tuple: ${asked}`;
      return new PortError("EADDRNOTAVAIL", "port-in-use", message, details);
    }
  }
}

function stateOf({ state, port }: About): string {
  return state === "closed" ? `the socket has port ${port} already` : `the socket is ${state}`;
}

/** The call does not fit what the socket is doing. */
export function wrongState(syscall: string, message: string): PortError {
  return new PortError("EINVAL", "wrong-state", `${syscall}: ${message}`, { syscall });
}

function exhausted(
  about: About,
  code: string,
  asked: string,
  details: { syscall: string; address: string; port: number; searched: PortRange },
): PortError {
  const range = showRange(details.searched);
  const why = about.isDrawn
    ? `no draw from ${range} met a port that is neither taken nor reserved`
    : `all of ${range} are taken or reserved`;
  const message = `no port is available: ${asked}, ${why}`;
  return new PortError(code, "no-port-available", message, details);
}

/** Why the group leaves nothing of what was asked for, or of the local range. */
function explain(about: About, kind: Kind, asked: PortRange = wholeRange(about)): string {
  const { group } = about;
  return group === undefined ? showRange(asked) : explainEmpty(group, kind, asked);
}

/** The system's range, of which a group may leave nothing. */
function wholeRange({ core, system }: About): PortRange {
  return unpackRange(core.exports.range(system)) as PortRange;
}
