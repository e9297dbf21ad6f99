// The refusals of the rules of modern Linux, as errors with the kernel's codes.

import {
  BAD_STATE,
  EMPTY_RANGE,
  EXHAUSTED,
  GROUP_BIND,
  GROUP_CONNECT,
  IN_USE,
  IS_CONNECTED,
  NO_ANSWER,
  NO_MEMORY,
  NO_ROUTE,
  NOT_CONNECTED,
  NOT_LISTENING,
  NOT_LOCAL,
  NOT_PERMITTED,
  NOTHING_WAITS,
  OUTSIDE_GROUP,
  REFUSED,
  WRONG_FAMILY,
} from "../../../../assembly/abi.ts";
import { noMemory, PortError, type Reason } from "../../../errors.ts";
import { showEnd } from "../../../requests/printing.ts";
import { showRange, unpackRange } from "../../../requests/range.ts";
import type { LinuxSocketType } from "./record.ts";
import type { System } from "./socket-options.ts";

/** The call that was refused. */
interface Asked {
  readonly type: LinuxSocketType;
  readonly syscall: string;
  readonly address: string;
  readonly port: number;
}

type Told = readonly [code: string, reason: Reason, message: string];

const TOLD: ReadonlyMap<number, Told> = new Map([
  [IN_USE, ["EADDRINUSE", "port-in-use", "the port is taken"]],
  [OUTSIDE_GROUP, ["EADDRINUSE", "outside-group", "the group does not allow the port"]],
  [BAD_STATE, ["EINVAL", "wrong-state", "the socket has a port, is connected, or cannot do that"]],
  [NOT_PERMITTED, ["EACCES", "privileged-port", "the port needs a privileged user"]],
  [NOT_LOCAL, ["EADDRNOTAVAIL", "not-found", "the address is none of the machine's"]],
  [IS_CONNECTED, ["EISCONN", "connected", "the socket is connected, or listens"]],
  [NO_ROUTE, ["ENETUNREACH", "not-found", "an IPv6-only socket has no way to IPv4"]],
  [WRONG_FAMILY, ["EAFNOSUPPORT", "invalid-argument", "the address is of another family"]],
  [REFUSED, ["ECONNREFUSED", "not-found", "no socket listens there"]],
  [NO_ANSWER, ["ETIMEDOUT", "not-found", "no answer comes"]],
  [NOT_CONNECTED, ["ENOTCONN", "wrong-state", "the socket is not connected"]],
  [NOT_LISTENING, ["EINVAL", "wrong-state", "the socket does not listen"]],
  [NOTHING_WAITS, ["EAGAIN", "not-found", "no connection waits"]],
]);

/** The error of a refusal. */
export function refusal618(
  refusal: number,
  { linux, limit }: System,
  socket: number,
  { type, syscall, address, port }: Asked,
): PortError {
  const kind = syscall === "connect" ? GROUP_CONNECT : GROUP_BIND;
  const searched = unpackRange(linux.range(socket, kind) >>> 0);
  const text = `${type} ${showEnd(address || "*", port)}`;
  if (refusal === NO_MEMORY) return noMemory(`${text}, limit ${limit} bytes`);
  const details = { syscall, address, port, ...(searched === undefined ? {} : { searched }) };
  if (refusal === EXHAUSTED || refusal === EMPTY_RANGE) {
    const where =
      searched === undefined
        ? "the range is empty"
        : `all of ${showRange(searched)} are taken or reserved`;
    const reason = refusal === EXHAUSTED ? "no-port-available" : "empty-range";
    const message = `no port is available: ${text}, ${where}`;
    return new PortError(
      codeOfExhausted(syscall, type.startsWith("udp")),
      reason,
      message,
      details,
    );
  }
  if (refusal === IN_USE && syscall === "connect") {
    const message = `another connection has the tuple: ${text}`;
    return new PortError("EADDRNOTAVAIL", "port-in-use", message, details);
  }
  const [code, reason, message] = TOLD.get(refusal) as Told;
  return new PortError(code, reason, `${message}: ${text}`, details);
}

function codeOfExhausted(syscall: string, isUdp: boolean): string {
  if (syscall !== "connect") return "EADDRINUSE";
  return isUdp ? "EAGAIN" : "EADDRNOTAVAIL";
}
