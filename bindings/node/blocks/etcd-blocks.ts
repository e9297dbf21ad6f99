// etcdBlocks: blocks leased among machines, in etcd, through its JSON gateway: no client is needed.
//
//   portwarden/1/tcp/10.0.0.1/625    a key for each block, under the holder's lease; owner|grant
//   portwarden/1/tcp/10.0.0.1/wanted a holder found no free block
//
// A holder has one lease for each scope. When it ends, etcd deletes its keys. A server that was
// restarted, or a new leader, gives every lease its whole term again, so nothing else is needed for
// that.

import { hostname } from "node:os";
import { wrongType, wrongValue } from "../../errors.ts";
import { checkInteger, readOptions } from "../../requests/checks.ts";
import { builtin } from "../builtin.ts";
import {
  type BlockGrant,
  type BlockScope,
  type BlockStore,
  type HeldBlocks,
  type Renewal,
  scopeName,
  shuffled,
} from "./block-store.ts";

/** Options of {@link etcdBlocks}. */
export interface EtcdBlocksOptions {
  /** Where etcd answers HTTP, `http://127.0.0.1:2379`. */
  url: string;
  /**
   * How long a lease holds without a renewal: whole seconds, in milliseconds, 2000..3600000;
   * 10,000 by default.
   */
  ttl?: number | undefined;
  /** Used in place of the global `fetch`, for certificates and tokens. */
  fetch?: typeof globalThis.fetch | undefined;
}

const TTL_MS = 10_000;
const TTL_MS_LEAST = 2_000;
const HOUR_MS = 3_600_000;
const PREFIX = "portwarden/1/";
const WANTED = "wanted";
/** Other holders may be quicker: so often a search for free blocks is repeated. */
const TRIES = 4;
const RETRY_MS = 500;
const HOLDERS_MAX = 8;

/** A key and its value, as the gateway answers them: texts in base64, numbers in digits. */
interface Row {
  readonly key: string;
  readonly value?: string;
  readonly lease?: string;
}

/**
 * Leases blocks among all programs that use the same etcd (3.4 or newer, over its JSON gateway).
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
 */
export function etcdBlocks(options: EtcdBlocksOptions): BlockStore {
  const given = readOptions("options", options, ["url", "ttl", "fetch"]);
  const { url, ttl = TTL_MS, fetch = globalThis.fetch } = given;
  if (typeof url !== "string") throw wrongType("url", "a string", url);
  if (!URL.canParse(url)) throw wrongValue("url", 'a URL, "http://127.0.0.1:2379"', url);
  if (typeof fetch !== "function") throw wrongType("fetch", "a function", fetch);
  checkInteger("ttl", ttl, TTL_MS_LEAST, HOUR_MS);
  if (ttl % 1000 !== 0) throw wrongValue("ttl", "whole seconds, in milliseconds", ttl);
  return new EtcdBlocks(url, ttl, fetch);
}

class EtcdBlocks implements BlockStore {
  readonly name = "etcd";
  readonly ttl: number;
  readonly #url: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #owner = `${hostname()}/${process.pid}/${builtin("crypto").randomUUID().slice(0, 8)}`;
  /** Leases by scope, as etcd numbers them. */
  readonly #leases: Map<string, string> = new Map();
  #grants = 0;

  constructor(url: string, ttl: number, fetch: typeof globalThis.fetch) {
    this.#url = url;
    this.ttl = ttl;
    this.#fetch = fetch;
  }

