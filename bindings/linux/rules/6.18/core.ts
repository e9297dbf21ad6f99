// The exports of the linux module for the rules of Linux 6.8 to 6.18. Addresses of records, counts
// and ports are numbers; a negative answer is a refusal.

import type { SharedExports } from "../../core.ts";

export type Exports618 = SharedExports & {
  open(
    seedLow: number,
    seedHigh: number,
    limitBytes: number,
    reserved: number,
    duration: number,
    now: number,
  ): number;
  secret(system: number, index: number, value: number): void;
  set(system: number, setting: number, value: number): void;
  setting(system: number, setting: number): number;
  setReuseDelay(system: number, delay: number): number;

  openSocket(system: number, flags: number, device: number, uid: number, group: number): number;
  setFlag(socket: number, flag: number, value: number): number;
  setDevice(socket: number, device: number): number;
  setRange(socket: number, first: number, last: number): void;
  flags(socket: number): number;
  name(socket: number): number;
  ownRange(socket: number): number;
  device(socket: number): number;
  addressWord(socket: number, index: number): number;
  id(socket: number): number;
  range(socket: number, kind: number): number;

  bind(socket: number, port: number, isLocal: number, isPrivileged: number, random: number): number;
  listen(socket: number, random: number): number;
  connect(
    socket: number,
    remotePort: number,
    isOwn: number,
    isAccepted: number,
    how: number,
    offset: number,
  ): number;
  connectUdp(socket: number, isOwn: number, random: number): number;
  accept(listener: number): number;
  acceptFrom(listener: number, remotePort: number, hasTimestamps: number): number;
  isKnownFrom(listener: number, remotePort: number): number;
  disconnect(socket: number): number;
  disconnectUdp(socket: number): number;
  shutdown(socket: number): number;
  receive(socket: number, isReset: number): number;
  close(socket: number, isReset: number): number;
  closeUdp(socket: number): void;

  verdict(socket: number, owner: number): number;
  isLike(socket: number, port: number): number;
  countOpen(socket: number, what: number): number;
  countOpenTo(socket: number, remotePort: number, isOwn: number, what: number): number;
  hasTuple(socket: number, port: number, remotePort: number, isOwn: number, owner: number): number;
  searched(socket: number): number;
  allowsPort(socket: number, port: number): number;

  readLike(system: number, port: number): void;
  restoreBucket(system: number, port: number, open: number, remembers: number): number;
  linkPeer(record: number, peer: number): void;
  linkListener(listener: number): number;
  linkWaiting(listener: number, child: number): void;
  reached(system: number, what: number): number;
  setReached(system: number, what: number, value: number): void;
  counter(system: number, index: number): number;
  setCounter(system: number, index: number, value: number): number;
  secretOf(system: number, index: number): number;
};

// Settings of a system, by their places in its record (assembly/linux/rules/6.18/system.ts).
/** Four switches of 8 bits: autobind reuse, tw reuse, timestamps, exact order. */
export const SWITCHES = 104;
export const DELAY = 108;
export const TW_MAX = 112;
export const FIN_TIMEOUT = 116;
export const DURATION = 120;
export const UDP_SLOTS = 124;

// Flags of a socket (assembly/linux/rules/6.18/socket.ts).
export const IS_UDP = 1;
export const IS_V6 = 2;
export const REUSE_ADDR = 4;
export const REUSE_PORT = 8;
export const V6ONLY = 16;
export const NO_PORT = 32;
/** The socket has connected, or tried to. */
export const USED = 1024;
export const HAS_RANGE = 4096;
export const STATE_SHIFT = 24;
// States, above the flags.
export const LISTENING = 1;
export const ESTABLISHED = 2;
// Of a TIME_WAIT (assembly/linux/rules/6.18/time-wait.ts): the other end has not yet closed.
export const HALF_OPEN = 1;
/** The TIME_WAIT is not yet old enough to be taken over. */
export const IS_PENDING = 8;
/** Half open, and its FIN gets no answer. `IS_LAST`: that FIN answered one of the other end. */
export const UNANSWERED = 16;
export const IS_LAST = 32;
/** The peer is no record of the system. */
export const OUTSIDE = 1;

// The line of a record, in words (assembly/linux/rules/6.18/state.ts).
export const WHAT = 0;
export const STATE = 1;
export const ID = 2;
export const FLAGS = 4;
export const KIND = 5;
export const DEVICE = 6;
export const UID = 7;
export const GROUP = 8;
/** The port, and in the upper half the one that getsockname() tells. */
export const PORTS = 9;
export const RANGE = 10;
export const REMOTE_PORT = 11;
export const LOCAL = 12;
export const REMOTE = 16;
export const PEER = 20;
export const NEXT_LISTENER = 21;
export const WAITING = 22;
export const ORDER = 24;
export const ENTERED = 26;
export const ENDS = 28;
export const A_TIME_WAIT = 2;
// Of `STATE`.
export const TUPLE_THERE = 1;
export const IS_DUE = 2;
export const PART_OPEN = 4;
export const BUCKET_OPEN = 8;
export const REMEMBERS = 16;
// Of `KIND`, for a TIME_WAIT's owner.
export const SHARES_PORT = 2;
export const ONLY = 8;
