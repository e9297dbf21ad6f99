// Operation: what can happen to a system with UDP and TCP sockets, as plain data, and what may be
// told of a system afterwards. Linux2632Ports and the reference models answer it.

export type Type = "udp" | "tcp";

export interface Range {
  readonly first: number;
  readonly last: number;
}

/** A socket's number is its name, and never comes back. */
interface OnSocket {
  readonly sock: number;
}

export type Operation = { readonly draws?: readonly number[] } & (
  | (OnSocket & SocketRequest & { op: "socket" })
  | (OnSocket & { op: "bind"; address: string; port: number })
  | (OnSocket & { op: "listen" })
  | (OnSocket & Target & { op: "connect" })
  | (OnSocket & { op: "close" })
  | (OnSocket & { op: "closeToTimeWait"; stamp: number | null })
  | (OnSocket & { op: "setReuse"; reuse: boolean })
  | (OnSocket & { op: "moveSocket"; group: string })
  | { op: "setGroup"; group: string; kind: "bind" | "connect"; range?: Range }
  | { op: "setReserved"; ports: readonly number[] }
  | { op: "setRange"; first: number; last: number }
  | { op: "setUnprivilegedStart"; start: number }
  | { op: "setNow"; now: number }
  | { op: "expireTimeWait" }
);

export interface SocketRequest {
  readonly type: Type;
  readonly reuse: boolean;
  readonly device: number;
  readonly group: string;
  readonly privileged: boolean;
}

export interface Target {
  readonly remote: string;
  readonly remotePort: number;
  /** Absent: the system's. TCP is always told. */
  readonly local?: string;
  /** Absent: as the system's selection says. TCP is always told. */
  readonly offset?: number;
}

/** A port, how many it were, or how it was refused; of TCP the code only. */
export type Answer =
  | "done"
  | number
  | { readonly code: string; readonly reason?: string; readonly searched?: Range };

/** All that can be told of one socket. */
export interface Look {
  readonly type: Type;
  readonly state: string;
  readonly address: string;
  readonly port: number;
  readonly reuse: boolean;
}

/** What a system counts. */
export interface PairMetrics {
  readonly buckets: number;
  readonly sockets: number;
  readonly hint: number;
}

/** What TCP knows of a port. */
export interface Known {
  readonly fastreuse: number;
  readonly owners: number;
  readonly timeWait: number;
}

export interface System {
  perform(operation: Operation): Answer;
  look(sock: number): Look;
  figures(): PairMetrics;
  record(port: number): Known | undefined;
  /** How many of its draws the last operation took. */
  readonly drawn: number;
}
