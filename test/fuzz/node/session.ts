// A session of the connector's fuzzer: a connector with options that a seed decides, connections
// with faults at every stage, and then what must hold whatever has happened:
//
//   each callback is called once, and not before the call that it was given to has returned
//   no port is held, and no connection waits
//   every port can be had again, for each source that is there

import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import {
  type Connector,
  type ConnectorOptions,
  createConnector,
  type Dial,
} from "../../../bindings/node/index.ts";
import { Chance } from "./chance.ts";
import { dialOf } from "./dials.ts";
import { RESOLVERS } from "./resolvers.ts";
import type { Servers } from "./servers.ts";

const RANGE = { first: 24_000, last: 24_003 };
const CONNECTIONS = 40;
const SETTLE_MS_MAX = 30_000;
/** A port that has not come back so long after all others is lost. */
const LOST_MS = 500;

/** What is broken on purpose, to see that it is found. */
export type Sabotage = "a lost port" | "a callback that is called twice";

/** What happened in a session. */
export interface SessionResult {
  readonly connections: number;
  /** What does not hold; `undefined`: all does. */
  readonly mismatch: string | undefined;
}

export async function session(
  seed: number,
  servers: Servers,
  sabotage?: Sabotage,
): Promise<SessionResult> {
  const run = new Session(new Chance(seed), servers, sabotage);
  return { connections: CONNECTIONS, mismatch: await run.mismatch() };
}

class Session {
  readonly #chance: Chance;
  readonly #servers: Servers;
  readonly #sabotage: Sabotage | undefined;
  readonly #connector: Connector;
  readonly #sources: readonly string[];
  /** Sources that cannot be bound at present. */
  readonly #absent: Set<string> = new Set();
  readonly #calls: number[] = [];
  readonly #early: number[] = [];
  readonly #sockets: Set<Socket> = new Set();
  readonly #aborts: AbortController[] = [];

  constructor(chance: Chance, servers: Servers, sabotage: Sabotage | undefined) {
    this.#chance = chance;
    this.#servers = servers;
    this.#sabotage = sabotage;
    const net = `127.${chance.between(50, 250)}.${chance.between(1, 250)}`;
    this.#sources = Array.from({ length: chance.between(1, 3) }, (_, at) => `${net}.${at + 1}`);
    this.#connector = createConnector(this.#options());
  }

