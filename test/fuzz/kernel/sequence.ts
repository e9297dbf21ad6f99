// Sequences of calls for LinuxPorts and the kernel, or its model. A sequence is drawn as numbers;
// what they mean follows from what LinuxPorts has answered so far, so that any of them can be left
// out.
//
// No draw decides an answer in a sequence: the range has one port, or two for TCP, of which
// connect() tries the even offset first and bind() the odd one. Of listeners that share a port by
// SO_REUSEPORT the kernel takes any; a sequence in which it has taken another one than LinuxPorts
// is compared up to there. A model draws nothing there and takes no time: beside it minutes pass,
// connections wait for accept(), and all sockets are compared now and then.

import type { PortsSystem } from "../../replay/linux-6.18/ports-system.ts";
import type { Setup, SocketType } from "../../replay/linux-6.18/system.ts";
import type { Call, Environment } from "./kernel.ts";

type PortsSocket = ReturnType<PortsSystem["socket"]>;

/** Numbers that decide what is called: the kind, which socket, and what else there is to choose. */
export type Draws = readonly [kind: number, socket: number, a: number, b: number, c: number];
export const DRAWS_BELOW: number = 1 << 16;

export interface PlanOptions {
  readonly open: (setup: Setup) => PortsSystem;
  /** Is it for the model, and not for a kernel? */
  readonly isForModel?: boolean;
}

export interface Sequence {
  readonly env: Environment;
  readonly calls: readonly Call[];
  /** What LinuxPorts answers. */
  readonly answers: readonly string[];
}

interface Known {
  readonly name: number;
  readonly type: SocketType;
  readonly uid: number;
  readonly socket: PortsSocket;
}

const ADDRESSES_4 = ["0.0.0.0", "127.0.0.1", "127.0.0.1", "127.0.0.2", "10.0.0.1"];
const ADDRESSES_6 = [
  ...["::", "::", "::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:10.0.0.1"],
];
const NOT_LOCAL_4 = "192.0.2.9";
const NOT_LOCAL_6 = "2001:db8::99";
const TYPES: readonly SocketType[] = ["tcp4", "tcp4", "tcp4", "tcp6", "udp4", "udp6"];
const FLAGS = ["reuseaddr", "reuseport", "v6only", "bind_no_port"] as const;
const DEVICES: Readonly<Record<string, number>> = { "": 0, lo: 1, v0: 2, nosuch: 99 };
/**
 * After this long a TIME_WAIT is due whose delay is the shortest, on the kernel's clock as well.
 */
const DUE_MS = 20;
/** What passes beside the model. */
const PAUSES = [10, 500, 2000, 30_000, 61_000];
const CALLS_PER_LOOK = 4;

/** The sequence that the numbers stand for, with the answers of LinuxPorts. */
export function planned(chosen: Draws, draws: readonly Draws[], options: PlanOptions): Sequence {
  const plan = new Plan(chosen, options);
  for (const each of draws) plan.next(each);
  return plan.finish();
}

class Plan {
  readonly #env: Environment;
  readonly #system: PortsSystem;
  readonly #hasUdp: boolean;
  readonly #isHasty: boolean;
  readonly #isForModel: boolean;
  readonly #first: number;
  readonly #last: number;
  readonly #calls: Call[] = [];
  readonly #answers: string[] = [];
  #known: Known[] = [];
  #made = 0;
  /** The kernel waits for an answer longer than the fuzzer does. */
  #isOver = false;

