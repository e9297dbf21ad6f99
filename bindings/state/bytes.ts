// Bytes of a snapshot: numbers of variable length (LEB128), little-endian ones of fixed length, and
// texts; written into a buffer that grows, and read with a check of every step.

import { PortError } from "../errors.ts";

/** Why a snapshot cannot be restored. */
export function badSnapshot(why: string): PortError {
  return new PortError("EINVAL", "invalid-snapshot", `the snapshot cannot be restored: ${why}`);
}

/**
 * Turns the refusal of an argument that came from the snapshot into the error of a bad snapshot.
 */
export function blameSnapshot(error: unknown): unknown {
  if (!(error instanceof PortError) || error.reason === "invalid-snapshot") return error;
  const isBad = error.code === "EINVAL" || error.code.startsWith("ERR_");
  return isBad ? badSnapshot(error.message) : error;
}

/** Reads from a snapshot, or opens what it describes; a refused argument means a bad snapshot. */
export function blamed<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw blameSnapshot(error);
  }
}

const SHORT = 64;
const ROOM = 1024;

export class Writer {
  /** The full buffers, in front of the one that is being written. */
  readonly #parts: Uint8Array[] = [];
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  /** @param room how many bytes can be written before it grows. */
  constructor(room: number = ROOM) {
    this.#bytes = new Uint8Array(room);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** A whole number, 0..2^32-1: a byte for each seven bits. */
  count(value: number): void {
    let left = value;
    this.#room(5);
    for (; left > 127; left >>>= 7) this.#bytes[this.#at++] = (left & 127) | 128;
    this.#bytes[this.#at++] = left;
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = value;
  }

  short(value: number): void {
    this.#room(2);
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  word(value: number): void {
    this.#room(4);
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  float(value: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }

  text(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.count(bytes.length);
    this.raw(bytes);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Writes the bytes of another writer, which is finished, after their number. */
  part(other: Writer): void {
    const parts = other.parts();
    this.count(parts.reduce((sum, { length }) => sum + length, 0));
    this.#parts.push(this.#bytes.subarray(0, this.#at), ...parts);
    this.#bytes = this.#bytes.subarray(this.#at);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    this.#at = 0;
  }

  /** A part of other bytes, most often a short one, for which no view is made. */
  copy(bytes: Uint8Array, from: number, length: number): void {
    if (length > SHORT) {
      this.raw(bytes.subarray(from, from + length));
      return;
    }
    this.#room(length);
    for (let at = 0; at < length; at++) this.#bytes[this.#at++] = bytes[from + at] as number;
  }

  /** Ascending ports, each as the distance from the one before. */
  ports(ports: ArrayLike<number>): void {
    this.count(ports.length);
    let before = 0;
    for (let index = 0; index < ports.length; index++) {
      const port = ports[index] as number;
      this.count(port - before);
      before = port;
    }
  }

  /** What has been written: views, one behind the other, valid until the next write. */
  parts(): readonly Uint8Array[] {
    return [...this.#parts, this.#bytes.subarray(0, this.#at)];
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#bytes.length + bytes));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
  }

  /** Where the next byte is. */
  get at(): number {
    return this.#at;
  }

  /** What has been read since that place, as a view. */
  since(at: number): Uint8Array {
    return this.#bytes.subarray(at, this.#at);
  }

  /** How many bytes have not been read. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** @param most the largest number that makes sense. */
  count(most = 0xffffffff): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 28; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return within(value, most);
    }
    throw badSnapshot("a number is too long");
  }

  byte(most = 255): number {
    return within(this.#bytes[this.#step(1)] as number, most);
  }

  short(): number {
    return this.#view.getUint16(this.#step(2), true);
  }

  word(): number {
    return this.#view.getUint32(this.#step(4), true);
  }

  float(): number {
    const value = this.#view.getFloat64(this.#step(8), true);
    if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
    throw badSnapshot(`${value} is no time`);
  }

  text(): string {
    return new TextDecoder().decode(this.raw(this.count()));
  }

  /** Throws unless all bytes have been read. */
  end(): void {
    if (this.left > 0) throw badSnapshot("it goes on behind its end");
  }

  /** The next bytes, as a view. */
  raw(length: number): Uint8Array {
    const start = this.#step(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** A list: a number, and then as many items as it says, each read by `read`. */
  list<T>(read: () => T): T[] {
    const items: T[] = [];
    for (let left = this.count(); left > 0; left--) items.push(read());
    return items;
  }

  ports(): Uint16Array {
    const ports = new Uint16Array(this.count(65535));
    let port = 0;
    for (let index = 0; index < ports.length; index++) {
      const step = this.count(65535);
      port = within(port + step, 65535);
      if (step === 0) throw badSnapshot("a port comes twice");
      ports[index] = port;
    }
    return ports;
  }

  #step(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#bytes.length) throw badSnapshot("it ends too soon");
    this.#at += bytes;
    return at;
  }
}

function within(value: number, most: number): number {
  if (value <= most) return value;
  throw badSnapshot(`${value} is more than ${most}`);
}

// ── The envelope ──────────────────────────────────────────────────────────────────────────
//
//   byte  0 ┌────────────┐
//           │ magic  u32 │  of what it is
//         4 ├────────────┤
//           │ version u32│
//         8 ├────────────┤
//           │ length u32 │  of the whole
//        12 ├────────────┤
//           │ sums 2 u32 │  of all bytes but these
//        20 ├────────────┤
//           │ content    │
//           ╵            ╵

/** "PWSN": of a PortManager. */
const MANAGER = 0x4e535750;
/** "PWLX": of a LinuxPorts by the rules of 6.18. */
export const LINUX = 0x584c5750;
/** "PWL2": of one by the rules of 2.6.32. */
export const LINUX_2632 = 0x324c5750;
const KINDS = new Map([
  [MANAGER, "a PortManager"],
  [LINUX, "a LinuxPorts by the rules of 6.18"],
  [LINUX_2632, "a LinuxPorts by the rules of 2.6.32"],
]);
const VERSION = 4;
const SUMS = 12;
/** Where the content begins. */
const CONTENT = 20;

/** Puts the content into an envelope: views, one behind the other. */
export function seal(parts: readonly Uint8Array[], magic: number = MANAGER): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, CONTENT));
  const view = new DataView(bytes.buffer);
  let at = CONTENT;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  view.setUint32(0, magic, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, bytes.length, true);
  for (const [index, sum] of sumsOf(bytes).entries()) view.setUint32(SUMS + 4 * index, sum, true);
  return bytes;
}

/**
 * The content of a snapshot.
 * @throws PortError `EINVAL` (`invalid-snapshot`): it is none, of another version, cut, or changed.
 */
export function unseal(bytes: Uint8Array, magic: number = MANAGER): Reader {
  if (bytes.length < CONTENT) throw badSnapshot(`it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = view.getUint32(0, true);
  if (found !== magic) throw badSnapshot(otherKind(found));
  const version = view.getUint32(4, true);
  if (version !== VERSION) throw badSnapshot(`its version is ${version}, and ${VERSION} is known`);
  const length = view.getUint32(8, true);
  if (length !== bytes.length) throw badSnapshot(`${bytes.length} bytes of ${length} are there`);
  const isSame = sumsOf(bytes).every((sum, at) => sum === view.getUint32(SUMS + 4 * at, true));
  if (!isSame) throw badSnapshot("its checksum is wrong");
  return new Reader(bytes, CONTENT);
}

function otherKind(magic: number): string {
  const kind = KINDS.get(magic);
  return kind === undefined ? "these bytes are no snapshot" : `it is one of ${kind}`;
}

/**
 * Two sums over the words of all bytes but the sums themselves. Each step is a bijection, so a
 * change within one word changes both.
 */
function sumsOf(bytes: Uint8Array): Uint32Array {
  const aligned = (bytes.byteOffset & 3) === 0 ? bytes : bytes.slice();
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
  const sums = new Int32Array([0x811c9dc5, 0x9e3779b9]);
  addTo(sums, words, 0, SUMS >> 2);
  addTo(sums, words, CONTENT >> 2, words.length);
  addTo(sums, Int32Array.of(lastOf(bytes)), 0, 1);
  return new Uint32Array(sums.buffer);
}

/** In 32-bit numbers from beginning to end, as there are millions of words. */
function addTo(sums: Int32Array, words: Int32Array, from: number, to: number): void {
  let [one = 0, other = 0] = sums;
  for (let at = from; at < to; at++) {
    const word = words[at] as number;
    one = Math.imul(one ^ word, 0x01000193);
    one ^= one >>> 15;
    other = Math.imul(((other << 5) | (other >>> 27)) ^ word, 0x85ebca6b);
  }
  sums[0] = one;
  sums[1] = other;
}

/** The last bytes, which make no whole word. */
function lastOf(bytes: Uint8Array): number {
  return bytes.subarray(bytes.length & ~3).reduce((word, byte) => (word << 8) | byte, 0);
}
