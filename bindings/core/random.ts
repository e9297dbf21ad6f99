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
    crypto.getRandomValues(this.#pool);
    this.#at = 0;
  }
}

/** Mulberry32: the same seed gives the same numbers. A few of them tell all others. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** All that decides about the numbers to come. */
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
