// listenOn: makes a server listen on a port of a range that no other socket has.

import { isRevoked } from "../../core/brands.ts";
import { wrongType } from "../../errors.ts";
import { TCP, UDP } from "../../index.ts";
import { readOptions } from "../../requests/checks.ts";
import {
  holdPort,
  type ListenRange,
  noneFree,
  portsFrom,
  rangeToListen,
  requestOf,
} from "./candidates.ts";
import { isDatagram, type Listener, tryListen } from "./try-listen.ts";

/** Options of {@link listenOn}. */
export interface ListenOptions extends ListenRange {
  /** The local address; all addresses by default, IPv6 and IPv4. */
  address?: string | undefined;
  /**
   * As in `server.listen` and `socket.bind`: with `false`, workers of a `cluster` that listen on
   * the same port share it. True by default.
   */
  exclusive?: boolean | undefined;
}

const NAMES = ["range", "group", "address", "exclusive"];

/**
 * Makes a server listen on a port of a range: of `net`, `tls`, `http`, `https` or `http2`, or a
 * socket of `dgram`. Begins at a random port and goes on to the next where this thread, another
 * process or a lease has the port. The server emits `listening` once, and no error on the way.
 * @returns a promise of the port, which is free again when the server has closed.
 * @throws as a rejected promise: PortError `EADDRINUSE` (`no-port-available`), `EACCES` (the group
 * allows no port), `ENOENT` (it has been removed), `EINVAL` (range), `ERR_INVALID_ARG_TYPE`,
 * `ERR_INVALID_ARG_VALUE`, `ERR_INVALID_IP_ADDRESS`; the system's other errors.
 * @example
 * const port = await listenOn(http.createServer(answer), { range: { first: 20000, last: 20099 } });
 */
export async function listenOn(listener: Listener, options: ListenOptions = {}): Promise<number> {
  checkListener(listener);
  const given = readOptions("options", options, NAMES);
  const { address, exclusive = true } = given;
  if (typeof exclusive !== "boolean") throw wrongType("exclusive", "a boolean", exclusive);
  const request = requestOf(given, isDatagram(listener) ? UDP : TCP);
  const range = rangeToListen(given);
  for (const port of portsFrom(range)) {
    const held = await holdPort(port, request);
    if (held === undefined) continue;
    let isListening = false;
    try {
      isListening = await tryListen(listener, { port, address, exclusive });
    } finally {
      // From here on the kernel refuses the port to other sockets.
      held.name?.close();
      if (!isListening) held.reservation.release();
    }
    if (!isListening) continue;
    listener.once("close", () => held.reservation.release());
    return port;
  }
  throw noneFree("port", range);
}

function checkListener(value: unknown): void {
  const { listen, bind, on } = isRevoked(value) ? ({} as Record<string, unknown>) : Object(value);
  if (typeof on === "function" && (typeof listen === "function" || typeof bind === "function"))
    return;
  throw wrongType("server", "a server of net, tls, http, https or http2, or a dgram socket", value);
}
