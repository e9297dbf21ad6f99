// net: a socket that goes through a connector by itself, for libraries that make, or take, a socket
// at once.

import { Socket, type SocketConnectOpts, type SocketConstructorOpts } from "node:net";
import { PortError } from "../../errors.ts";
import { checkObject } from "../../requests/checks.ts";
import { type Connector, dialBy } from "../connector/connector.ts";
import { endsIn, refuseIgnored } from "./options.ts";

/** Options of {@link PortSocket}: those of `net.Socket`, and portwarden's. */
export interface PortSocketOptions extends SocketConstructorOpts {
  /** With `spread: "sticky"`: the connection comes from the source that belongs to this key. */
  stickyKey?: string | undefined;
}

/**
 * A `net.Socket` that connects through a connector: for libraries that take a function which
 * returns a socket at once, such as the option `stream` of `pg` (which connects it) and `mysql2`
 * (which wants it to be connecting). Where there is a choice, {@link Connector.connect} does more.
 *
 * Data that is written before it is connected goes out then. It emits the events of any socket; if
 * there is no port, `error` with a {@link ConnectorError}. Destroying it gives its port back, or
 * its place in the queue.
 *
 * Since it is one socket, it makes **one attempt**. If the port turns out to be held by another
 * program, the socket fails (`EADDRINUSE`, `EADDRNOTAVAIL`), and the port is quarantined, so that
 * the library's next try gets another. If the host has several addresses, the first of those that a
 * source fits is the one. It connects once.
 *
 * For TLS, hand it to `tls.connect({ socket, servername })`, as those libraries do themselves.
 * @example
 * const postgres = new pg.Client({ host: "10.0.0.9", stream: () => new PortSocket(connector) });
 * const stream = () => new PortSocket(connector).connect(3306, "10.0.0.9");
 * const mysql = createConnection({ stream });
 */
export class PortSocket extends Socket {
  readonly #connector: Connector;
  readonly #stickyKey: string | undefined;
  #hasBegun = false;

  /**
   * @throws PortError `ERR_INVALID_ARG_VALUE` for a socket that is open already: `fd`, `handle`.
   */
  constructor(connector: Connector, options: PortSocketOptions = {}) {
    checkObject("options", options);
    const { stickyKey, ...ofNode } = options;
    refuseIgnored(ofNode, ["fd", "handle"]);
    super(ofNode);
    this.#connector = connector;
    this.#stickyKey = stickyKey;
  }

  /**
   * As `socket.connect`; what names a local socket by its path is left to Node.
   * @throws PortError for bad arguments, `EBADF` (the connector has been closed), `EISCONN` (called before).
   */
  override connect(options: SocketConnectOpts, connected?: () => void): this;
  override connect(port: number, host: string, connected?: () => void): this;
  override connect(port: number, connected?: () => void): this;
  override connect(path: string, connected?: () => void): this;
  override connect(to: SocketConnectOpts | number | string, ...more: unknown[]): this {
    const options = optionsOf(to, more[0]);
    const connected = more.find((one) => typeof one === "function") as (() => void) | undefined;
    if ("path" in options && options.path) return super.connect(options, connected);
    if (this.#hasBegun) {
      throw new PortError("EISCONN", "connected", "a PortSocket connects once; make another");
    }
    this.#dial(options);
    this.#hasBegun = true;
    if (connected !== undefined) this.once("connect", connected);
    return this;
  }

  #dial(options: SocketConnectOpts): void {
    refuseIgnored(options);
    const { host, port } = options as Extract<typeof options, { port: number }>;
    let operation: ReturnType<typeof dialBy> | undefined;
    const end = (): void => operation?.abandon(new Error("the socket has closed"));
    let isDialled = false;
    // Registered before the attempt's own listener: what failed once is not tried again.
    this.once("close", end);
    // Data that is written from now on waits, as while Node resolves a name.
    const state = this as { connecting: boolean };
    state.connecting = true;
    try {
      operation = dialBy(
        this.#connector,
        { host, port: Number(port), ...endsIn(options), key: this.#stickyKey },
        (ends) => {
          if (isDialled) throw new Error("a PortSocket has one attempt");
          isDialled = true;
          return super.connect({ ...options, ...ends });
        },
        (error) => {
          if (error !== null && !this.destroyed) this.destroy(error);
        },
        "connect",
      );
    } catch (error) {
      state.connecting = false;
      this.off("close", end);
      throw error;
    }
  }
}

/** Node's forms of `connect`, as options. */
function optionsOf(to: SocketConnectOpts | number | string, second: unknown): SocketConnectOpts {
  if (typeof to === "object" && to !== null) return to;
  if (typeof to === "string" && Number.isNaN(Number(to))) return { path: to };
  return { port: Number(to), ...(typeof second === "string" && { host: second }) };
}
