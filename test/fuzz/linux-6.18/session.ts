// Differential test of Linux 6.18's rules: random calls on the reference model and on LinuxPorts,
// whose answers must be the same, and the name, port and state of the socket that was called after
// each. Those of all sockets are compared after every fourth call, and at the end.

import type { Socket } from "../../models/linux-6.18/kernel.ts";
import type { Random } from "../../models/linux-6.18/picking.ts";
import type { Setup, SocketType } from "../../replay/linux-6.18/machine.ts";
import { type ModelMachine, seeded } from "../../replay/linux-6.18/model-machine.ts";
import type { PortsMachine } from "../../replay/linux-6.18/ports-machine.ts";

type PortsSocket = ReturnType<PortsMachine["socket"]>;

/** The same socket on both sides. */
interface Pair {
  readonly id: number;
  readonly type: SocketType;
  readonly model: Socket;
  readonly ports: PortsSocket;
}

/** Where the two sides differed, and what led there. */
export interface Difference {
  readonly sysctl: Readonly<Record<string, string>>;
  readonly calls: readonly string[];
  readonly model: unknown;
  readonly ports: unknown;
}

const CALLS_PER_SESSION = 60;
const CALLS_PER_LOOK = 4;
const TYPES: readonly SocketType[] = ["tcp4", "tcp4", "tcp6", "udp4", "udp6"];
const ADDRESSES_4 = ["0.0.0.0", "127.0.0.1", "127.0.0.2", "10.0.0.1"];
const ADDRESSES_6 = [
  ...["::", "::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:10.0.0.1"],
];

/** Sessions with so many calls in all: the first difference, or undefined. */
export function compare(
  open: (setup: Setup) => PortsMachine,
  openModel: (setup: Setup) => ModelMachine,
  calls: number,
  seed: number,
): Difference | undefined {
  const random = seeded(seed);
  for (let made = 0; made < calls; made += CALLS_PER_SESSION) {
    const setup = randomSetup(random);
    const session = new Session(setup, openModel(setup), open(setup), random);
    const difference = session.run();
    if (difference !== undefined) return difference;
  }
  return undefined;
}

class Session {
  readonly #setup: Setup;
  readonly #model: ModelMachine;
  readonly #ports: PortsMachine;
  readonly #random: Random;
  readonly #calls: string[] = [];
  #pairs: Pair[] = [];
  #called: Pair | undefined;
  #made = 0;

  constructor(setup: Setup, model: ModelMachine, ports: PortsMachine, random: Random) {
    this.#setup = setup;
    this.#model = model;
    this.#ports = ports;
    this.#random = random;
  }

  run(): Difference | undefined {
    for (let call = 0; call < CALLS_PER_SESSION; call++) {
      const [model, ports] = this.#callOnce();
      if (model !== ports) return this.#difference(model, ports);
      const isLook = call % CALLS_PER_LOOK === CALLS_PER_LOOK - 1;
      const looked = isLook ? this.#pairs : this.#pairs.filter((pair) => pair === this.#called);
      const [modelState, portsState] = this.#states(looked);
      if (modelState !== portsState) return this.#difference(modelState, portsState);
    }
    // A system also ends with sockets in it, some of which wait for accept().
    if (this.#random(2) === 0) {
      this.#ports.ports.close();
      return undefined;
    }
    for (const { ports } of this.#pairs) this.#ports.close(ports, true);
    const { bytes } = this.#ports.end();
    return bytes === 0
      ? undefined
      : this.#difference("0 bytes are left", `${bytes} bytes are left`);
  }

  /** One call on both sides, and what each answers. */
  #callOnce(): readonly [model: string, ports: string] {
    const pair = this.#pairs[this.#random(this.#pairs.length)];
    this.#called = pair;
    const kind = this.#random(100);
    if (pair === undefined || kind < 25) return this.#open();
    if (kind < 45) return this.#bind(pair);
    if (kind < 53) return this.#both(`listen ${pair.id}`, (m, s) => m.listen(s as never), pair);
    if (kind < 70) return this.#connect(pair);
    if (kind < 75) return this.#accept(pair);
    if (kind < 80) {
      return this.#both(`disconnect ${pair.id}`, (m, s) => m.disconnect(s as never), pair);
    }
    const connected =
      this.#random(2) === 0 ? this.#oneThat("established", "close-wait") : undefined;
    if (kind < 84) return this.#shutdown(connected ?? pair);
    if (kind < 92) return this.#close(connected ?? pair);
    if (kind < 97) return this.#change(connected ?? pair);
    return this.#pass();
  }

  #open(): readonly [string, string] {
    const type = this.#pick(TYPES);
    const uid = this.#pick([0, 0, 1000]);
    const [model, ports] = [this.#model.socket(type, uid), this.#ports.socket(type, uid)];
    const pair = { id: this.#made++, type, model, ports };
    this.#pairs.push(pair);
    this.#called = pair;
    this.#calls.push(`socket ${pair.id} ${type} ${uid}`);
    const flags = ["reuseaddr", "reuseport", ...(type.endsWith("6") ? ["v6only"] : [])] as const;
    let answers: readonly [string, string] = ["ok", "ok"];
    for (const flag of flags) {
      if (this.#random(2) === 0 || answers[0] !== answers[1]) continue;
      answers = this.#both(
        `${flag} ${pair.id}`,
        (m, s) => m.setFlag(s as never, flag as "v6only", true),
        pair,
      );
    }
    if (this.#random(6) > 0 || answers[0] !== answers[1]) return answers;
    return this.#changeDevice(pair, 1 + this.#random(2));
  }

  /** A socket that is in one of these states. */
  #oneThat(...states: readonly string[]): Pair | undefined {
    const all = this.#pairs.filter(({ type, model }) => {
      return type.startsWith("tcp") && states.includes(model.state);
    });
    return all[this.#random(Math.max(all.length, 1))];
  }

