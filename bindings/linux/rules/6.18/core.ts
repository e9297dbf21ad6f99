// What the linux module exports for the rules of Linux 6.8 to 6.18. Addresses of records, counts
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
};

// Settings of a system, by their places in its record (assembly/linux/rules/6.18/system.ts).
/** Four switches of 8 bits: autobind reuse, tw reuse, timestamps, exact order. */
export const SWITCHES = 104;
export const DELAY = 108;
export const TW_MAX = 112;
export const FIN_TIMEOUT = 116;
export const UDP_SLOTS = 124;

// Flags of a socket (assembly/linux/rules/6.18/socket.ts).
export const IS_UDP = 1;
export const IS_V6 = 2;
export const REUSE_ADDR = 4;
export const REUSE_PORT = 8;
export const V6ONLY = 16;
export const NO_PORT = 32;
export const STATE_SHIFT = 24;
