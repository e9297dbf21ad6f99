// Take and free: one port after the other, by each system in its own way and in a loop of its own.
// Where the range is full, taking is refused and nothing is freed.

import { MOST_RECENT, TUPLE_ONLY } from "../../assembly/abi.ts";
import { IPV4, PortError, PortManager, type PortPool, TCP } from "../../bindings/index.ts";
import {
  ReferencePortManager,
  type ReferenceRequest,
} from "../../test/models/reference-manager.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { JsSet } from "../baselines/js-set.ts";
import { JsTcpSharing, JsUdpSharing } from "../baselines/js-sharing.ts";
import { FULL, inPieces, type Scene } from "../harness/range.ts";
import { ADDRESS, referenceRequest } from "../harness/requests.ts";
import type { Contender, System } from "../harness/setup.ts";
import { digestOf } from "../harness/workloads.ts";

/** What the digest has for a search that was refused. */
const REFUSED = 0;

/** How a system does it. */
interface Way {
  /** Takes and frees for each of the offsets `from..to - 1`. */
  loop(offsets: Uint32Array, from: number, to: number): void;
  /** The same for one of them: the port, or `REFUSED`. */
  once(offset: number): number;
  close?(): void;
}

/** How many operations one batch has, where the usual number would take too long. */
export interface Slow {
  readonly operations: number;
}

const OPERATIONS = 4000;
const SMOKE_OPERATIONS = 500;

// ── Handles ───────────────────────────────────────────────────────────────────────────────

/** A pool of portwarden in a scene, and its manager. */
export interface Opened {
  readonly manager: PortManager;
  readonly pool: PortPool;
}

export function open({ transport, shares, first, last, held }: Scene): Opened {
  const manager = PortManager.open({ portRange: { first, last } });
  const plain = manager.pool({ networks: [IPV4], transport, address: ADDRESS });
  for (const port of held) plain.takeAt(port);
  if (!shares) return { manager, pool: plain };
  const pool = manager.pool({
    networks: [IPV4],
    transport,
    address: ADDRESS,
    reuseAddr: true,
    mode: "bind",
  });
  return { manager, pool };
}

export function handles(scene: Scene): Contender {
  const { manager, pool } = open(scene);
  return contender("handles", scene, {
    loop: (offsets, from, to) => {
      for (let index = from; index < to; index++) {
        const port = pool.take(offsets[index] as number);
        if (port > 0) pool.free(port);
      }
    },
    once: onceOf(pool),
    close: () => manager.close(),
  });
}

// ── Words ─────────────────────────────────────────────────────────────────────────────────

export function words(scene: Scene): Contender {
  const { transport } = scene;
  const { manager } = open(scene);
  const reserve = (offset: number): number => {
    try {
      const reservation = scene.shares
        ? manager.reservePort({
            networks: [IPV4],
            transport,
            address: ADDRESS,
            reuseAddr: true,
            offset,
          })
        : manager.reservePort({ networks: [IPV4], transport, address: ADDRESS, offset });
      reservation.release();
      return reservation.port;
    } catch (error) {
      return refusal(error);
    }
  };
  const slow = scene.occupancy === FULL ? { operations: 500 } : undefined;
  return contender(
    "words",
    scene,
    {
      loop: (offsets, from, to) => {
        for (let index = from; index < to; index++) reserve(offsets[index] as number);
      },
      once: reserve,
      close: () => manager.close(),
    },
    slow,
  );
}

/** Words throw where the range is full: making the error is most of the time then. */
function refusal(error: unknown): number {
  if (error instanceof PortError && error.reason === "no-port-available") return REFUSED;
  throw error;
}

// ── The reference model ────────────────────────────────────────────────────────────────────────