  async mismatch(): Promise<string | undefined> {
    const realNow = performance.now;
    let ahead = 0;
    // The clock jumps: what cools down or is quarantined comes back all at once.
    performance.now = () => realNow.call(performance) + ahead;
    try {
      for (let index = 0; index < CONNECTIONS; index++) {
        this.#open(index);
        this.#disturb();
        if (this.#chance.happens(0.05)) ahead += this.#chance.between(1, 60_000);
        if (this.#chance.happens(0.3)) await pause(this.#chance.between(0, 4));
      }
      return await this.#settle();
    } finally {
      performance.now = realNow;
      this.#connector.close();
    }
  }

  #options(): ConnectorOptions {
    const chance = this.#chance;
    return {
      sources: this.#sources,
      portRange: RANGE,
      reserved: "",
      skipUsed: false,
      spread: chance.oneOf(["round-robin", "least-used", "sticky"]),
      selection: chance.oneOf(["random", "fifo"]),
      cooldown: chance.oneOf(["none", 5, 60]),
      whenCooling: chance.oneOf(["refuse", "wait", "oldest"]),
      wait: chance.oneOf([false, true, { timeout: 40 }, { limit: 3 }]),
      quarantine: chance.oneOf([1, 30, 200]),
      maxAttempts: chance.oneOf([1, 3, 64]),
      connectTimeout: chance.oneOf([0, 60]),
      attemptDelay: 10,
      seed: chance.between(0, 1_000_000),
    };
  }

  // ── Faults ──────────────────────────────────────────────────────────────────────────────

  #open(index: number): void {
    const chance = this.#chance;
    const abort = new AbortController();
    this.#aborts.push(abort);
    this.#calls[index] = 0;
    let hasReturned = false;
    const opened = (_error: unknown, socket: Socket | null): void => {
      this.#calls[index] = (this.#calls[index] ?? 0) + 1;
      if (!hasReturned) this.#early.push(index);
      if (socket !== null) this.#use(socket);
    };
    const where = {
      host: chance.oneOf(["127.0.0.1", "127.0.0.21", "service.test", "service.test"]),
      port: chance.oneOf(this.#servers.ports),
      lookup: chance.oneOf(RESOLVERS),
      signal: abort.signal,
      key: `key ${chance.between(0, 5)}`,
      ...(chance.happens(0.2) && { connectTimeout: chance.between(1, 30) }),
    };
    const isTls = chance.happens(0.25);
    const dial = this.#watched(dialOf(chance, this.#absent, isTls), abort);
    if (chance.happens(0.1)) abort.abort("before");
    else if (chance.happens(0.4)) setTimeout(() => abort.abort("later"), chance.between(0, 30));
    this.#connector.dial(where, dial, opened, isTls ? "secureConnect" : "connect");
    if (chance.happens(0.05)) abort.abort("at once");
    hasReturned = true;
    if (this.#sabotage === "a callback that is called twice" && index === 7) opened(null, null);
  }

  /** Notes the sockets, so that all are closed in the end; may abort in the middle of a dial. */
  #watched(dial: Dial, abort: AbortController): Dial {
    return (ends) => {
      if (this.#chance.happens(0.03)) abort.abort("in the dial");
      const socket = dial(ends);
      if (typeof socket?.destroy === "function") this.#sockets.add(socket);
      return socket;
    };
  }

  #use(socket: Socket): void {
    const chance = this.#chance;
    socket.on("error", () => {});
    if (chance.happens(0.3)) {
      socket.removeAllListeners();
      socket.on("error", () => {});
    }
    const ends = [
      () => socket.destroy(),
      () => socket.destroy(new Error("enough")),
      () => socket.resume().end(),
      () => socket.destroySoon(),
      () => ("encrypted" in socket ? socket.destroy() : socket.resetAndDestroy()),
      () => {},
    ];
    setTimeout(chance.oneOf(ends), chance.between(0, 20));
    if (chance.happens(0.3)) socket.write("hello");
  }

  /** Sources go and come, connections are killed, the host's state is read again. */
  #disturb(): void {
    const chance = this.#chance;
    const source = chance.oneOf(this.#sources);
    if (chance.happens(0.1)) this.#absent.add(source);
    else if (chance.happens(0.2)) this.#absent.delete(source);
    if (chance.happens(0.03)) this.#servers.killAll();
    if (chance.happens(0.03)) this.#connector.refresh();
  }

  // ── What must hold ──────────────────────────────────────────────────────────────────────

  async #settle(): Promise<string | undefined> {
    this.#absent.clear();
    await pause(40);
    for (const abort of this.#aborts) abort.abort("the end");
    // The last one that is there is forgotten: its port is lost.
    if (this.#sabotage === "a lost port") await this.#lose();
    for (const socket of this.#sockets) socket.destroy();
    const lost = this.#sabotage === "a lost port" ? 1 : 0;
    const isOver = (): boolean => {
      const { held, waiting, quarantined, cooling } = this.#connector.metrics();
      return held + waiting + quarantined + cooling <= lost && this.#calls.every((one) => one > 0);
    };
    await until(isOver, SETTLE_MS_MAX);
    if (lost > 0) await pause(LOST_MS);
    return this.#ledger() ?? (await this.#refill());
  }

  async #lose(): Promise<void> {
    const to = { host: "127.0.0.1", port: this.#servers.echo };
    await new Promise((done) => this.#connector.dial(to, (ends) => connect(ends), done));
  }

  #ledger(): string | undefined {
    const { held, waiting, picks, released, byDestination } = this.#connector.metrics();
    const wrong = this.#calls.flatMap((calls, index) =>
      calls === 1 ? [] : [`${index}: ${calls}`],
    );
    if (wrong.length > 0) return `callbacks that were not called once: ${wrong.join(", ")}`;
    if (this.#early.length > 0) return `callbacks before the return: ${this.#early.join(", ")}`;
    const inQueues = Object.values(byDestination).reduce((sum, one) => sum + one.waiting, 0);
    if (held + waiting + inQueues > 0) {
      return `${held} ports are held, ${waiting} connections wait, in ${inQueues} places`;
    }
    return picks === released ? undefined : `${picks} ports were picked, ${released} came back`;
  }

  /** Every port of every source can be taken, as soon as the system has freed the tuples. */
  async #refill(): Promise<string | undefined> {
    this.#connector.refresh();
    const end = Date.now() + SETTLE_MS_MAX;
    for (;;) {
      const wrong = await this.#fill();
      if (wrong === undefined || Date.now() > end) return wrong;
      await pause(100);
    }
  }

  async #fill(): Promise<string | undefined> {
    const to = { host: "127.0.0.1", port: this.#servers.echo, connectTimeout: 10_000 };
    const { perPair } = this.#connector.capacity();
    const wanted = this.#sources.flatMap((localAddress) =>
      Array.from({ length: perPair }, () => this.#connector.connect({ ...to, localAddress })),
    );
    const opened = await Promise.allSettled(wanted);
    const sockets = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    for (const socket of sockets) socket.resetAndDestroy();
    await until(() => this.#connector.metrics().held === 0, SETTLE_MS_MAX);
    const failed = opened.find((one) => one.status === "rejected");
    if (failed === undefined) return undefined;
    return `of ${wanted.length} ports ${sockets.length} can be had: ${failed.reason}`;
  }
}

/** Waits until that holds, or for so long. */
async function until(holds: () => boolean, mostMs: number): Promise<void> {
  const end = Date.now() + mostMs;
  while (!holds() && Date.now() < end) await pause(5);
}
