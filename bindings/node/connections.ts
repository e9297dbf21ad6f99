// Connections: opens many real ones, each from the local port that portwarden has picked for its
// pair of source and destination, keeps them open, and closes them.
//
//   pick ──▶ connect ──▶ open at both ends ──▶ closed: the port is freed
//    ▲          │
//    │          ├──▶ failed: the port is freed
//    │          │
//    └──────────┴──▶ another program has the port: it stays taken here until the end of the
//                    run, so that it is not picked again
//
// A picked port is freed exactly once, after its socket has closed.

import type { Socket } from "node:net";
import { type Flow, IPV4, type PortManager, Refusal, TCP } from "../index.ts";
import { dial, type Endpoint, hangUp, type Server, type Sighting } from "./loopback.ts";
import type { Plan } from "./plan.ts";
import { isForeign, isLimit, type Miss, newTally, refusalName, type Tally } from "./tally.ts";

/** A source and a destination, and the flow that holds their ports. */
interface Pair {
  readonly source: string;
  readonly destination: Endpoint;
  readonly flow: Flow;
  /** Ports that other programs have. */
  readonly foreign: number[];
}

/** Attempts to connect at the same time. */
export const ATTEMPTS_AT_ONCE = 128;
/** Ports tried for one connection. */
export const TRIES_MAX = 64;
const WIDEN_MAX = 1000;
const PORT_MAX = 65535;

export class Connections {
  readonly tally: Tally = newTally();
  /** Called whenever one more or one less is open. */
  onChange: () => void = () => {};
  readonly #manager: PortManager;
  readonly #wanted: number;
  readonly #pairs: readonly Pair[];
  /** Sockets that are not open at both ends yet. */
  readonly #underWay = new Set<Socket>();
  readonly #open = new Set<Socket>();
  /** What to do when a server sees a connection from where, and to where, it was picked. */
  readonly #expected = new Map<string, () => void>();
  #startedCount = 0;
  #stopped = false;
  #closing = false;

