// hostBlocks: blocks leased among the threads, processes and containers of one Linux network
// namespace. A leased block is an abstract Unix socket that listens: the kernel lets a single
// process have it, and frees it when that process or thread ends, however that happens. No clock,
// no daemon.
//
//   portwarden/1/tcp/10.0.0.1/625          version, transport, address, block (host-name.ts)

import { connect, type Server, type Socket } from "node:net";
import { PortError } from "../../errors.ts";
import { OPEN_LEASED, type PoolStore } from "../../leasing.ts";
import {
  type BlockGrant,
  type BlockScope,
  type BlockStore,
  blockOf,
  type HeldBlocks,
  scopeName,
  shuffled,
} from "./block-store.ts";
import { HOST_LIST } from "./host-list.ts";
import { askHolder, serveBorrower } from "./host-loans.ts";
import { holdName, hostPath } from "./host-name.ts";
import { openLeased } from "./leased-pool.ts";
import type { LendingStore, LoanAnswer, LoanRequest } from "./loans.ts";

/** So many holders are asked when no block is free, */
const ASKED = 8;
/** and so many milliseconds they are given. */
const ANSWER_MS = 4;
/** After that a block is asked for again; the time doubles with each failure. */
const RETRY_MS = { least: 20, most: 320 };
/** So many may be connected to the socket of a block. */
const CALLERS_MAX = 64;
/** So many blocks are tried at once before all names are read. */
const BLIND_TRIES = 4;

/**
 * Leases blocks among all programs of this network namespace: worker threads, `cluster`, child
 * processes, containers of a pod. Linux only; not under Bun, which refuses names of 108 bytes.
 * @throws PortError `ENOTSUP` on another system: use `sliceBlocks` or `redisBlocks` there.
 */
export function hostBlocks(): BlockStore {
  if (process.platform === "linux") return new HostBlocks();
  throw new PortError(
    "ENOTSUP",
    "not-supported",
    `hostBlocks needs Linux, and this is ${process.platform}: use sliceBlocks({ index, of }) among a ` +
      "known number of processes, or redisBlocks or etcdBlocks",
  );
}

/** Is it a store that {@link hostBlocks} has made? */
export function isHostBlocks(store: BlockStore): boolean {
  return store instanceof HostBlocks;
}

/** The abstract name of a block, as a path of `net`. */
export function hostName(scope: BlockScope, block: number): string {
  return hostPath(`${scopeName(scope)}/${block}`);
}

interface HeldName {
  /** As stores name it. */
  readonly scope: string;
  readonly block: number;
  readonly grant: string;
  readonly server: Server;
}

class HostBlocks implements PoolStore, LendingStore {
  readonly [OPEN_LEASED] = openLeased;
  readonly name = "host";
  readonly isOneHost = true;
  readonly ttl = Number.POSITIVE_INFINITY;
  onWanted: ((scope: BlockScope, block: number) => void) | undefined;
  onLend: LendingStore["onLend"] = undefined;
  /** Connections to other holders, and from them. */
  readonly #peers: Set<Socket> = new Set();
  readonly #held: Map<string, HeldName> = new Map();
  /** By scope: when to ask again after a search without success, milliseconds. */
  readonly #retries: Map<string, number> = new Map();
  #grants = 0;
  #isClosed = false;
  /** An error that is no refusal, and has not been told yet. */
  #failure: Error | undefined;

  tryAcquire(scope: BlockScope, first: number, last: number): BlockGrant | undefined {
    // Mostly one of a few is free, and the list need not be read.
    let tries = HOST_LIST.isFresh ? 0 : BLIND_TRIES;
    for (const block of shuffled(first, last)) {
      if (tries-- <= 0) break;
      const grant = this.#bind(scope, block);
      if (grant !== undefined) return { blocks: [block], grant };
    }
    for (const block of freeBlocks(scope, first, last)) {
      const grant = this.#bind(scope, block);
      if (grant !== undefined) return { blocks: [block], grant };
    }
    return undefined;
  }

  async acquire(scope: BlockScope, want: number, first: number, last: number): Promise<BlockGrant> {
    const found = await this.#take(scope, want, first, last);
    if (found.blocks.length > 0) return found;
    await this.#ask(scope, first, last);
    HOST_LIST.expire();
    const again = await this.#take(scope, want, first, last);
    return again.blocks.length > 0 ? again : { ...again, retryAfter: this.#nextRetry(scope) };
  }

  #nextRetry(scope: BlockScope): number {
    const name = scopeName(scope);
    const wait = this.#retries.get(name) ?? RETRY_MS.least;
    this.#retries.set(name, Math.min(2 * wait, RETRY_MS.most));
    return wait;
  }

  async renew(scope: BlockScope, held: HeldBlocks): Promise<{ lost: readonly number[] }> {
    const mine = this.#heldOf(scope);
    await this.release(scope, new Map([...mine].filter(([block]) => !held.has(block))));
    return {
      lost: [...held].filter(([block, grant]) => mine.get(block) !== grant).map(([b]) => b),
    };
  }

