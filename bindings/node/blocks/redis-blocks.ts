// redisBlocks: blocks leased among machines, in Redis or Valkey, through a client of the user's
// own. All that must be atomic is in one script (`redis-script.ts`).

import { hostname } from "node:os";
import { invalid, show, wrongType, wrongValue } from "../../errors.ts";
import { checkInteger, readOptions } from "../../requests/checks.ts";
import { builtin } from "../builtin.ts";
import {
  type BlockGrant,
  type BlockScope,
  type BlockStore,
  type HeldBlocks,
  type Renewal,
  scopeName,
} from "./block-store.ts";
import { REDIS_KEYS, REDIS_SCRIPT } from "./redis-script.ts";

/** Options of {@link redisBlocks}. */
export interface RedisBlocksOptions {
  /**
   * Sends one command, its words in a list, and answers the reply.
   * @param key a key of the command: a client of a cluster sends it to the node that has it.
   * @example
   * // node-redis
   * (words) => client.sendCommand(words)
   * // ioredis, iovalkey
   * ([name, ...rest]) => client.call(name, ...rest)
   */
  command(words: string[], key: string): Promise<unknown>;
  /**
   * How long a lease holds without a renewal, milliseconds in 500..3600000; 10,000 by default. The
   * same for all holders that share a server.
   */
  ttl?: number | undefined;
  /**
   * How long a block that was given back is not leased again, milliseconds in 0..3600000; 5,000 by
   * default: connections of its last holder may not be quite gone.
   */
  rest?: number | undefined;
  /** The prefix of keys; `"portwarden"` by default. */
  prefix?: string | undefined;
}

const TTL_MS = 10_000;
const TTL_MS_LEAST = 500;
const REST_MS = 5_000;
const HOUR_MS = 3_600_000;
const SEED_MAX = 2 ** 31 - 1;

/**
 * Leases blocks among all programs that use the same server and prefix. Redis 6.2 or newer, or
 * Valkey; its `maxmemory-policy` must not evict keys without a time to live. After a restart of the
 * server nothing is granted for up to a `ttl` and a second, while holders go on.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
 */
export function redisBlocks(options: RedisBlocksOptions): BlockStore {
  const names = ["command", "ttl", "rest", "prefix"];
  const {
    command,
    ttl = TTL_MS,
    rest = REST_MS,
    prefix = "portwarden",
  } = readOptions("options", options, names);
  if (typeof command !== "function") throw wrongType("command", "a function", command);
  if (typeof prefix !== "string") throw wrongType("prefix", "a string", prefix);
  if (/[{}]/.test(prefix)) throw wrongValue("prefix", "a text without braces", prefix);
  checkInteger("ttl", ttl, TTL_MS_LEAST, HOUR_MS);
  checkInteger("rest", rest, 0, HOUR_MS);
  return new RedisBlocks(command, ttl, rest, prefix);
}

class RedisBlocks implements BlockStore {
  readonly name = "redis";
  readonly ttl: number;
  readonly #command: RedisBlocksOptions["command"];
  readonly #rest: number;
  readonly #prefix: string;
  /** The host and process, for people who look into Redis, and a part that makes it unique. */
  readonly #sha1 = builtin("crypto").createHash("sha1").update(REDIS_SCRIPT).digest("hex");
  readonly #owner = `${hostname()}/${process.pid}/${builtin("crypto").randomUUID().slice(0, 8)}`;
  readonly #scopes: Map<string, BlockScope> = new Map();
  #number = 0;

  constructor(command: RedisBlocksOptions["command"], ttl: number, rest: number, prefix: string) {
    this.#command = command;
    this.ttl = ttl;
    this.#rest = rest;
    this.#prefix = prefix;
  }

  async acquire(scope: BlockScope, want: number, first: number, last: number): Promise<BlockGrant> {
    const numbers = [want, first, last, builtin("crypto").randomInt(1, SEED_MAX)].map(String);
    const [outcome, value = "", ...rest] = await this.#run(scope, "acquire", numbers);
    if (outcome === "granted") return { blocks: rest.map(Number), grant: value };
    return { blocks: [], grant: "", retryAfter: Number(value), holders: rest };
  }

  async renew(scope: BlockScope, held: HeldBlocks): Promise<Renewal> {
    const [, wanted, ...lost] = await this.#run(scope, "renew", wordsOf(held));
    return { lost: lost.map(Number), wanted: wanted === "1" };
  }

  async release(scope: BlockScope, held: HeldBlocks): Promise<void> {
    await this.#run(scope, "release", wordsOf(held));
  }

  /** A renewal without blocks gives all back. */
  async close(): Promise<void> {
    const scopes = [...this.#scopes.values()];
    this.#scopes.clear();
    await Promise.all(scopes.map((scope) => this.#run(scope, "renew", [])));
  }

  async #run(scope: BlockScope, operation: string, words: readonly string[]): Promise<string[]> {
    const name = scopeName(scope);
    this.#scopes.set(name, scope);
    const keys = REDIS_KEYS.map((key) => `${this.#prefix}:{${name}}:${key}`);
    const times = [this.ttl, this.#rest].map(String);
    const args = [operation, this.#owner, `${++this.#number}`, ...times, ...words];
    const reply = await this.#evaluate([`${keys.length}`, ...keys, ...args], keys[0] as string);
    if (!Array.isArray(reply)) {
      throw invalid("ERR_INVALID_RETURN_VALUE", `command must answer a list, got ${show(reply)}`);
    }
    const [outcome = "", ...rest] = reply.map(String);
    if (outcome !== "overtaken") return [outcome, ...rest];
    throw new Error(`${operation} was sent twice, or overtaken by a later call`);
  }

  /** The server may not know the script yet, or not any more. */
  async #evaluate(words: readonly string[], key: string): Promise<unknown> {
    try {
      return await this.#command(["EVALSHA", this.#sha1, ...words], key);
    } catch (error) {
      if (!/NOSCRIPT/.test(String(error))) throw error;
      return this.#command(["EVAL", REDIS_SCRIPT, ...words], key);
    }
  }
}

function wordsOf(held: HeldBlocks): string[] {
  return [...held].flatMap(([block, grant]) => [`${block}`, grant]);
}