  #bind(pair: Pair): readonly [string, string] {
    const address = this.#pick(pair.type.endsWith("6") ? ADDRESSES_6 : ADDRESSES_4);
    const port = this.#pick([0, 5000, 5000, 5000, 5001, 80]);
    const uid = this.#pick([0, 0, 0, 1000]);
    const what = `bind ${pair.id} ${address} ${port} ${uid}`;
    return this.#both(what, (m, s) => m.bind(s as never, address, port, uid), pair);
  }

  #connect(any: Pair): readonly [string, string] {
    // Most of them where somebody listens, or connections were rare.
    const listener = this.#random(4) > 0 ? this.#oneThat("listening") : undefined;
    const pair = (listener !== undefined && this.#oneThat("closed")) || any;
    this.#called = pair;
    const isAlike = listener?.type === pair.type;
    const address = isAlike
      ? this.#model.name(listener.model).address
      : this.#pick(pair.type.endsWith("6") ? ADDRESSES_6 : ADDRESSES_4);
    const port = listener?.model.port ?? this.#pick([5000, 5000, 5001, 6000]);
    const what = `connect ${pair.id} ${address} ${port}`;
    return this.#both(what, (m, s) => m.connect(s as never, address, port), pair);
  }

  #accept({ id, type, model, ports }: Pair): readonly [string, string] {
    if (model.state !== "listening" || ports.state !== "listening") return ["ok", "ok"];
    const accepted = [this.#model.accept(model), this.#ports.accept(ports)] as const;
    const [ofModel, ofPorts] = accepted;
    this.#calls.push(`accept ${id}`);
    if (ofModel !== undefined && ofPorts !== undefined) {
      this.#pairs.push({ id: this.#made++, type, model: ofModel, ports: ofPorts });
    }
    return [`${ofModel !== undefined}`, `${ofPorts !== undefined}`];
  }

  #shutdown({ id, type, model, ports }: Pair): readonly [string, string] {
    if (type.startsWith("udp")) return ["ok", "ok"];
    this.#calls.push(`shutdown ${id}`);
    return [this.#model.shutdown(model), this.#ports.shutdown(ports)];
  }

  #close(pair: Pair): readonly [string, string] {
    const isReset = this.#random(3) === 0;
    this.#pairs = this.#pairs.filter((other) => other !== pair);
    const what = `close ${pair.id}${isReset ? " by a reset" : ""}`;
    return this.#both(what, (m, s) => m.close(s as never, isReset), pair);
  }

  #changeDevice(pair: Pair, device: number): readonly [string, string] {
    const what = `device ${pair.id} ${device}`;
    return this.#both(what, (m, s) => m.setDevice(s as never, device), pair);
  }

  #change(pair: Pair): readonly [string, string] {
    if (this.#random(3) === 0) return this.#changeDevice(pair, this.#random(3));
    const flag = this.#pick(["reuseaddr", "reuseport", "v6only", "bind_no_port"] as const);
    const value = this.#random(2) === 1;
    const what = `${flag} ${pair.id} ${value}`;
    return this.#both(what, (m, s) => m.setFlag(s as never, flag, value), pair);
  }

  #pass(): readonly [string, string] {
    const ms = this.#pick([10, 500, 2000, 30_000, 61_000]);
    this.#calls.push(`${ms} ms pass`);
    this.#model.advance(ms);
    this.#ports.advance(ms);
    return ["ok", "ok"];
  }

  #both(
    what: string,
    call: (machine: ModelMachine | PortsMachine, socket: Socket | PortsSocket) => string,
    { model, ports }: Pair,
  ): readonly [string, string] {
    const answers = [call(this.#model, model), call(this.#ports, ports)] as const;
    this.#calls.push(`${what} => ${answers[0]}`);
    return answers;
  }

  /** What sockets say of themselves, and how many TIME_WAITs there are. */
  #states(pairs: readonly Pair[]): readonly [model: string, ports: string] {
    const ofModel = pairs.map(({ model }) => [this.#model.name(model), model.port, model.state]);
    const ofPorts = pairs.map(({ ports }) => [ports.name, ports.port, ports.state]);
    const { timeWait } = this.#ports.ports.stats();
    return [
      JSON.stringify([ofModel, this.#model.host.timeWaits]),
      JSON.stringify([ofPorts, timeWait]),
    ];
  }

  #difference(model: unknown, ports: unknown): Difference {
    return { sysctl: this.#setup.sysctl, calls: this.#calls, model, ports };
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random(values.length)] as T;
  }
}

/** One port to search, so that chance decides nothing, and settings at random. */
function randomSetup(random: Random): Setup {
  const sysctl: Record<string, string> = { ip_local_port_range: "5000 5000" };
  if (random(3) === 0) sysctl.ip_autobind_reuse = "1";
  if (random(2) === 0) sysctl.tcp_tw_reuse = `${random(3)}`;
  if (random(3) === 0) sysctl.tcp_fin_timeout = `${1 + random(80)}`;
  if (random(4) === 0) sysctl.tcp_max_tw_buckets = `${random(3)}`;
  if (random(5) === 0) sysctl.tcp_timestamps = "0";
  return { sysctl, addresses: ["10.0.0.1", "2001:db8::1"], devices: [1, 2], seed: 1 };
}
