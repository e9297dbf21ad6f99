// What a socket is, in the model of Linux 6.18.

import { type Address, anyOf } from "./address.ts";
import type { Bucket, BucketOwner, Newcomer } from "./bucket.ts";
import type { Range } from "./picking.ts";

export type SocketType = "tcp4" | "tcp6" | "udp4" | "udp6";

export type State =
  | "closed"
  | "listening"
  | "established"
  | "fin-wait-1"
  | "fin-wait-2"
  | "close-wait"
  | "last-ack"
  | "gone";

/** The two ends of a connection, as one of them sees them. */
export interface Tuple {
  readonly local: Address;
  readonly port: number;
  readonly remote: Address;
  readonly remotePort: number;
}

/** A connection's other end: in the model, outside of it, or gone. */
export type Peer = Socket | TimeWait | "outside" | undefined;

export class Socket implements Newcomer {
  readonly type: SocketType;
  readonly uid: number;
  readonly isTcp: boolean;
  readonly isV6: boolean;
  reuseAddr = false;
  reusePort = false;
  v6only = false;
  bindsAddressOnly = false;
  device = 0;
  range: Range = { first: 0, last: 0 };

  state: State = "closed";
  /** Has connect() succeeded and disconnect() not yet been called? */
  isUsed = false;
  address: Address;
  /** Did bind() give the address; did it give the port, not 0? */
  isAddressLocked = false;
  isPortLocked = false;
  isConnectBound = false;
  isGrouped = false;
  /** One of IPv6 that has sent, or been sent, a SYN over IPv4, and is deaf to IPv6 since. */
  isOverV4 = false;
  /** 0: none. */
  port = 0;
  /** The answer of getsockname(): the port may be gone. */
  shownPort = 0;
  bucket: Bucket | undefined;
  tuple: Tuple | undefined;
  hasTimestamps = false;
  peer: Peer = undefined;
  /** Connections that wait for accept(). */
  readonly backlog: Socket[] = [];

  constructor(type: SocketType, uid: number) {
    this.type = type;
    this.uid = uid;
    this.isTcp = type.startsWith("tcp");
    this.isV6 = type.endsWith("6");
    this.address = anyOf(this.isV6);
  }

  get isListening(): boolean {
    return this.state === "listening";
  }

  get isTimeWait(): boolean {
    return false;
  }
}

/** A connection whose socket is gone, but not its tuple. */
export class TimeWait implements BucketOwner {
  readonly isV6: boolean;
  readonly v6only: boolean;
  readonly reuseAddr: boolean;
  readonly reusePort: boolean;
  readonly device: number;
  readonly uid: number;
  readonly tuple: Tuple;
  readonly bucket: Bucket;
  hasTimestamps: boolean;
  address: Address;
  isConnectBound: boolean;
  /** Whether the other end has not yet closed. */
  isHalfOpen: boolean;
  /** Whether its FIN has got no answer: it is sent again and again, and is none of the TIME_WAITs. */
  isUnanswered = false;
  enteredAt: number;
  endsAt: number;
  peer: Peer;

  constructor(socket: Socket, isHalfOpen: boolean, now: number, endsAt: number) {
    this.isV6 = socket.isV6;
    this.v6only = socket.v6only;
    this.reuseAddr = socket.reuseAddr;
    this.reusePort = socket.reusePort;
    this.device = socket.device;
    this.uid = socket.uid;
    this.address = socket.address;
    this.isConnectBound = socket.isConnectBound;
    this.hasTimestamps = socket.hasTimestamps;
    this.tuple = socket.tuple as Tuple;
    this.bucket = socket.bucket as Bucket;
    this.isHalfOpen = isHalfOpen;
    this.enteredAt = now;
    this.endsAt = endsAt;
  }

  get isListening(): boolean {
    return false;
  }

  get isTimeWait(): boolean {
    return true;
  }
}
