// A session on UDP and TCP sockets: one operation after the other on both sides, and after each of
// them a look at whatever it may have changed.
//
// For UDP the two must agree in every part. What LinuxPorts refuses must not have changed a byte,
// for want of memory as for any other reason: the reference models then are not asked.

import type { UdpSocket } from "../../models/reference-udp.ts";
import type { Modules } from "../../support/builds.ts";
import { compare, Mismatch, settled } from "../mismatch.ts";
import type { PlannedSession } from "../planned.ts";
import type { Random } from "../random.ts";
import { Implementation } from "./implementation.ts";
import type { Answer, Operation } from "./operation.ts";
import { type Kind, Planner } from "./operations.ts";
import { type NewModel, Reference } from "./reference.ts";
import type { Setup } from "./setup.ts";

interface Figures extends Record<string, number> {
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

const NO_FIGURES: Figures = {
  operations: 0,
  picks: 0,
  named: 0,
  exhausted: 0,
  taken: 0,
  again: 0,
  noMemory: 0,
  noMemoryToConnect: 0,
};

export class UdpSession implements PlannedSession<Kind, Operation> {
  readonly reference: Reference;
  readonly figures: Figures = { ...NO_FIGURES };
  /** What has been done, with Linux2632Ports' answers. */
  readonly #steps: (readonly [Operation, Answer])[] = [];
  readonly #setup: Setup;
  readonly #real: Implementation;
  readonly #planner: Planner;
  /** Every port that was named or picked. */
  readonly #ports = new Set<number>();

  constructor(setup: Setup, modules: Modules, newModel?: NewModel) {
    this.#setup = setup;
    this.reference = new Reference(setup, newModel);
    this.#real = new Implementation(setup, modules);
    this.#planner = new Planner(setup, this.reference);
  }

  get script(): string[] {
    return this.#steps.map((step) => step.map((part) => JSON.stringify(part)).join(" -> "));
  }

  plan(kind: Kind, random: Random): Operation | undefined {
    return this.#planner.plan(kind, random);
  }

  /** Does nothing if the operation makes no sense here, as after others have been left out. */
  perform(operation: Operation): void {
    if (!this.#isSensible(operation)) return;
    const used = this.#real.used;
    this.figures.operations += 1;
    const got = settled(() => this.#real.perform(operation));
    this.#steps.push([operation, got]);
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
  finish(): void {
    this.#audit();
    if (!this.#setup.isAbrupt) {
      for (const sock of this.reference.open) this.perform({ op: "close", sock });
      this.#real.empty();
      this.perform({ op: "setNow", now: FAR + WAIT_SECONDS });
      this.perform({ op: "expireTimeWait" });
      compare("left", this.#real.figures(), {
        ...this.reference.figures(),
        buckets: 0,
        sockets: 0,
      });
      compare("bytes in use when all is closed", this.#real.used, this.#real.usedAtOpen);
    }
    compare(
      "uses of groups",
      settled(() => this.#real.end(this.#setup.groups)),
      0,
    );
  }

  abandon(): void {
    try {
      this.#real.ports.close();
    } catch {
      // It has trapped before.
    }
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
    if (this.#setup.spare === undefined) throw new Mismatch("no memory, without a limit");
    this.figures.noMemory += 1;
    const isUdp = this.#datagramOf(operation) !== undefined;
    if (isUdp && operation.op === "connect") this.figures.noMemoryToConnect += 1;
    compare("bytes in use for want of more", this.#real.used, used);
    this.#audit();
    settled(() => this.#real.verify());
  }

  // ── What an operation leaves behind ─────────────────────────────────────────────────────

  #compareTraces(operation: Operation): void {
    compare("figures", this.#real.figures(), this.reference.figures());
    if (this.figures.operations % AUDIT_EVERY === 0) this.#audit();
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
    const { figures } = this;
    const isNamed = operation.op === "bind" && operation.port !== 0;
    if (typeof got === "number" && socket.port !== 0) figures.again += 1;
    else if (typeof got === "number" && isNamed) figures.named += 1;
    else if (typeof got === "number") figures.picks += 1;
    else if (typeof got === "object" && got.reason === "port-in-use") figures.taken += 1;
    else if (typeof got === "object" && got.reason === "no-port-available") figures.exhausted += 1;
  }
}
