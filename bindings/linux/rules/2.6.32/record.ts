// How a socket of Linux 2.6.32 looks in a list: types alone.

/**
 * The state of a socket: `"closed"`, neither connected nor listening, as a new one or one that is
 * bound; `"gone"` once `close()` has been called.
 */
export type Linux2632State = "closed" | "listening" | "connected" | "gone";

/** A socket, or a connection in TIME_WAIT, as plain data. */
export interface Linux2632Record {
  /** The socket's {@link Linux2632Socket.id}; 0: a TIME_WAIT. */
  readonly id: number;
  readonly type: "tcp" | "udp";
  /** The local address; `""` is any, or none. */
  readonly address: string;
  /** The local port, 0..65535; 0: none. */
  readonly port: number;
  /** The other end of a TCP connection. */
  readonly remote: { readonly address: string; readonly port: number } | undefined;
  readonly state: Linux2632State | "time-wait";
  /** When a TIME_WAIT ends: milliseconds of the system's clock. */
  readonly until: number | undefined;
  readonly reuseAddr: boolean;
  /** The interface number, 0 for none. */
  readonly bindToDevice: number;
  /** The path of the socket's group. */
  readonly group: string | undefined;
}
