// What recordings of Linux 6.18 are replayed on: LinuxPorts or the reference model, behind one
// face.
//
// Calls answer "ok" or the kernel's name for a refusal. Sockets belong to the system that made
// them.

export type SocketType = "tcp4" | "tcp6" | "udp4" | "udp6";
export type Flag = "reuseaddr" | "reuseport" | "v6only" | "bind_no_port";

export interface Setup {
  /** Texts by their names below net.ipv4. */
  readonly sysctl: Readonly<Record<string, string>>;
  /** Addresses beside loopback. */
  readonly addresses: readonly string[];
  /** Numbers of the devices that there are; 1 is loopback. */
  readonly devices: readonly number[];
  readonly seed: number;
}

export interface Name {
  readonly address: string;
  readonly port: number;
}

export interface System<Socket = unknown> {
  socket(type: SocketType, uid: number): Socket;
  setFlag(socket: Socket, flag: Flag, value: boolean): string;
  setDevice(socket: Socket, device: number): string;
  setRange(socket: Socket, first: number, last: number): string;
  range(socket: Socket): readonly [number, number];
  /** @param uid whose call it is; root may bind every port. */
  bind(socket: Socket, address: string, port: number, uid: number): string;
  listen(socket: Socket): string;
  connect(socket: Socket, address: string, port: number): string;
  /** Undefined: nothing waits. */
  accept(listener: Socket): Socket | undefined;
  disconnect(socket: Socket): string;
  close(socket: Socket, isReset: boolean): string;
  /** Does the socket have another end that is a socket? */
  name(socket: Socket): Name;
  advance(ms: number): void;
  sysctl(name: string, text: string): string;
  readSysctl(name: string): string;
  /** Closes all that is open; what is in use beyond what was at the beginning. */
  end(): { readonly bytes: number };
}

export type OpenSystem = (setup: Setup) => System;
