// Linux core: the WebAssembly instance of the kernel's pickers, over the memory of a core. It belongs to
// LinuxPorts and its sockets alone: what else is imported never loads it.
//
// A system of ports begins with a port manager, so what a manager is asked (its range, the memory in
// use) the core answers for systems as well.

import { wasm } from "#linux-wasm";
import type { Core } from "../core/core.ts";
import { Overlay, type OverlayInstance } from "../core/overlay.ts";

/** What the linux module exports. Addresses, counts and ports are numbers, as those of the core. */
export type LinuxExports = {
  openLinux(
    seedLow: number,
    seedHigh: number,
    limitBytes: number,
    reserved: number,
    hint: number,
    duration: number,
    now: number,
  ): number;
  closeLinux(system: number): void;
  connectHint(system: number): number;
  setTimeWaitReuse(system: number, value: number): void;
  timeWaitReuse(system: number): number;
  setUnprivilegedStart(system: number, port: number): void;
  unprivilegedStart(system: number): number;
  bucketCount(system: number): number;
  owningCount(system: number): number;
  udpSocketCount(system: number): number;
  waitingCount(system: number): number;
  bucketFastreuse(system: number, port: number): number;
  bucketOwners(system: number, port: number): number;
  bucketWaits(system: number, port: number): number;
  setNow(system: number, now: number): void;
  currentTime(system: number): number;
  expireWaits(system: number): number;

  openSocket(
    system: number,
    reuse: number,
    device: number,
    group: number,
    privileged: number,
    transport: number,
  ): number;
  closeSocket(socket: number): void;
  closeToWait(socket: number, stamp: number): number;
  setSocketReuse(socket: number, reuse: number): number;
  hasReuse(socket: number): number;
  moveSocket(socket: number, group: number): void;
  socketPort(socket: number): number;
  stateOf(socket: number): number;
  addressWord(socket: number, index: number): number;
  bindAt(socket: number, port: number): number;
  bindAny(socket: number, first: number, last: number, random: number, draw: number): number;
  bindRange(socket: number): number;
  listenBound(socket: number): number;
  listenAny(socket: number, first: number, last: number, random: number, draw: number): number;
  connectSocket(socket: number, first: number, last: number, offset: number): number;
  connectUdp(socket: number, first: number, last: number, random: number): number;
  connectByHash(socket: number, selector: number): number;
  preferOwnAddress(socket: number): void;
  connectRange(socket: number): number;

  /** Debug build only: traps when an invariant is broken. */
  verifyLinux?(system: number): void;
};

const systems = new Overlay<LinuxExports>("linuxModule", "linux.wasm", wasm);

/**
 * The instance over a core of the module that a caller gives, or of the one inside the package.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` (another module).
 */
export function linuxCoreOf(
  core: Core,
  module?: WebAssembly.Module,
): OverlayInstance<LinuxExports> {
  return systems.over(core, module);
}