  async release(scope: BlockScope, held: HeldBlocks): Promise<void> {
    for (const [block, grant] of held) {
      if (this.#close(hostName(scope, block), grant)) HOST_LIST.forget(scope, block);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const [name, { grant }] of [...this.#held]) this.#close(name, grant);
    for (const peer of this.#peers) peer.destroy();
    HOST_LIST.expire();
  }

  // ── Sockets ─────────────────────────────────────────────────────────────────────────────

  /**
   * Whether a server listens is known at once; if not, why comes a moment later as an event: in
   * use, or an error that is no refusal (no more files, no permission).
   */
  #bind(scope: BlockScope, block: number): string | undefined {
    const path = hostName(scope, block);
    if (this.#isClosed || this.#held.has(path)) return undefined;
    const server = holdName(path, {
      wanted: (peer) => this.#onCaller(scope, block, peer),
      failed: (error) => {
        this.#failure = error;
      },
    });
    HOST_LIST.note(scope, block);
    if (server === undefined) return undefined;
    server.maxConnections = CALLERS_MAX;
    this.#retries.delete(scopeName(scope));
    const grant = `${++this.#grants}`;
    this.#held.set(path, { scope: scopeName(scope), block, grant, server });
    return grant;
  }

  /** @returns whether it was held by that grant. */
  #close(path: string, grant: string): boolean {
    const held = this.#held.get(path);
    if (held?.grant !== grant) return false;
    this.#held.delete(path);
    held.server.close();
    return true;
  }

  async #take(scope: BlockScope, want: number, first: number, last: number): Promise<BlockGrant> {
    const blocks: number[] = [];
    const grants: [number, string][] = [];
    this.#failure = undefined;
    for (const block of freeBlocks(scope, first, last)) {
      if (blocks.length === want) break;
      const grant = this.#bind(scope, block);
      if (grant === undefined) continue;
      blocks.push(block);
      grants.push([block, grant]);
    }
    // Errors are reported in the next tick.
    await new Promise((done) => setImmediate(done));
    const failure = this.#failure;
    if (blocks.length === 0 && failure !== undefined) throw failure;
    // One grant for all of them.
    const grant = grants[0]?.[1] ?? "";
    for (const [block] of grants) {
      const path = hostName(scope, block);
      const held = this.#held.get(path);
      if (held !== undefined) this.#held.set(path, { ...held, grant });
    }
    return { blocks, grant };
  }

  #heldOf(scope: BlockScope): Map<number, string> {
    const found = new Map<number, string>();
    const name = scopeName(scope);
    for (const held of this.#held.values())
      if (held.scope === name) found.set(held.block, held.grant);
    return found;
  }

  // ── The bell ────────────────────────────────────────────────────────────────────────────

  /** A process that connects wants the block, and may then ask for a loan. */
  #onCaller(scope: BlockScope, block: number, peer: Socket): void {
    if (this.#held.has(hostName(scope, block))) this.onWanted?.(scope, block);
    this.#track(peer);
    serveBorrower(peer, {
      lend: (request) => (this.#isClosed ? undefined : this.onLend?.(scope, request)),
      blocks: () => [...this.#heldOf(scope).keys()],
    });
  }

  others(scope: BlockScope, first: number, last: number): number[] {
    if (this.#isClosed) return [];
    const isAnother = (block: number): boolean => !this.#held.has(hostName(scope, block));
    const taken = HOST_LIST.taken(scope);
    const [from, to] = [blockOf(first), blockOf(last)];
    return [...shuffled(from, to)].filter((block) => taken?.has(block) && isAnother(block));
  }

  async borrow(scope: BlockScope, block: number, request: LoanRequest): Promise<LoanAnswer> {
    if (this.#isClosed) return { blocks: [] };
    return askHolder(hostName(scope, block), request, (peer) => this.#track(peer));
  }

  #track(peer: Socket): void {
    this.#peers.add(peer);
    peer.on("close", () => this.#peers.delete(peer));
  }

  /**
   * Connects to some blocks that other processes hold: a holder closes a block that it has idle.
   */
  async #ask(scope: BlockScope, first: number, last: number): Promise<void> {
    const others = [...shuffled(first, last)].filter(
      (block) => !this.#held.has(hostName(scope, block)),
    );
    for (const block of others.slice(0, ASKED)) {
      const caller = connect({ path: hostName(scope, block) });
      caller.on("error", () => {}).on("connect", () => caller.destroy());
    }
    if (others.length > 0) await new Promise((done) => setTimeout(done, ANSWER_MS));
  }
}

/** Blocks that no process has as far as is known, in random order. */
function freeBlocks(scope: BlockScope, first: number, last: number): number[] {
  const taken = HOST_LIST.taken(scope);
  return [...shuffled(first, last)].filter((block) => !taken?.has(block));
}
