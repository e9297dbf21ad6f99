// What a replay of Linux' port picker plays on, and the fuzzer: Linux2632Ports or the reference
// model, behind one face. The vectors know neither UDP nor privileged ports; the fuzzer does.
//
// All is said in the vectors' words: seconds, groups by their paths, "" for any address, 0 for no
// device. A system makes a socket of its own for each that is asked for; from then on that is what
// a call names. What can be refused answers with the port, or with the error's code.

export type Outcome = number | string | Refused;

/** Of a UDP socket. */
export interface Refused {
  readonly code: string;
  readonly reason: string;
  readonly searched?: Range;
}

export type Type = "udp" | "tcp";

export interface SocketRequest {
  /** Absent: TCP. */
  readonly type?: Type;
  /** Absent: it may have every port. */
  readonly privileged?: boolean;
  readonly reuse: boolean;
  readonly device: number;
  readonly group: string;
}

/** The end that a connect() goes to, and for TCP the address that routing would choose. */
export interface ConnectRequest {
  readonly local?: string | undefined;
  readonly remote: string;
  readonly remotePort: number;
}

export interface Range {
  readonly first: number;
  readonly last: number;
}

export interface Look {
  readonly type: Type;
  readonly reuse: boolean;
  readonly port: number;
  readonly address: string;
  readonly state: string;
}

export interface LinuxSystem<Socket = unknown> {
  /** How many random values the last bind(), listen() or connect() took. */
  readonly drawn: number;

  socket(request: SocketRequest): Socket;
  /** @param random what its search draws, from the head of the list. */
  bind(socket: Socket, address: string, port: number, random: readonly number[]): Outcome;
  listen(socket: Socket, random: readonly number[]): Outcome;
  /** @param portOffset given for TCP always; absent: as the system's selection says. */
  connect(socket: Socket, request: ConnectRequest, portOffset: number | undefined): Outcome;
  close(socket: Socket): void;
  /**
   * How it was refused, if it was.
   * @param stamp the second of its last TCP timestamp; absent: it had none.
   */
  closeToTimeWait(socket: Socket, stamp: number | undefined): Outcome | undefined;
  /** How many it removed. */
  expireTimeWait(): number;

  setReuse(socket: Socket, reuse: boolean): void;
  moveSocket(socket: Socket, group: string): void;
  /** No range: no limit. A group needs no creation. */
  setGroup(group: string, kind: "bind" | "connect", range: Range | undefined): void;
  setReserved(ports: readonly number[]): void;
  setLocalRange(first: number, last: number): void;
  setNow(seconds: number): void;
  setTwReuse(value: 0 | 1): void;
  setUnprivilegedStart(port: number): void;

  bucket(port: number): { fastreuse: number; owners: number; timeWait: number } | undefined;
  stats(): { buckets: number; bsockets: number; hint: number };
  look(socket: Socket): Look;

  /** Closes the system with all that it holds. What is left behind should be nothing. */
  end(): Left;
}

export interface Left {
  /** In use beyond those in use when the system was opened, just before it was closed. */
  readonly bytes: number;
  /** Of groups, by sockets, after it was closed. */
  readonly uses: number;
}

/** Makes a system whose search for connect() starts at the hint. */
export type OpenLinux = (hint: number) => LinuxSystem;
