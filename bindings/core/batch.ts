// Batch: copies between a caller's arrays and the core's memory, a batch at a time.
//
// A view and `set` move a batch in a tenth of a loop's time; below some thirty elements making the
// view takes more time than it saves.

import { wrongType } from "../errors.ts";
import { typedArrayName } from "./brands.ts";

const LOOP_MAX = 32;

// A class of this realm is recognized at once, one of another realm by its name.

/** @throws PortError `ERR_INVALID_ARG_TYPE`. */
export function checkPorts(ports: unknown): void {
  if (ArrayBuffer.isView(ports) && ports instanceof Uint16Array) return;
  if (typedArrayName(ports) === "Uint16Array") return;
  throw wrongType("ports", "a Uint16Array", ports);
}

/** @throws PortError `ERR_INVALID_ARG_TYPE`. */
export function checkOffsets(offsets: unknown): void {
  if (ArrayBuffer.isView(offsets) && offsets instanceof Uint32Array) return;
  if (typedArrayName(offsets) === "Uint32Array") return;
  throw wrongType("offsets", "a Uint32Array", offsets);
}

// One function for each way, because a loop over arrays of two kinds would be slow for either.

/** From a caller's ports into the batch. */
export function portsIn(ports: Uint16Array, at: number, batch: Uint16Array, count: number): void {
  if (count <= LOOP_MAX) {
    for (let index = 0; index < count; index++) batch[index] = ports[at + index] as number;
  } else {
    batch.set(count === ports.length ? ports : ports.subarray(at, at + count));
  }
}

/** From a caller's offsets into the batch. */
export function offsetsIn(
  offsets: Uint32Array,
  at: number,
  batch: Uint32Array,
  count: number,
): void {
  if (count <= LOOP_MAX) {
    for (let index = 0; index < count; index++) batch[index] = offsets[at + index] as number;
  } else {
    batch.set(count === offsets.length ? offsets : offsets.subarray(at, at + count));
  }
}

/** From the batch into a caller's ports. */
export function portsOut(batch: Uint16Array, ports: Uint16Array, at: number, count: number): void {
  if (count <= LOOP_MAX) {
    for (let index = 0; index < count; index++) ports[at + index] = batch[index] as number;
  } else {
    ports.set(firstOf(batch, count), at);
  }
}

// The view that was used last, because most batches have the same length.
let view: Uint16Array = new Uint16Array(0);

function firstOf(batch: Uint16Array, count: number): Uint16Array {
  if (view.length !== count || view.buffer !== batch.buffer) view = batch.subarray(0, count);
  return view;
}
