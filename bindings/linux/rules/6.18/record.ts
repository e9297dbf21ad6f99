// How a socket of Linux 6.18 looks in a list: types alone.

/** The protocol and the family of a socket. */
export type LinuxSocketType = "tcp4" | "tcp6" | "udp4" | "udp6";

/** `"closed"`: neither connected nor listening; `"gone"` once `close()` has been called. */
export type LinuxSocketState =
  | "closed"
  | "listening"
  | "established"
  | "fin-wait-1"
  | "fin-wait-2"
  | "close-wait"
  | "last-ack"
  | "gone";

/** A socket, or a connection in TIME_WAIT, as plain data. */
export interface LinuxRecord {
  /** The socket's {@link LinuxSocket.id}; 0: a connection whose socket is gone. */
  readonly id: number;
  readonly type: LinuxSocketType;
  /** The local address. */
  readonly address: string;
  /** The local port; 0: none. */
  readonly port: number;
  /** The other end of a TCP connection. */
  readonly remote: { readonly address: string; readonly port: number } | undefined;
  /**
   * `"time-wait"`; `"fin-wait-2"` also where the socket is gone and the other end is open, and
   * `"fin-wait-1"` or `"last-ack"` where its FIN gets no answer.
   */
  readonly state: LinuxSocketState | "time-wait";
  /** When a connection without a socket ends: milliseconds of the system's clock. */
  readonly until: number | undefined;
  readonly reuseAddr: boolean;
  readonly reusePort: boolean;
  readonly v6only: boolean;
  /** The interface number, 0 for none. */
  readonly bindToDevice: number;
  /** The user who owns the socket; 0: root, or a connection without a socket. */
  readonly uid: number;
  /** The path of the group. */
  readonly group: string | undefined;
}
