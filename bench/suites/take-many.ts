// Take many: batches of ports that are taken in one call and freed in another, by those systems
// that know batches, each in a loop of its own. Where the range is full, a batch is one refusal.

import { TCP } from "../../bindings/index.ts";
import { inPieces, type Scene } from "../harness/range.ts";
import type { Contender, System } from "../harness/setup.ts";
import { digestOf } from "../harness/workloads.ts";
import { open, plainBitmap, tcpSharing, udpSharing } from "./take-free.ts";

/** How a system does it. */
interface Way {
  /** Takes and frees a batch for each of the lists `from..to - 1` of offsets. */
  loop(lists: readonly Uint32Array[], from: number, to: number): void;
  close?(): void;
}

/** What all of them have. */
interface TakesAndFreesMany {
  takeMany(ports: Uint16Array, offsets: Uint32Array): number;
  freeMany(ports: Uint16Array): number;
}

const PORTS = 4096;
const SMOKE_PORTS = 512;
/** So many lists of offsets fit the caches, whatever their length. */
const LISTS_MAX = 1024;

/** A pool of portwarden, in batches of a size. */
export function batch(scene: Scene, size: number): Contender {
  const { manager, pool } = open(scene);
  const ports = new Uint16Array(size);
  return contender("batch", scene, ports, pool, {
    loop: (lists, from, to) => {
      for (let index = from; index < to; index++) {
        if (pool.takeMany(ports, lists[index] as Uint32Array) === size) pool.freeMany(ports);
      }
    },
    close: () => manager.close(),
  });
}

/** The bitmap, or the bitmaps that know what sharing means, in batches of a size. */
export function jsBatch(scene: Scene, size: number): Contender {
  if (!scene.shares) return jsPlain(scene, size);
  return scene.transport === TCP ? jsTcp(scene, size) : jsUdp(scene, size);
}

function jsPlain(scene: Scene, size: number): Contender {
  const bitmap = plainBitmap(scene);
  const ports = new Uint16Array(size);
  return contender("js-bitmap batch", scene, ports, bitmap, {
    loop: (lists, from, to) => {
      for (let index = from; index < to; index++) {
        if (bitmap.takeMany(ports, lists[index] as Uint32Array) === size) bitmap.freeMany(ports);
      }
    },
  });
}

function jsTcp(scene: Scene, size: number): Contender {
  const bitmaps = tcpSharing(scene);
  const ports = new Uint16Array(size);
  return contender("js-bitmap batch", scene, ports, bitmaps, {
    loop: (lists, from, to) => {
      for (let index = from; index < to; index++) {
        if (bitmaps.takeMany(ports, lists[index] as Uint32Array) === size) bitmaps.freeMany(ports);
      }
    },
  });
}

function jsUdp(scene: Scene, size: number): Contender {
  const bitmaps = udpSharing(scene);
  const ports = new Uint16Array(size);
  return contender("js-bitmap batch", scene, ports, bitmaps, {
    loop: (lists, from, to) => {
      for (let index = from; index < to; index++) {
        if (bitmaps.takeMany(ports, lists[index] as Uint32Array) === size) bitmaps.freeMany(ports);
      }
    },
  });
}

function contender(
  system: System,
  scene: Scene,
  ports: Uint16Array,
  does: TakesAndFreesMany,
  way: Way,
): Contender {
  const size = ports.length;
  const batches = batchesOf(scene, size);
  const lists = listsOf(scene.offsets, size, batches);
  return {
    system,
    operations: scene.free === 0 ? batches : batches * size,
    run: inPieces(lists.length, batches, (from, to) => way.loop(lists, from, to)),
    digest: () => digestOf(lists.slice(0, batches).flatMap((list) => batchOnce(does, ports, list))),
    close: () => way.close?.(),
  };
}

/** How many batches make a sample: enough ports, or enough refusals. */
function batchesOf({ offsets, free }: Scene, size: number): number {
  const isSmoke = offsets.length < 10 * PORTS;
  const ports = isSmoke ? SMOKE_PORTS : PORTS;
  return free === 0 ? ports / 4 : Math.ceil(ports / size);
}

/** The offsets in lists of a size, some over again where there are too few. */
function listsOf(offsets: Uint32Array, size: number, batches: number): Uint32Array[] {
  const apart = Math.floor(offsets.length / size);
  const length = Math.max(batches, Math.min(apart, LISTS_MAX));
  return Array.from({ length }, (_, index) => {
    const from = (index % apart) * size;
    return offsets.subarray(from, from + size);
  });
}

/** What one batch has taken, and then freed; nothing where it was refused. */
function batchOnce(does: TakesAndFreesMany, ports: Uint16Array, list: Uint32Array): number[] {
  const taken = ports.subarray(0, does.takeMany(ports, list));
  const freed = does.freeMany(taken);
  return [...taken, freed];
}
