// A session on Linux' ports: one operation after the other on the reference model and on the
// implementation, and after each of them a comparison of all that it may have changed.
//
// Beside being equal, the answers must keep what selection promises: a port that was picked lies in
// the effective range of its kind and is not reserved, it was acceptable, and no call answers that
// there is none while there is one. The last has two exceptions, both as in Linux: a socket that
// lost its reuse bit after it had got its port may mislead searches for bind(), and sums that
// pass 2^32 make a search for connect() miss ports.

import { PortError } from "../../../bindings/errors.ts";
import { limited, type ReferenceSocket } from "../../models/reference-linux.ts";
import { BadInput } from "../../replay/input.ts";
import type { ReferenceLinux } from "../../replay/linux-reference.ts";
import type { LinuxSystem } from "../../replay/linux-system.ts";
import { type LinuxAnswer, type LinuxOperation, LinuxPlayer } from "../../replay/linux-trace.ts";
import { compare, Mismatch, settled } from "../mismatch.ts";
import type { PlannedSession } from "../planned.ts";
import type { Random } from "../random.ts";
import { Planner } from "./operations.ts";
import type { Kind, Setup } from "./setup.ts";

/** What is compared with the model. */
export interface BuildUnderTest {
  readonly system: LinuxSystem;
  /** Checks its invariants, where the build can. */
  verify?(): void;
  /** Bytes in use. */
  used?(): number;
}

export interface Figures extends Record<string, number> {
  operations: number;
  /** Automatic picks, those that found nothing, and those that searched more than once. */
  picks: number;
  exhausted: number;
  retried: number;
  /** Sums of connect()'s search that passed 2^32. */
  wrapped: number;
  expired: number;
  /** How often there was no memory. */
  refusals: number;
}

interface PickPromise {
  readonly kind: "bind" | "connect";
  readonly ports: readonly number[];
  readonly acceptable: ReadonlySet<number>;
  readonly mayMiss: boolean;
}

const TWO_32 = 2 ** 32;
const AUDIT_EVERY = 25;
const NO_FIGURES: Figures = {
  operations: 0,
  picks: 0,
  exhausted: 0,
  retried: 0,
  wrapped: 0,
  expired: 0,
  refusals: 0,
};
const DRAINED: LinuxAnswer = { buckets: 0, bsockets: 0, bytes: 0, uses: 0 };

