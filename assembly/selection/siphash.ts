// SipHash: a hash of short messages that cannot be predicted without its key. It is the F and the G
// of RFC 6056 § 3.3.3 and § 3.3.4. Source: Aumasson and Bernstein, "SipHash: a fast short-input
// PRF" (2012), with the parameters they recommend, SipHash-2-4.
//
//   key      0 ┌───────┐      message  0 ┌────────┬────────┬───┬────────────────┐
//              │ k0    │                 │ word 0 │ word 1 │ … │ last word      │
//            8 ├───────┤                 └────────┴────────┴───┴────────────────┘
//              │ k1    │                  8 bytes each, little-endian;
//           16 └───────┘                  the last: up to 7 bytes, zeros, length mod 256
//
// A pure function: 2 rounds for each word and 4 at the end, without state.

import { Address } from "../memory/arena";

/**
 * The hash of a message of so many bytes: its whole words lie at `words`, and the up to 7 bytes
 * behind them are the low bytes of `tail`, whose other bytes are zero.
 */
export function sipHash(key: Address, words: Address, bytes: u32, tail: u64): u64 {
  const count = bytes >> 3;
  const last = ((<u64>bytes) << 56) | tail;
  const k0 = load<u64>(key, 0);
  const k1 = load<u64>(key, 8);
  // The paper's constants: "somepseudorandomlygeneratedbytes", in words that begin at the right.
  let v0: u64 = k0 ^ bothHalves(0x736f6d65, 0x70736575);
  let v1: u64 = k1 ^ bothHalves(0x646f7261, 0x6e646f6d);
  let v2: u64 = k0 ^ bothHalves(0x6c796765, 0x6e657261);
  let v3: u64 = k1 ^ bothHalves(0x74656462, 0x79746573);

  // Behind the last word comes the end: a word of zero, four rounds, and a mark in v2.
  for (let index: u32 = 0; index <= count + 1; index++) {
    const isEnd = index > count;
    let word: u64 = isEnd ? 0 : last;
    if (index < count) word = load<u64>(words + ((<usize>index) << 3));
    if (isEnd) v2 ^= 0xff;
    v3 ^= word;
    for (let rounds = isEnd ? 4 : 2; rounds; rounds--) {
      v0 += v1;
      v2 += v3;
      v1 = rotl<u64>(v1, 13) ^ v0;
      v3 = rotl<u64>(v3, 16) ^ v2;
      v0 = rotl<u64>(v0, 32);
      v2 += v1;
      v0 += v3;
      v1 = rotl<u64>(v1, 17) ^ v2;
      v3 = rotl<u64>(v3, 21) ^ v0;
      v2 = rotl<u64>(v2, 32);
    }
    v0 ^= word;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}

function bothHalves(high: u32, low: u32): u64 {
  return ((<u64>high) << 32) | low;
}