  constructor([kind, a, b, c, d]: Draws, { open, isForModel = false }: PlanOptions) {
    this.#isForModel = isForModel;
    this.#hasUdp = kind % 3 === 0;
    this.#isHasty = a % 4 === 0;
    const first = 5000 + (b % 2);
    const hasTwo = !this.#hasUdp && c % (isForModel ? 5 : 2) === 1;
    const last = first + (hasTwo ? 1 : 0);
    this.#first = first;
    this.#last = last;
    const sysctl: Record<string, string> = { ip_local_port_range: `${first} ${last}` };
    if (this.#isHasty) sysctl.tcp_tw_reuse_delay = "1";
    if (b % 3 === 0) sysctl.ip_autobind_reuse = "1";
    if (b % 5 === 0) sysctl.tcp_tw_reuse = `${d % 3}`;
    if (c % 6 === 0) sysctl.tcp_timestamps = "0";
    if (c % 7 === 0) sysctl.ip_local_reserved_ports = `${first + (d % 2)}`;
    if (d % 7 === 0) sysctl.tcp_max_tw_buckets = `${c % 3}`;
    if (d % 5 === 0) sysctl.ip_unprivileged_port_start = `${4999 + (a % 2)}`;
    if (isForModel && a % 3 === 0) sysctl.tcp_fin_timeout = `${1 + (b % 80)}`;
    const hasAddresses = isForModel || kind % 2 === 0;
    this.#env = {
      sysctl,
      v4: hasAddresses ? ["10.0.0.1"] : [],
      v6: ["2001:db8::1"],
      exec_as_owner: d % 5 === 0,
    };
    const addresses = [...this.#env.v4, ...this.#env.v6];
    this.#system = open({ sysctl, addresses, devices: hasAddresses ? [1, 2] : [1], seed: 1 });
  }

  next(draws: Draws): void {
    if (this.#isOver) return;
    this.#callOnce(draws);
    if (this.#isForModel && draws[1] % CALLS_PER_LOOK === 0) this.#look();
  }

  #callOnce([kind, which, a, b, c]: Draws): void {
    const known = this.#known[which % (this.#known.length || 1)];
    const of = kind % 100;
    if (this.#isForModel && known !== undefined && c % 7 === 0) {
      if (c % 2 === 0) this.#sleep(PAUSES[a % PAUSES.length] as number);
      else this.#acceptFrom(known);
      return;
    }
    if (known === undefined || of < 24) this.#open(a, b, c);
    else if (of < 44) this.#bind(known, a, b);
    else if (of < 53) this.#listen(known);
    else if (of < 71 && this.#isForModel) this.#connectAnywhere(known, a, b);
    else if (of < 71) this.#connect(known, a, b);
    else if (of < 76) this.#call(known, ["disconnect", known.name], "disconnect");
    else if (of < 80) this.#shutdown(this.#connected(a) ?? known);
    else if (of < 91) this.#close(this.#connected(a) ?? known, a % 3 === 0);
    else this.#set(known, a, b);
  }

  /** Every socket's name and state in the end, and how many TIME_WAITs there are. */
  finish(): Sequence {
    if (this.#isForModel) {
      this.#look();
      this.#end();
    } else {
      for (const known of this.#known) this.#tell(["opt", known.name, "reuseaddr", 1], known, "ok");
      this.#calls.push(["waits"]);
      this.#answers.push(`${this.#system.ports.stats().timeWait}`);
      this.#system.ports.close();
    }
    return { env: this.#env, calls: this.#calls, answers: this.#answers };
  }

  /** What every socket says of itself, and how many TIME_WAITs there are. */
  #look(): void {
    const told = this.#known.map(({ socket }) => [socket.name, socket.port, socket.state]);
    this.#calls.push(["look"]);
    this.#answers.push(JSON.stringify([told, this.#system.ports.stats().timeWait]));
  }

  /** A system also ends with sockets in it, some of which wait for accept(). */
  #end(): void {
    if (this.#isHasty) {
      this.#system.ports.close();
      return;
    }
    for (const { socket } of this.#known) this.#system.close(socket, true);
    this.#calls.push(["end"]);
    this.#answers.push(`${this.#system.end().bytes} bytes are left`);
  }

  /** Sometimes one that is connected: few of them are. */
  #connected(a: number): Known | undefined {
    if (!this.#isForModel || a % 2 === 0) return undefined;
    const states = ["established", "close-wait"];
    const all = this.#known.filter(
      ({ type, socket }) => type.startsWith("tcp") && states.includes(socket.state),
    );
    return all[a % (all.length || 1)];
  }

  // ── Calls ───────────────────────────────────────────────────────────────────────────────

  #open(a: number, b: number, c: number): void {
    const type = TYPES[a % (this.#hasUdp ? 6 : 4)] as SocketType;
    const uid = b % 4 === 0 ? 1000 : 0;
    const known = { name: this.#made++, type, uid, socket: this.#system.socket(type, uid) };
    this.#known.push(known);
    this.#tell(["socket", known.name, type, uid], known, "ok");
    for (const [index, flag] of FLAGS.entries()) {
      const isV6 = type.endsWith("6");
      if ((c & (index === 3 ? 0x38 : 1 << index)) !== 0 || (flag === "v6only" && !isV6)) continue;
      this.#setFlag(known, flag, true);
    }
    if (c % 11 === 0) this.#setRange(known, c);
    if (this.#isForModel && c % 5 === 0) this.#setDevice(known, b % 8 < 4 ? "lo" : "v0");
    // Many sockets go on at once, as most do.
    if (c % 3 === 0) this.#bind(known, b >> 2, a >> 3);
    if (c % 5 === 0 && !this.#isForModel) this.#connect(known, b >> 4, a >> 4);
  }

  #bind(known: Known, a: number, b: number): void {
    const isV6 = known.type.endsWith("6");
    const list = isV6 ? ADDRESSES_6 : ADDRESSES_4;
    const address =
      b % 50 === 0 ? (isV6 ? NOT_LOCAL_6 : NOT_LOCAL_4) : (list[a % list.length] as string);
    // Which device an address of IPv6 belongs to LinuxPorts does not know.
    if (!this.#isForModel && known.socket.bindToDevice > 1 && address.startsWith("2001:")) return;
    const port = [5000, 5000, 5001, 0, 0, 4999][b % 6] as number;
    const { name, socket, uid } = known;
    const caller = this.#env.exec_as_owner ? uid : 0;
    const answer = this.#system.bind(socket, address, port, caller);
    this.#tell(["bind", name, address, port], known, answer);
  }

  #listen(known: Known): void {
    this.#tell(["listen", known.name], known, this.#system.listen(known.socket));
  }

  #connect(known: Known, a: number, b: number): void {
    const list = known.type.endsWith("6") ? ADDRESSES_6 : ADDRESSES_4;
    const address = list[a % list.length] as string;
    // Nothing comes back from a network behind a device.
    if (known.socket.bindToDevice > 1 || !this.#isHere(address)) return;
    const { name, socket, type } = known;
    const hasDevice = this.#known.some((one) => one.socket.bindToDevice > 0);
    if (hasDevice && (isOfV0(address) || isOfV0(socket.address))) return;
    const port = [5000, 5000, 5001, 6000][b % 4] as number;
    const answer = this.#system.connect(socket, address, port);
    this.#tell(["connect", name, address, port], known, answer);
    this.#isOver = answer === "ETIMEDOUT";
    if (answer === "ok" && type.startsWith("tcp")) this.#accept();
  }

  /** Mostly to where a socket listens, or connections were rare. */
  #connectAnywhere(any: Known, a: number, b: number): void {
    const inState = (state: string): Known[] =>
      this.#known.filter(({ type, socket }) => type.startsWith("tcp") && socket.state === state);
    const [listening, closed] = [inState("listening"), inState("closed")];
    const listener = b % 4 === 0 ? undefined : listening[a % (listening.length || 1)];
    const { name, socket, type } = (listener && closed[b % (closed.length || 1)]) ?? any;
    const list = type.endsWith("6") ? ADDRESSES_6 : ADDRESSES_4;
    const isAlike = listener?.type === type;
    const address = isAlike ? listener.socket.name.address : (list[a % list.length] as string);
    const port = listener?.socket.port ?? ([5000, 5000, 5001, 6000][b % 4] as number);
    const answer = this.#system.connect(socket, address, port);
    this.#tell(["connect", name, address, port], { name, socket, type, uid: 0 }, answer);
  }

  #acceptFrom(listener: Known): void {
    if (listener.socket.state !== "listening") return;
    const socket = this.#system.accept(listener.socket);
    const { type, uid } = listener;
    const child = this.#made;
    this.#tell(["accept", listener.name, child, []], listener, socket ? "ok" : "EAGAIN");
    if (socket !== undefined) this.#known.push({ name: this.#made++, type, uid, socket });
  }

  #isHere(address: string): boolean {
    return !isOfV0(address) || this.#env.v4.length > 0;
  }

  /** The listener that has got the connection accepts it at once. */
  #accept(): void {
    for (const listener of this.#known) {
      if (listener.socket.state !== "listening") continue;
      const accepted = this.#system.accept(listener.socket);
      if (accepted === undefined) continue;
      const others = this.#known.filter((other) => other !== listener && shares(other, listener));
      const { type, uid } = listener;
      const child = { name: this.#made++, type, uid, socket: accepted };
      const names = others.map(({ name }) => name);
      this.#tell(["accept", listener.name, child.name, names], listener, "ok");
      this.#known.push(child);
      return;
    }
  }

  #shutdown(known: Known): void {
    // On a closed one it fails, and a later connect() does not depend on ports.
    if (known.type.startsWith("udp")) return;
    if (!this.#isForModel && known.socket.state === "closed") return;
    this.#call(known, ["shutdown", known.name], "shutdown");
    this.#wait();
  }

  #close(known: Known, isReset: boolean): void {
    this.#known = this.#known.filter((other) => other !== known);
    this.#calls.push(["close", known.name, isReset]);
    this.#answers.push(this.#system.close(known.socket, isReset));
    this.#wait();
  }

  #set(known: Known, a: number, b: number): void {
    if (a % 8 === 0) {
      this.#setRange(known, b);
    } else if (a % 8 === 1) {
      this.#setDevice(known, ["lo", "v0", "", "nosuch"][b % 4] as string);
    } else {
      const flag = FLAGS[a % 4] as (typeof FLAGS)[number];
      if (flag !== "v6only" || known.type.endsWith("6")) this.#setFlag(known, flag, b % 2 === 0);
    }
  }

  #setFlag(known: Known, flag: (typeof FLAGS)[number], value: boolean): void {
    const answer = this.#system.setFlag(known.socket, flag, value);
    this.#tell(["opt", known.name, flag, value ? 1 : 0], known, answer);
  }

