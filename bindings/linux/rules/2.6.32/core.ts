// The exports of the linux module for the rules of Linux 2.6.32.

import type { SharedExports } from "../../core.ts";

export type Exports2632 = SharedExports & {
  open(
    seedLow: number,
    seedHigh: number,
    limitBytes: number,
    reserved: number,
    hint: number,
    duration: number,
    now: number,
  ): number;
  connectHint(system: number): number;
  setTimeWaitReuse(system: number, value: number): void;
  timeWaitReuse(system: number): number;
  lastId(system: number): number;
  restoreLastId(system: number, id: number): void;

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
  state(socket: number): number;
  id(socket: number): number;
  judgeBind(socket: number, port: number): number;
  countOpen(socket: number): number;
  countOpenTo(socket: number, what: number): number;
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
};
