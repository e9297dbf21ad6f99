// What the linux module exports for the rules of Linux 6.8 to 6.18. Addresses of records, counts and
// ports are numbers; a negative answer is a refusal.

import type { Core } from "../../core/core.ts";
import { linuxCoreOf } from "../linux-core.ts";

export type ModernExports = {
  openModern(
    seedLow: number,
    seedHigh: number,
    limitBytes: number,
    reserved: number,
    duration: number,
    now: number,
  ): number;
  closeModernSystem(system: number): void;
  modernSecret(system: number, index: number, value: number): void;
  setModern(system: number, setting: number, value: number): void;
  modernSetting(system: number, setting: number): number;
  modernUsed(system: number): number;
  setReuseDelay(system: number, delay: number): number;
  setModernNow(system: number, now: number): void;
  currentModernTime(system: number): number;
  expireModern(system: number): number;
  modernCount(system: number, what: number): number;
  modernFastreuse(system: number, port: number): number;
  modernOwners(system: number, port: number, areTimeWaits: number): number;

  openModernSocket(
    system: number,
    flags: number,
    device: number,
    uid: number,
    group: number,
  ): number;
  moveModernSocket(socket: number, group: number): void;
  setModernFlag(socket: number, flag: number, value: number): number;
  setModernDevice(socket: number, device: number): number;
  setModernRange(socket: number, first: number, last: number): void;
  modernFlags(socket: number): number;
  modernPort(socket: number): number;
  modernName(socket: number): number;
  modernOwnRange(socket: number): number;
  modernDevice(socket: number): number;
  modernAddressWord(socket: number, index: number): number;
  modernRange(socket: number, kind: number): number;

  bindModern(
    socket: number,
    port: number,
    isLocal: number,
    isPrivileged: number,
    random: number,
  ): number;
  listenModern(socket: number, random: number): number;
  connectModern(
    socket: number,
    remotePort: number,
    isOwn: number,
    isAccepted: number,
    how: number,
    offset: number,
  ): number;
  connectModernUdp(socket: number, isOwn: number, random: number): number;
  acceptModern(listener: number): number;
  acceptFrom(listener: number, remotePort: number, hasTimestamps: number): number;
  isKnownFrom(listener: number, remotePort: number): number;
  disconnect(socket: number): number;
  disconnectModernUdp(socket: number): number;
  shutdownModern(socket: number): number;
  receiveModern(socket: number, isReset: number): number;
  closeModern(socket: number, isReset: number): number;
  closeModernUdp(socket: number): void;

  /** Debug build only: traps when an invariant is broken. */
  verifyModern?(system: number): void;
};

/**
 * The instance over a core; the same one serves all rules.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (another module).
 */
export function modernCoreOf(core: Core, module?: WebAssembly.Module): ModernExports {
  return linuxCoreOf(core, module).exports as unknown as ModernExports;
}

// Settings of a system, by their places in its record (assembly/linux/modern/system.ts).
export const RANGE = 84;
export const START = 100;
/** Four switches of 8 bits: autobind reuse, tw reuse, timestamps, exact order. */
export const SWITCHES = 104;
export const DELAY = 108;
export const TW_MAX = 112;
export const FIN_TIMEOUT = 116;
export const UDP_SLOTS = 124;

// Flags of a socket (assembly/linux/modern/socket.ts).
export const IS_UDP = 1;
export const IS_V6 = 2;
export const REUSE_ADDR = 4;
export const REUSE_PORT = 8;
export const V6ONLY = 16;
export const NO_PORT = 32;
export const STATE_SHIFT = 24;