export function reference(scene: Scene, slow?: Slow): Contender {
  const { transport, first, last, held } = scene;
  const model = new ReferencePortManager();
  model.setPortRange(first, last);
  for (const port of held) model.reservePort(referenceRequest(port, { transport }), 0);
  const flags = !scene.shares ? 0 : transport === TCP ? TUPLE_ONLY : MOST_RECENT;
  const request: ReferenceRequest = referenceRequest(0, { transport, flags });
  const takeAndFree = (offset: number): number => {
    request.port = 0;
    const port = model.reservePort(request, offset);
    if (port < 0) return REFUSED;
    request.port = port;
    model.releasePort(request);
    return port;
  };
  return contender(
    "reference",
    scene,
    {
      loop: (offsets, from, to) => {
        for (let index = from; index < to; index++) takeAndFree(offsets[index] as number);
      },
      once: takeAndFree,
    },
    slow,
  );
}

// ── JavaScript ────────────────────────────────────────────────────────────────────────────

export function jsSet(scene: Scene, slow?: Slow): Contender {
  const ports = new JsSet(scene.first, scene.last);
  for (const port of scene.held) ports.takeAt(port);
  return contender(
    "js-set",
    scene,
    {
      loop: (offsets, from, to) => {
        for (let index = from; index < to; index++) {
          const port = ports.take(offsets[index] as number);
          if (port > 0) ports.free(port);
        }
      },
      once: onceOf(ports),
    },
    slow,
  );
}

/** The bitmap, or the bitmaps that know what sharing means. */
export function jsBitmap(scene: Scene): Contender {
  if (!scene.shares) return jsPlain(scene);
  return scene.transport === TCP ? jsTcp(scene) : jsUdp(scene);
}

function jsPlain(scene: Scene): Contender {
  const ports = plainBitmap(scene);
  return contender("js-bitmap", scene, {
    loop: (offsets, from, to) => {
      for (let index = from; index < to; index++) {
        const port = ports.take(offsets[index] as number);
        if (port > 0) ports.free(port);
      }
    },
    once: onceOf(ports),
  });
}

function jsTcp(scene: Scene): Contender {
  const ports = tcpSharing(scene);
  return contender("js-bitmap", scene, {
    loop: (offsets, from, to) => {
      for (let index = from; index < to; index++) {
        const port = ports.take(offsets[index] as number);
        if (port > 0) ports.free(port);
      }
    },
    once: onceOf(ports),
  });
}

function jsUdp(scene: Scene): Contender {
  const ports = udpSharing(scene);
  return contender("js-bitmap", scene, {
    loop: (offsets, from, to) => {
      for (let index = from; index < to; index++) {
        const port = ports.take(offsets[index] as number);
        if (port > 0) ports.free(port);
      }
    },
    once: onceOf(ports),
  });
}

export function plainBitmap({ first, last, held }: Scene): JsBitmap {
  const ports = new JsBitmap(first, last);
  for (const port of held) ports.takeAt(port);
  return ports;
}

export function tcpSharing({ first, last, held }: Scene): JsTcpSharing {
  const ports = new JsTcpSharing(first, last);
  for (const port of held) ports.takePlain(port);
  return ports;
}

export function udpSharing({ first, last, held }: Scene): JsUdpSharing {
  const ports = new JsUdpSharing(first, last);
  for (const port of held) ports.takePlain(port);
  return ports;
}

// ── What they have in common ──────────────────────────────────────────────────────────────

function contender(system: System, scene: Scene, way: Way, slow?: Slow): Contender {
  const { offsets, digested } = scene;
  const usual = offsets.length < 10 * OPERATIONS ? SMOKE_OPERATIONS : OPERATIONS;
  const operations = Math.min(slow?.operations ?? usual, usual);
  const run = inPieces(offsets.length, operations, (from, to) => way.loop(offsets, from, to));
  return {
    system,
    operations,
    run,
    digest: () => digestOf(offsets.subarray(0, digested).map((offset) => way.once(offset))),
    close: () => way.close?.(),
  };
}

/** What most of them have. */
interface TakesAndFrees {
  take(offset: number): number;
  free(port: number): boolean;
}

function onceOf(ports: TakesAndFrees): (offset: number) => number {
  return (offset) => {
    const port = ports.take(offset);
    return port > 0 && ports.free(port) ? port : REFUSED;
  };
}
