// Battle: one operation after the other on both sides, and after each of them a look at whatever it
// may have changed.
//
// For UDP the two must agree in every word. What LinuxPorts refuses must not have changed a byte,
// for want of memory as for any other reason: the reference side then is not asked.

import { isDeepStrictEqual } from "node:util";
import type { UdpSocket } from "../../models/reference-udp.ts";
import type { Modules } from "../../support/builds.ts";
import { RealSide } from "./implementation.ts";
import type { Answer, Operation } from "./operation.ts";
import { type NewModel, ReferenceSide } from "./reference.ts";
import type { World } from "./world.ts";

/** The two sides differ, or the real one broke. */
export class Defeat extends Error {
  override readonly name = "Defeat";
  /** Something was thrown that is no answer: the instance may be fit for nothing now. */
  readonly isBroken: boolean;

  constructor(message: string, isBroken = false) {
    super(message);
    this.isBroken = isBroken;
  }
}

export interface Tally {
  operations: number;
  /** Of UDP: ports picked, ports named, searches and names refused, connects without a search. */
  picks: number;
  named: number;
  exhausted: number;
  taken: number;
  again: number;
  /** How often there was no memory, and for a UDP socket that connects. */
  noMemory: number;
  noMemoryToConnect: number;
}

const AUDIT_EVERY = 20;
const WAIT_SECONDS = 60;
const FAR = 4_000_000_000;

export class Battle {
  readonly reference: ReferenceSide;
  /** What has been done, with LinuxPorts' answers. */
  readonly script: (readonly [Operation, Answer])[] = [];
  readonly #world: World;
  readonly #real: RealSide;
  readonly #tally: Tally;
  /** Every port that was named or picked. */
  readonly #ports = new Set<number>();

  constructor(world: World, modules: Modules, tally: Tally, newModel?: NewModel) {
    this.#world = world;
    this.#tally = tally;
    this.reference = new ReferenceSide(world, newModel);
    this.#real = new RealSide(world, modules);
  }

  /** Does nothing if the operation makes no sense here, as after others have been left out. */
  play(operation: Operation): void {
    if (!this.#isSensible(operation)) return;
    const used = this.#real.used;
    this.#tally.operations += 1;
    const got = settled(() => this.#real.perform(operation));
    this.script.push([operation, got]);
    if (typeof got === "object" && got.code === "ENOBUFS") {
      this.#noMemory(operation, used);
      return;
    }
    this.#count(operation, got);
    compare("answer", got, this.reference.perform(operation));
    compare("values drawn", this.#real.drawn, this.reference.drawn);
    this.#compareTraces(operation);
    if (typeof got === "object" && this.#datagramOf(operation) !== undefined) {
      compare("bytes in use after a refusal", this.#real.used, used);
    }
    settled(() => this.#real.verify());
  }

  /** Closes all: then nothing is counted, and no byte in use that was not at open. */
  finish(isAbrupt: boolean): void {
    this.#audit();
    if (!isAbrupt) {
      for (const sock of this.reference.open) this.play({ op: "close", sock });
      this.#real.empty();
      this.play({ op: "setNow", now: FAR + WAIT_SECONDS });
      this.play({ op: "expireTimeWait" });
      compare("left", this.#real.figures(), {
        ...this.reference.figures(),
        buckets: 0,
        sockets: 0,
      });
      compare("bytes in use when all is closed", this.#real.used, this.#real.usedAtOpen);
    }
    compare(
      "uses of groups",
      settled(() => this.#real.end(this.#world.groups)),
      0,
    );
  }

  /** The UDP socket to which it is done, if it is there. */
  #datagramOf(operation: Operation): UdpSocket | undefined {
    return "sock" in operation ? this.reference.datagram(operation.sock) : undefined;
  }

  #isSensible(operation: Operation): boolean {
    const { tcp, udp } = this.reference;
    if (operation.op === "setRange") return operation.first >= udp.unprivilegedStart;
    if (operation.op === "setUnprivilegedStart") return operation.start <= udp.range.first;
    if (operation.op === "closeToTimeWait" && Number(operation.stamp) > tcp.now) return false;
    if (!("sock" in operation)) return true;
    return this.reference.has(operation.sock) !== (operation.op === "socket");
  }

  #noMemory(operation: Operation, used: number): void {
    if (this.#world.spare === undefined) throw new Defeat("no memory, without a limit");
    this.#tally.noMemory += 1;
    const isUdp = this.#datagramOf(operation) !== undefined;
    if (isUdp && operation.op === "connect") this.#tally.noMemoryToConnect += 1;
    compare("bytes in use for want of more", this.#real.used, used);
    this.#audit();
    settled(() => this.#real.verify());
  }

  // ── What an operation leaves behind ─────────────────────────────────────────────────────

  #compareTraces(operation: Operation): void {
    compare("figures", this.#real.figures(), this.reference.figures());
    if (this.#tally.operations % AUDIT_EVERY === 0) this.#audit();
    if ("port" in operation && operation.port !== 0) this.#compareRecord(operation.port);
    if (!("sock" in operation) || !this.reference.has(operation.sock)) return;
    this.#compareSocket(operation.sock);
    const { port } = this.reference.look(operation.sock);
    if (port !== 0) this.#compareRecord(port);
  }

  #audit(): void {
    for (const sock of this.reference.open) this.#compareSocket(sock);
    for (const port of this.#ports) this.#compareRecord(port);
    compare("figures", this.#real.figures(), this.reference.figures());
  }

  #compareSocket(sock: number): void {
    compare(`socket ${sock}`, this.#real.look(sock), this.reference.look(sock));
  }

  #compareRecord(port: number): void {
    this.#ports.add(port);
    compare(`TCP record of port ${port}`, this.#real.record(port), this.reference.record(port));
  }

  /** Of what is about to be done to a UDP socket. */
  #count(operation: Operation, got: Answer): void {
    if (operation.op !== "bind" && operation.op !== "connect") return;
    const socket = this.#datagramOf(operation);
    if (socket === undefined) return;
    const tally = this.#tally;
    const isNamed = operation.op === "bind" && operation.port !== 0;
    if (typeof got === "number" && socket.port !== 0) tally.again += 1;
    else if (typeof got === "number" && isNamed) tally.named += 1;
    else if (typeof got === "number") tally.picks += 1;
    else if (typeof got === "object" && got.reason === "port-in-use") tally.taken += 1;
    else if (typeof got === "object" && got.reason === "no-port-available") tally.exhausted += 1;
  }
}

function compare(what: string, got: unknown, expected: unknown): void {
  if (isDeepStrictEqual(got, expected)) return;
  throw new Defeat(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
}

function settled<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Defeat(message, true);
  }
}
