// SipHash against its reference results, and against the same on big integers.

import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { sipHash } from "../support/siphash.ts";

// The authors' test vectors: the key is 00..0f, the message counts from 00, the length is given.
const REFERENCE: readonly (readonly [number, bigint])[] = [
  [0, 0x726fdb47dd0e0e31n],
  [8, 0x93f5f5799a932462n],
  [15, 0xa129ca6149be45e5n],
  [16, 0x3f2acc7f57c29bdbn],
  [63, 0x958a324ceb064572n],
];

describe("SipHash", () => {
  const KEY_AT = 32_768;
  const MESSAGE_AT = KEY_AT + 16;
  let exports: { memory: WebAssembly.Memory; sipHash(...args: (number | bigint)[]): bigint };

  // The builds do not export it, so the file is compiled alone, as core.wasm is.
  beforeAll(async () => {
    const file = fileURLToPath(new URL("../../assembly/selection/siphash.ts", import.meta.url));
    const baseDir = fileURLToPath(new URL("../..", import.meta.url));
    let binary = new Uint8Array();
    const { error, stderr } = await asc.main([file, "--baseDir", baseDir, "--target", "core"], {
      writeFile: (_name, contents) => {
        binary = new Uint8Array(contents as Uint8Array);
      },
    });
    expect(error, stderr.toString()).toBeNull();
    exports = new WebAssembly.Instance(new WebAssembly.Module(binary)).exports as never;
  });

  function inCore(key: Uint8Array, message: Uint8Array): bigint {
    const bytes = new Uint8Array(exports.memory.buffer);
    bytes.set(key, KEY_AT);
    bytes.set(message, MESSAGE_AT);
    const rest = message.subarray(message.length & ~7);
    const tail = rest.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    return BigInt.asUintN(64, exports.sipHash(KEY_AT, MESSAGE_AT, message.length, tail));
  }

  test.each(REFERENCE)("gives the reference result for %i bytes", (length, expected) => {
    expect(sipHash(counting(16), counting(length))).toBe(expected);
    expect(inCore(counting(16), counting(length))).toBe(expected);
  });

  test("is the same on big integers, for any key and message", () => {
    const key = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(key, fc.uint8Array({ maxLength: 300 }), (key, message) => {
        expect(inCore(key, message)).toBe(sipHash(key, message));
      }),
    );
  });
});

function counting(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => at);
}