  constructor(manager: PortManager, plan: Plan, servers: readonly Server[]) {
    this.#manager = manager;
    this.#wanted = plan.connections;
    const picking = plan.sharing ? "connect" : "bind";
    this.#pairs = plan.sources.flatMap((address) =>
      servers.map(({ endpoint: destination }) => ({
        source: address,
        destination,
        flow: manager.flow({ networks: [IPV4], transport: TCP, address, destination, picking }),
        foreign: [],
      })),
    );
    for (const server of servers) {
      server.onAccept = (sighting) => this.#expected.get(nameOf(sighting))?.();
    }
  }

  /** How many are open now. */
  get openCount(): number {
    return this.#open.size;
  }

  /** How many ports the flows hold. */
  get heldCount(): number {
    return this.#pairs.reduce((sum, { flow }) => sum + flow.held, 0);
  }

  // ── Opening ─────────────────────────────────────────────────────────────────────────────

  /** Opens what is wanted, turn by turn over the pairs; what it has got when told to stop. */
  async open(stop: AbortSignal): Promise<void> {
    const onStop = (): void => this.#stop();
    if (stop.aborted) onStop();
    stop.addEventListener("abort", onStop, { once: true });
    const start = performance.now();
    await Promise.all(Array.from({ length: ATTEMPTS_AT_ONCE }, () => this.#openInTurn()));
    this.tally.phaseMs = performance.now() - start;
    stop.removeEventListener("abort", onStop);
  }

  async #openInTurn(): Promise<void> {
    while (!this.#stopped && this.#startedCount < this.#wanted) {
      const pair = this.#pairs[this.#startedCount++ % this.#pairs.length] as Pair;
      const miss = await this.#openOne(pair);
      if (miss !== undefined) this.tally.missed[miss]++;
    }
  }

  /** Opens one connection; what stood in the way, unless it was the stop. */
  async #openOne(pair: Pair): Promise<Miss | undefined> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const port = this.#pick(pair.flow);
      if (port < 0) return "refused";
      const failure = await this.#connect(pair, port);
      if (failure === undefined) return undefined;

      if (this.#stopped) {
        this.#free(pair.flow, port);
        return undefined;
      }
      const reason = this.#noteFailure(failure);
      if (!isForeign(reason)) {
        this.#free(pair.flow, port);
        if (!isLimit(reason)) return "failed";
        this.#stop();
        return "limit";
      }
      pair.foreign.push(port);
      this.tally.foreignCount++;
    }
    return "foreign";
  }

  #pick(flow: Flow): number {
    const port = this.#take(flow);
    // What other programs have is made up for, as long as there are more ports.
    const isShort = port === Refusal.EXHAUSTED && this.tally.foreignCount > 0;
    return isShort && this.#widenRange() ? this.#take(flow) : port;
  }

  #take(flow: Flow): number {
    const start = performance.now();
    const port = flow.take();
    this.tally.pickMs.push(performance.now() - start);
    if (port < 0) this.tally.refused[refusalName(port)]++;
    return port;
  }

  #widenRange(): boolean {
    const { first, last } = this.#manager.portRange();
    if (last === PORT_MAX || this.tally.widenedBy === WIDEN_MAX) return false;
    this.#manager.setPortRange(first, last + 1);
    this.tally.widenedBy++;
    return true;
  }

  /** Connects from that port; the error if that failed. An open one frees its port when it closes. */
  #connect({ source, destination, flow }: Pair, port: number): Promise<Error | undefined> {
    const sighting = { from: { address: source, port }, to: destination };
    const start = performance.now();
    const socket = dial(source, port, destination);
    this.#underWay.add(socket);
    return new Promise((resolve) => {
      let connectedMs = 0;
      let ends = 0;
      let failure = new Error("closed before it was open");
      const onEnd = (): void => {
        if (++ends < 2) return;
        this.tally.connectMs += connectedMs;
        this.#onOpen(socket, sighting);
        resolve(undefined);
      };
      this.#expected.set(nameOf(sighting), onEnd);
      socket.once("connect", () => {
        connectedMs = performance.now() - start;
        onEnd();
      });
      socket.on("error", (error) => {
        failure = error;
      });
      socket.once("close", () => {
        this.#expected.delete(nameOf(sighting));
        this.#underWay.delete(socket);
        if (this.#open.delete(socket)) this.#onClosed(flow, port);
        else resolve(failure);
      });
    });
  }

  #onOpen(socket: Socket, sighting: Sighting): void {
    socket.setTimeout(0);
    this.#underWay.delete(socket);
    this.#open.add(socket);
    this.tally.opened.push(sighting);
    this.tally.openAtOnce = Math.max(this.tally.openAtOnce, this.#open.size);
    this.onChange();
  }

  #onClosed(flow: Flow, port: number): void {
    this.#free(flow, port);
    if (!this.#closing) this.tally.lost++;
    this.onChange();
  }

  #noteFailure(failure: NodeJS.ErrnoException): string {
    const reason = `${failure.syscall ?? "connect"} ${failure.code ?? failure.message}`;
    const { systemRefused } = this.tally;
    systemRefused.set(reason, (systemRefused.get(reason) ?? 0) + 1);
    return reason;
  }

  /** No new attempts; those under way are given up. */
  #stop(): void {
    this.#stopped = true;
    for (const socket of this.#underWay) hangUp(socket);
  }

  // ── Refusals on purpose ─────────────────────────────────────────────────────────────────

  /**
   * Asks for what must be refused: each pair for one port more than there are, and for a port
   * that it has already.
   */
  askTooMuch(): void {
    const { refusedOnPurpose } = this.tally;
    for (const { flow } of this.#pairs) {
      const extra: number[] = [];
      let port = flow.take();
      for (; port > 0; port = flow.take()) extra.push(port);
      refusedOnPurpose[refusalName(port)]++;

      const held = this.#someHeld(flow);
      if (held !== undefined) {
        const again = flow.takeAt(held);
        if (again < 0) refusedOnPurpose[refusalName(again)]++;
        else extra.push(again);
      }
      for (const port of extra) this.#free(flow, port);
    }
  }

  #someHeld(flow: Flow): number | undefined {
    const { first, last } = this.#manager.portRange();
    for (let port = first; port <= last; port++) if (flow.has(port)) return port;
    return undefined;
  }

  // ── Closing ─────────────────────────────────────────────────────────────────────────────

  /** Closes all connections, and frees the ports of others that were kept out of the way. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#stop();
    const closed = [...this.#open].map((socket) => closeOf(socket));
    for (const socket of this.#open) hangUp(socket);
    await Promise.all(closed);
    for (const { flow, foreign } of this.#pairs) {
      for (const port of foreign.splice(0)) this.#free(flow, port);
    }
  }

  /** Closes the flows. The tally stays. */
  closeFlows(): void {
    for (const { flow } of this.#pairs) flow.close();
  }

  #free(flow: Flow, port: number): void {
    if (!flow.free(port)) this.tally.strayFrees++;
  }
}

/** When a socket has closed, and its port been freed. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

function nameOf({ from, to }: Sighting): string {
  return `${from.address}:${from.port} -> ${to.address}:${to.port}`;
}
