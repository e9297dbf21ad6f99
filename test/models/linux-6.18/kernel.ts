// The reference model of Linux 6.18's local ports: maps and loops, obviously right. Calls answer
// "ok" or the kernel's name for the refusal.

import { anyOf, isAny, isAny6, readAddress } from "./address.ts";
import { Errno, Host, type HostOptions } from "./host.ts";
import { setSysctl } from "./settings.ts";
import { Socket, type SocketType } from "./socket.ts";
import * as tcp from "./tcp.ts";
import * as udp from "./udp.ts";

export type { HostOptions } from "./host.ts";
export type { SocketType } from "./socket.ts";
export { Socket } from "./socket.ts";

export class Kernel {
  readonly host: Host;

  constructor(options: HostOptions = {}) {
    this.host = new Host(options);
  }

  sysctl(name: string, text: string): string {
    setSysctl(this.host.settings, name, text);
    return "ok";
  }

  setTime(now: number): void {
    this.host.setTime(now);
  }

  socket(type: SocketType, uid = 0): Socket {
    return new Socket(type, uid);
  }

  setV6only(socket: Socket, value: boolean): string {
    if (socket.port !== 0) return "EINVAL";
    socket.v6only = value;
    return "ok";
  }

  setRange(socket: Socket, first: number, last: number): string {
    if (first !== 0 && last !== 0 && first > last) return "EINVAL";
    socket.range = { first, last };
    return "ok";
  }

  /** @param uid whose call it is; root may bind ports below `ip_unprivileged_port_start`. */
  bind(socket: Socket, text: string, port: number, uid = 0): string {
    return answer(() => this.#bind(socket, text, port, uid));
  }

  listen(socket: Socket): string {
    if (!socket.isTcp) return "EOPNOTSUPP";
    return answer(() => tcp.listen(this.host, socket));
  }

  connect(
    socket: Socket,
    text: string,
    port: number,
    remote: tcp.Remote = "accepts",
    source?: string,
  ): string {
    const target = readAddress(text);
    if (target === undefined) return "ERR_INVALID_IP_ADDRESS";
    return answer(() => {
      if (!socket.isTcp) udp.connectDatagram(this.host, socket, target, source);
      else tcp.connect(this.host, socket, target, port, remote, source);
    });
  }

  /** The connection that has waited longest, if one does. */
  accept(listener: Socket): Socket | undefined {
    return listener.isListening ? listener.backlog.shift() : undefined;
  }

  disconnect(socket: Socket): string {
    if (socket.isTcp) tcp.disconnect(this.host, socket);
    else udp.disconnectDatagram(this.host, socket);
    return "ok";
  }

  shutdown(socket: Socket): string {
    return answer(() => tcp.shutdown(this.host, socket));
  }

  /** What an end outside of the model sends. */
  receive(socket: Socket, segment: "fin" | "reset"): string {
    if (socket.peer !== "outside") return "ENOTCONN";
    if (segment === "fin") tcp.receiveFin(this.host, socket);
    else tcp.receiveReset(this.host, socket);
    return "ok";
  }

  close(socket: Socket, isReset = false): string {
    if (socket.isTcp) {
      if (isReset) tcp.abort(this.host, socket);
      else tcp.close(this.host, socket);
    } else {
      udp.leaveDatagramPort(this.host, socket);
      socket.state = "gone";
    }
    return "ok";
  }

  name(socket: Socket): { address: string; port: number } {
    return { address: socket.address.text, port: socket.shownPort };
  }

  #bind(socket: Socket, text: string, port: number, uid: number): void {
    const { host } = this;
    const address = readAddress(text);
    if (address === undefined) throw new Errno("ERR_INVALID_IP_ADDRESS");
    if (address.isV6 !== socket.isV6) throw new Errno(address.isV6 ? "EAFNOSUPPORT" : "EINVAL");
    if (!socket.isV6 && !host.isLocal(address)) throw new Errno("EADDRNOTAVAIL");
    const isLow = port !== 0 && port < host.settings.unprivilegedStart;
    if (isLow && uid !== 0) throw new Errno("EACCES");
    if (socket.port !== 0 || socket.state !== "closed") throw new Errno("EINVAL");
    if (socket.isV6) {
      if (address.v4 !== undefined && socket.v6only) throw new Errno("EINVAL");
      // ::1 is an address of loopback alone.
      const isElsewhere = address.text === "::1" && socket.device > 1;
      if (isElsewhere || !host.isLocal(address)) throw new Errno("EADDRNOTAVAIL");
    }
    const { v6only } = socket;
    socket.address = address;
    if (socket.isV6 && address.v4 === undefined && !isAny6(address)) socket.v6only = true;
    try {
      if (port !== 0 || !socket.bindsAddressOnly) {
        if (socket.isTcp) tcp.getPort(host, socket, port);
        else udp.getDatagramPort(host, socket, port);
      }
    } catch (error) {
      socket.v6only = v6only;
      socket.address = anyOf(socket.isV6);
      throw error;
    }
    if (socket.isV6 ? !isAny6(address) : !isAny(address)) socket.isAddressLocked = true;
    if (port !== 0) socket.isPortLocked = true;
    socket.shownPort = socket.port;
  }
}

function answer(call: () => void): string {
  try {
    call();
    return "ok";
  } catch (error) {
    if (error instanceof Errno) return error.code;
    throw error;
  }
}