  /** One port of the range: with more of them the kernel begins anywhere. */
  #setRange(known: Known, a: number): void {
    const port = this.#first + (a % (this.#last - this.#first + 1));
    const answer = this.#system.setRange(known.socket, port, port);
    this.#tell(["opt", known.name, "port_range", [port, port]], known, answer);
  }

  #setDevice(known: Known, device: string): void {
    if (device === "v0" && this.#env.v4.length === 0) return;
    if (!this.#isForModel && device !== "" && this.#isToV0(known)) return;
    const answer = this.#system.setDevice(known.socket, DEVICES[device] as number);
    this.#tell(["opt", known.name, "bindtodevice", device], known, answer);
  }

  /** Is the other end's address that of v0? Which device an address belongs to is not known. */
  #isToV0({ socket }: Known): boolean {
    const all = [...this.#system.ports.sockets()];
    return isOfV0(all.find(({ id }) => id === socket.id)?.remote?.address ?? "");
  }

  /**
   * Where the delay is short it has passed after each call that may leave a TIME_WAIT. A FIN that
   * gets no answer is repeated, and what becomes of it then is a matter of time.
   */
  #wait(): void {
    const all = [...this.#system.ports.sockets()];
    const isUnanswered = all.some(({ state }) => state === "fin-wait-1" || state === "last-ack");
    this.#isOver = isUnanswered && !this.#isForModel;
    if (this.#isHasty) this.#sleep(DUE_MS);
  }

  #sleep(ms: number): void {
    this.#system.advance(ms);
    this.#calls.push(["sleep", ms]);
    this.#answers.push("ok");
  }

  // ── Answers ─────────────────────────────────────────────────────────────────────────────

  #call(known: Known, call: Call, how: "disconnect" | "shutdown"): void {
    this.#tell(call, known, this.#system[how](known.socket));
  }

  #tell(call: Call, { socket, type }: Known, answer: string): void {
    const { address, port } = socket.name;
    const state = type.startsWith("tcp") ? ` ${socket.state}` : "";
    this.#calls.push(call);
    this.#answers.push(`${answer} ${address}|${port}${state}`);
  }
}

function isOfV0(address: string): boolean {
  return address.endsWith("10.0.0.1");
}

/** May the kernel give a connection to either of the two? */
function shares(other: Known, { socket }: Known): boolean {
  return (
    other.socket.state === "listening" &&
    other.socket.port === socket.port &&
    other.socket.reusePort
  );
}
