// Random offsets. By default from the host's cryptographic source, because a port that an
// attacker can guess is half of a spoofed connection (RFC 6056 § 1); from a seed where a run must
// be repeatable.

/** A source of uniform 32-bit numbers. */
export interface Random {
  next(): number;
}

const POOL_LENGTH = 1024;

/** Cryptographically secure, drawn from the host in pools of 4 KiB. */
export class CryptoRandom implements Random {
  readonly #pool: Uint32Array<ArrayBuffer> = new Uint32Array(POOL_LENGTH);
  #at = POOL_LENGTH;

  next(): number {
    if (this.#at === POOL_LENGTH) this.#refill();
    return this.#pool[this.#at++] as number;
  }

  #refill(): void {
    if (!readDevice(this.#pool)) crypto.getRandomValues(this.#pool);
    this.#at = 0;
  }
}

/** The source for all managers without a seed. Each number is given out once. */
export const cryptoRandom: CryptoRandom = /* @__PURE__ */ new CryptoRandom();

/** The parts of Node that read the random device of Linux. */
interface Host {
  readonly process?: {
    readonly platform?: string;
    getBuiltinModule?(name: "fs"): FileSystem | undefined;
  };
  readonly Bun?: object;
  readonly Deno?: object;
}

interface FileSystem {
  openSync(path: string): number;
  fstatSync(file: number): { isCharacterDevice(): boolean };
  readSync(file: number, into: Uint32Array): number;
  closeSync(file: number): void;
}

const DEVICE = "/dev/urandom";

/**
 * Fills a pool from the kernel's random device. Node's `crypto` is seeded from the same source, but
 * loading it is most of a cold start. Deno would ask its user for permission.
 * @returns whether it has done so: not every host has the device, or lets it be read.
 */
function readDevice(pool: Uint32Array): boolean {
  const { process, Bun, Deno } = globalThis as Host;
  if (process?.platform !== "linux" || Bun !== undefined || Deno !== undefined) return false;
  try {
    const fs = process.getBuiltinModule?.("fs");
    if (fs === undefined) return false;
    const file = fs.openSync(DEVICE);
    try {
      return fs.fstatSync(file).isCharacterDevice() && fs.readSync(file, pool) === pool.byteLength;
    } finally {
      fs.closeSync(file);
    }
  } catch {
    return false;
  }
}

/** Mulberry32: the same seed gives the same numbers. A few of them reveal all others. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** The state, which determines all later numbers. */
  get state(): number {
    return this.#state >>> 0;
  }

  set state(state: number) {
    this.#state = state | 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }
}
