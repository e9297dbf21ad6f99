// Host list: which blocks of a Linux network namespace are leased, as far as the kernel's list of
// Unix sockets shows. It is read for all scopes at once, and takes about 2 microseconds for each
// socket: so it is kept for a while, and what this thread sees meanwhile is noted. A block that it
// names may be free by now, and one that it does not name may be leased; only an attempt to lease
// it shows.

import { builtin } from "../builtin.ts";
import { type BlockScope, scopeName } from "./block-store.ts";
import { HOST_PREFIX } from "./host-name.ts";

const NAMES_FILE = "/proc/net/unix";
const MARK = ` @${HOST_PREFIX}`;
const NAME = /^((?:tcp|udp)\/[\da-f.:]+)\/(\d+)\/\.*$/;
/** Reading takes this part of a thread's time at most. */
const SHARE = 1 / 100;
const KEPT_MS_LEAST = 2;

/** By scope: the blocks, and the inode of each one's socket. */
type Names = Map<string, Map<number, number>>;

class HostList {
  #names: Names = new Map();
  #freshUntil = Number.NEGATIVE_INFINITY;

  /** Would {@link taken} not read it now? */
  get isFresh(): boolean {
    return performance.now() < this.#freshUntil;
  }

  /** The blocks of a scope that are leased; none: no block of it is. */
  taken(scope: BlockScope): { has(block: number): boolean } | undefined {
    if (!this.isFresh) this.#read();
    return this.#names.get(scopeName(scope));
  }

  /** Notes that a process has the block. */
  note(scope: BlockScope, block: number): void {
    const name = scopeName(scope);
    const blocks = this.#names.get(name) ?? new Map<number, number>();
    this.#names.set(name, blocks.set(block, 0));
  }

  /** Notes that no process has the block any more. */
  forget(scope: BlockScope, block: number): void {
    this.#names.get(scopeName(scope))?.delete(block);
  }

  /** Has the list read again the next time. */
  expire(): void {
    this.#freshUntil = Number.NEGATIVE_INFINITY;
  }

  #read(): void {
    const began = performance.now();
    this.#names = parseNames(namesText());
    const now = performance.now();
    this.#freshUntil = now + Math.max(KEPT_MS_LEAST, (now - began) / SHARE);
  }
}

/** The list of this thread. */
export const HOST_LIST: HostList = new HostList();

/** The blocks that a text of /proc/net/unix names, with the inode of each, by scope. */
export function parseNames(text: string): Names {
  const found: Names = new Map();
  // Lines are long, and few of them name a block.
  for (let at = text.indexOf(MARK); at >= 0; at = text.indexOf(MARK, at + 1)) {
    const end = text.indexOf("\n", at);
    const name = text.slice(at + MARK.length, end < 0 ? undefined : end);
    const [, scope = "", block] = NAME.exec(name) ?? [];
    if (block === undefined) continue;
    const inode = Number(text.slice(text.lastIndexOf(" ", at - 1) + 1, at));
    const blocks = found.get(scope) ?? new Map<number, number>();
    // A connection to a listener has its name too, and comes later.
    if (!blocks.has(Number(block))) blocks.set(Number(block), inode);
    found.set(scope, blocks);
  }
  return found;
}

function namesText(): string {
  try {
    return builtin("fs").readFileSync(NAMES_FILE, "utf8");
  } catch {
    return ""; // then each block is tried
  }
}
