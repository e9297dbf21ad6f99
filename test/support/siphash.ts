// SipHash, once more: on big integers, for tests of the core's own.

/** SipHash-2-4, as Aumasson and Bernstein define it: a key of 16 bytes, a message of any length. */
export function sipHash(key: Uint8Array, message: Uint8Array): bigint {
  const padded = new Uint8Array((message.length & ~7) + 8);
  padded.set(message);
  padded[padded.length - 1] = message.length;
  const constants = new TextEncoder().encode("somepseudorandomlygeneratedbytes");
  const keys = wordsOf(key, true);
  let state = wordsOf(constants, false).map((word, at) => word ^ (keys[at % 2] as bigint));
  const mix = (at: number, word: bigint): void => {
    state[at] = (state[at] as bigint) ^ word;
  };
  for (const word of wordsOf(padded, true)) {
    mix(3, word);
    for (let round = 0; round < 2; round++) state = sipRound(state);
    mix(0, word);
  }
  mix(2, 0xffn);
  for (let round = 0; round < 4; round++) state = sipRound(state);
  return state.reduce((sum, word) => sum ^ word);
}

function sipRound(state: readonly bigint[]): bigint[] {
  let [a = 0n, b = 0n, c = 0n, d = 0n] = state;
  [a, b] = mixed(a, b, 13n);
  [c, d] = mixed(c, d, 16n);
  a = rotated(a, 32n);
  [c, b] = mixed(c, b, 17n);
  [a, d] = mixed(a, d, 21n);
  c = rotated(c, 32n);
  return [a, b, c, d];
}

/** Adds, rotates and mixes two words, four times in a round. */
function mixed(sum: bigint, turned: bigint, by: bigint): [bigint, bigint] {
  const added = BigInt.asUintN(64, sum + turned);
  return [added, rotated(turned, by) ^ added];
}

function rotated(word: bigint, by: bigint): bigint {
  return BigInt.asUintN(64, word << by) | (word >> (64n - by));
}

function wordsOf(bytes: Uint8Array, isLittleEndian: boolean): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const starts = Array.from({ length: bytes.length >> 3 }, (_, at) => at << 3);
  return starts.map((start) => view.getBigUint64(start, isLittleEndian));
}
