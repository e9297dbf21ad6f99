// OpenConnections: the connections that one way has open at the same time, and the errors of those
// that failed.

import type { Socket } from "node:net";
import type { Destination } from "./servers.ts";
import type { Way } from "./ways.ts";

/** Codes that say that there is no port. */
const REFUSAL_CODES = ["EADDRINUSE", "EADDRNOTAVAIL"];
/** Codes that say that the system, or this process, has no room for more. */
const LIMIT_CODES = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

export class OpenConnections {
  /** How many could not be opened, by code. */
  readonly errors: Map<string, number> = new Map();
  /** Connections that broke while they were to stay open. */
  lost = 0;
  readonly #way: Way;
  readonly #open = new Set<Socket>();
  readonly #ports = new Map<string, number>();
  #isClosing = false;

  constructor(way: Way) {
    this.#way = way;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** The local addresses that connections came from. */
  get sources(): string[] {
    return [...new Set([...this.#ports.keys()].map((local) => local.slice(0, local.indexOf(" "))))];
  }

  /** How many local addresses and ports were used. */
  get portCount(): number {
    return this.#ports.size;
  }

  /** The most connections that one local address and port had. */
  get sharedBy(): number {
    return Math.max(0, ...this.#ports.values());
  }

  /** Opens one more; whether that went well. */
  async open(destination: Destination): Promise<boolean> {
    try {
      this.#add(await this.#way.open(destination));
      return true;
    } catch (error) {
      const { code = "unknown" } = error as NodeJS.ErrnoException;
      this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
      return false;
    }
  }

  /** The codes of errors that are neither for want of ports nor of room. */
  get strangeErrors(): string[] {
    const known = [...REFUSAL_CODES, ...LIMIT_CODES];
    return [...this.errors.keys()].filter((code) => !known.includes(code));
  }

  /**
   * Closes all by a reset. A plain close would leave each in TIME_WAIT for a minute, and with it
   * its port; a reset leaves nothing on either side, so that the next way finds what this one
   * found.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    const closed = [...this.#open].map(
      (socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())),
    );
    for (const socket of this.#open) socket.resetAndDestroy();
    await Promise.all(closed);
  }

  #add(socket: Socket): void {
    this.#open.add(socket);
    const local = `${socket.localAddress} ${socket.localPort}`;
    this.#ports.set(local, (this.#ports.get(local) ?? 0) + 1);
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#open.delete(socket);
      if (!this.#isClosing) this.lost++;
    });
  }
}