  async acquire(scope: BlockScope, want: number, first: number, last: number): Promise<BlockGrant> {
    const lease = (await this.#keepAlive(scope)) ?? (await this.#newLease(scope));
    const grant = `${++this.#grants}`;
    const value = base64(`${this.#owner}|${grant}`);
    for (let tries = 0; tries < TRIES; tries++) {
      const rows = await this.#rows(scope);
      const taken = new Set(rows.map(blockOfRow));
      const blocks = [...shuffled(first, last)].filter((block) => !taken.has(block)).slice(0, want);
      if (blocks.length === 0) return this.#refuse(scope, rows, lease);
      const keys = blocks.map((block) => keyOf(scope, block));
      const { succeeded } = await this.#call<{ succeeded?: boolean }>("kv/txn", {
        compare: keys.map((key) => ({ key, target: "CREATE", createRevision: "0" })),
        success: keys.map((key) => ({ requestPut: { key, value, lease } })),
      });
      if (succeeded) return { blocks, grant };
    }
    return { blocks: [], grant: "", retryAfter: 0 };
  }

  async renew(scope: BlockScope, held: HeldBlocks): Promise<Renewal> {
    const lease = await this.#keepAlive(scope);
    if (lease === undefined) return { lost: [...held.keys()] };
    const rows = await this.#rows(scope);
    const mine = new Map(
      rows.filter((row) => row.lease === lease).map((row) => [blockOfRow(row), grantOf(row)]),
    );
    mine.delete(Number.NaN);
    const others = [...mine].filter(([block, grant]) => held.get(block) !== grant);
    await this.release(scope, new Map(others));
    const lost = [...held].filter(([block, grant]) => mine.get(block) !== grant);
    const wanted = rows.some((row) => Number.isNaN(blockOfRow(row)) && row.lease !== lease);
    return { lost: lost.map(([block]) => block), wanted };
  }

  async release(scope: BlockScope, held: HeldBlocks): Promise<void> {
    await Promise.all(
      [...held].map(([block, grant]) => {
        const key = keyOf(scope, block);
        const value = base64(`${this.#owner}|${grant}`);
        return this.#call("kv/txn", {
          compare: [{ key, target: "VALUE", value }],
          success: [{ requestDeleteRange: { key } }],
        });
      }),
    );
  }

  async close(): Promise<void> {
    const leases = [...this.#leases.values()];
    this.#leases.clear();
    await Promise.all(leases.map((ID) => this.#call("lease/revoke", { ID })));
  }

  async #refuse(scope: BlockScope, rows: readonly Row[], lease: string): Promise<BlockGrant> {
    const key = base64(`${prefixOf(scope)}${WANTED}`);
    await this.#call("kv/put", { key, value: base64(this.#owner), lease });
    const owners = rows.filter((row) => !Number.isNaN(blockOfRow(row))).map(ownerOf);
    const holders = [...new Set(owners)].slice(0, HOLDERS_MAX);
    return { blocks: [], grant: "", retryAfter: RETRY_MS, holders };
  }

  // ── etcd ────────────────────────────────────────────────────────────────────────────────

  async #newLease(scope: BlockScope): Promise<string> {
    const { ID } = await this.#call<{ ID: string }>("lease/grant", { TTL: `${this.ttl / 1000}` });
    this.#leases.set(scopeName(scope), ID);
    return ID;
  }

  /** The scope's lease, with its whole term before it; none if it has ended. */
  async #keepAlive(scope: BlockScope): Promise<string | undefined> {
    const name = scopeName(scope);
    const ID = this.#leases.get(name);
    if (ID === undefined) return undefined;
    const answer = await this.#call<{ result?: { TTL?: string } }>("lease/keepalive", { ID });
    if (Number(answer.result?.TTL ?? 0) > 0) return ID;
    this.#leases.delete(name);
    return undefined;
  }

  async #rows(scope: BlockScope): Promise<readonly Row[]> {
    const prefix = prefixOf(scope);
    // All keys that begin with it: up to the same with its last byte one higher.
    const end = `${prefix.slice(0, -1)}0`;
    const range = { key: base64(prefix), range_end: base64(end) };
    const { kvs = [] } = await this.#call<{ kvs?: Row[] }>("kv/range", range);
    return kvs;
  }

  async #call<T>(path: string, body: object): Promise<T> {
    const url = new URL(`v3/${path}`, this.#url.endsWith("/") ? this.#url : `${this.#url}/`);
    // The keeper does not wait for a call that it has given up; the call ends after this time.
    const signal = AbortSignal.timeout(this.ttl);
    const answer = await this.#fetch(url, { method: "POST", body: JSON.stringify(body), signal });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`etcd answered ${answer.status} to ${path}: ${text}`);
    return JSON.parse(text) as T;
  }
}

function prefixOf(scope: BlockScope): string {
  return `${PREFIX}${scopeName(scope)}/`;
}

function keyOf(scope: BlockScope, block: number): string {
  return base64(`${prefixOf(scope)}${block}`);
}

/** No number for the key that says that blocks are wanted. */
function blockOfRow({ key }: Row): number {
  return Number(fromBase64(key).split("/").at(-1));
}

function ownerOf({ value = "" }: Row): string {
  return fromBase64(value).split("|")[0] as string;
}

function grantOf({ value = "" }: Row): string {
  return fromBase64(value).split("|")[1] ?? "";
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function fromBase64(text: string): string {
  return Buffer.from(text, "base64").toString();
}