export class LinuxSession<Model extends ReferenceLinux = ReferenceLinux>
  implements PlannedSession<Kind, LinuxOperation>
{
  readonly model: LinuxPlayer;
  readonly figures: Figures = { ...NO_FIGURES };
  protected lastAnswer: LinuxAnswer = null;
  /** What has been done, with the model's answers. */
  readonly #steps: (LinuxOperation & { expect: LinuxAnswer; drawn?: number })[] = [];
  protected readonly reference: Model;
  readonly #real: LinuxPlayer;
  protected readonly underTest: BuildUnderTest;
  readonly #setup: Pick<Setup, "hint" | "limit" | "isAbrupt">;
  readonly #planner: Planner | undefined;
  /** Whether the real side may say that it has no memory. */
  readonly #isTight: boolean;
  /** Every port that was named or picked. */
  readonly #ports = new Set<number>();
  /** A socket with a port has lost its reuse bit. */
  #hasCleared = false;

  /** Without a whole setup the caller that opens it says what happens. */
  constructor(
    reference: Model,
    underTest: BuildUnderTest,
    setup: Setup | Pick<Setup, "hint" | "limit" | "isAbrupt">,
  ) {
    this.reference = reference;
    this.underTest = underTest;
    this.#setup = setup;
    this.#isTight = setup.limit !== undefined;
    this.model = new LinuxPlayer(reference);
    this.#real = new LinuxPlayer(underTest.system);
    if (!("salt" in setup)) return;
    this.#planner = this.newPlanner(setup);
    for (const operation of this.#planner.opening()) this.perform(operation);
  }

  protected newPlanner(setup: Setup): Planner {
    return new Planner(setup, this.model);
  }

  get script(): string[] {
    return this.#steps.map((step) => JSON.stringify(step));
  }

  plan(kind: Kind, random: Random): LinuxOperation | undefined {
    return this.#planner?.plan(kind, random);
  }

  /** False: nothing happened, for the operation makes no sense here. */
  perform(operation: LinuxOperation): boolean {
    const used = this.#isTight ? this.underTest.used?.() : undefined;
    let got: LinuxAnswer;
    let pick: PickPromise | undefined;
    let broken: unknown;
    try {
      pick = this.#pickOf(operation);
      got = this.#real.perform(operation);
    } catch (error) {
      if (error instanceof BadInput) return false;
      if (this.#isTight && isNoMemory(error)) return this.#refused(operation, used);
      got = { threw: true };
      broken = error ?? new Mismatch("nothing was thrown");
    }
    this.figures.operations += 1;
    const expect = settled(() => this.model.perform(operation));
    const mayDraw = ["bind", "listen", "connect"].includes(operation.op);
    this.#steps.push({ ...operation, expect, ...(mayDraw && { drawn: this.model.drawn }) });
    if (broken !== undefined) throw broken;
    compare("answer", got, expect);
    this.lastAnswer = got;
    this.#compareTraces(operation, mayDraw);
    if (pick !== undefined) this.#judge(pick, got);
    if (this.#steps.length % AUDIT_EVERY === 0) this.#audit();
    settled(() => this.underTest.verify?.());
    return true;
  }

  /** For want of memory: that the model cannot know, but nothing may have changed. */
  #refused(operation: LinuxOperation, used: number | undefined): true {
    this.figures.operations += 1;
    this.figures.refusals += 1;
    this.#steps.push({ ...operation, expect: { err: "ENOBUFS" } });
    compare("bytes in use after a refusal", this.underTest.used?.(), used);
    compare(
      "figures after a refusal",
      settled(() => this.underTest.system.stats()),
      this.reference.stats(),
    );
    this.#audit();
    settled(() => this.underTest.verify?.());
    return true;
  }

  /** Closes both. Closed socket by socket, nothing may be counted and no byte be in use. */
  finish(): void {
    this.#audit();
    if (this.#setup.isAbrupt) {
      compare("left in use", settled(() => this.underTest.system.end()).uses, 0);
    } else {
      compare("left by the model", this.model.drain(), DRAINED);
      compare(
        "left when all is closed",
        settled(() => this.#real.drain()),
        DRAINED,
      );
    }
    this.figures.expired += this.model.expired;
  }

  abandon(): void {
    this.#real.abandon();
  }

  /** In the notation of the vectors; where memory is short no other system would answer so. */
  trace(): string {
    const { hint, limit } = this.#setup;
    if (limit !== undefined) return `with a memory limit of ${limit} bytes`;
    return `as a trace: {"name":"fuzz","hint":${hint},"ops":[${this.script}]}`;
  }

  // ── What an operation leaves behind ─────────────────────────────────────────────────────

  #compareTraces(operation: LinuxOperation, mayDraw: boolean): void {
    if (mayDraw) compare("values drawn", this.#real.drawn, this.model.drawn);
    if (mayDraw && this.model.drawn > 1) this.figures.retried += 1;
    compare("TIME_WAITs removed", this.#real.expired, this.model.expired);
    compare(
      "figures",
      settled(() => this.underTest.system.stats()),
      this.reference.stats(),
    );
    if (!("sock" in operation) || !this.model.has(operation.sock)) return;
    this.#compareSocket(operation.sock);
    const { port } = this.model.look(operation.sock);
    for (const near of [port, "port" in operation ? operation.port : 0]) {
      if (near === 0) continue;
      this.#ports.add(near);
      this.#compareRecord(near);
    }
  }

  #audit(): void {
    for (const sock of this.model.open) this.#compareSocket(sock);
    for (const port of this.#ports) this.#compareRecord(port);
  }

  #compareSocket(sock: number): void {
    const got = settled(() => this.#real.look(sock));
    compare(`socket ${sock}`, got, this.model.look(sock));
  }

  #compareRecord(port: number): void {
    const got = settled(() => this.underTest.system.bucket(port));
    compare(`record of port ${port}`, got, this.reference.bucket(port));
  }

  // ── What selection promises ─────────────────────────────────────────────────────────────

  /** What may come of an operation, if it lets the system pick a port. */
  #pickOf(operation: LinuxOperation): PickPromise | undefined {
    const { op } = operation;
    if (op === "setReuse") this.#noteReuse(operation);
    if (op !== "bind" && op !== "listen" && op !== "connect") return undefined;
    if (this.model.look(operation.sock).type === "udp") return undefined;
    const { ports: reference } = this.reference;
    const socket = this.model.socket(operation) as ReferenceSocket;
    if (socket.port !== 0 || socket.state !== "closed") return undefined;
    if (op === "bind" && operation.port !== 0) return undefined;

    const kind = op === "connect" ? "connect" : "bind";
    const { first, last } = limited(reference.range, socket.group, kind);
    const count = Math.max(0, last - first + 1);
    const all = Array.from({ length: count }, (_, index) => first + index);
    const ports = all.filter((port) => !reference.reserved.has(port));
    const suits = (port: number): boolean => {
      if (op === "bind") return reference.suitsBind(socket, operation.addr, port);
      if (op === "listen") return reference.suitsBind(socket, socket.address, port);
      const { saddr: local = "", daddr: remote, dport: remotePort } = operation;
      return reference.suitsConnect(socket, { local, remote, remotePort }, port);
    };
    let mayMiss = this.#hasCleared;
    if (op === "connect") {
      const offset = (this.reference.stats().hint + (operation.portOffset ?? 0)) % TWO_32;
      mayMiss = offset + count >= TWO_32;
      if (mayMiss) this.figures.wrapped += 1;
    }
    return { kind, ports, acceptable: new Set(ports.filter(suits)), mayMiss };
  }

  #noteReuse(operation: LinuxOperation & { op: "setReuse" }): void {
    const { type, port, reuse } = this.model.look(operation.sock);
    if (type === "tcp" && port !== 0 && reuse && !operation.reuse) this.#hasCleared = true;
  }

  #judge({ kind, ports, acceptable, mayMiss }: PickPromise, got: LinuxAnswer): void {
    this.figures.picks += 1;
    const port = got?.port;
    if (typeof port === "number") {
      if (!ports.includes(port))
        throw new Mismatch(`port ${port} is outside or reserved (${kind})`);
      if (!acceptable.has(port)) throw new Mismatch(`port ${port} is not acceptable (${kind})`);
      return;
    }
    this.figures.exhausted += 1;
    if (mayMiss || acceptable.size === 0) return;
    throw new Mismatch(`none was found, but acceptable are ${[...acceptable]} (${kind})`);
  }
}

function isNoMemory(error: unknown): boolean {
  return error instanceof PortError && error.code === "ENOBUFS";
}
