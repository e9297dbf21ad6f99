// Accepts: one port with a listener and very many accepted connections, all TupleOnly. What a bind
// to that port costs, or one connection more, must not depend on how many there are. Requests are
// made for each call, as a stack that accepts a connection does.

import { TUPLE_ONLY } from "../../assembly/abi.ts";
import { IPV4, PortManager, type PortRequest, TCP } from "../../bindings/index.ts";
import {
  ReferencePortManager,
  type ReferenceRequest,
} from "../../test/models/reference-manager.ts";
import { ADDRESS } from "../harness/allocators.ts";
import { copyFor } from "../harness/loops.ts";
import type { Sampling } from "../harness/measure.ts";
import { type Checked, checked, runOnce } from "../harness/phases.ts";
import type { RowKey, Session, System } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";
import { digestOf } from "../harness/workloads.ts";
import { ACCEPTS } from "../recorded/gvisor.ts";

const PORT = 443;
const PER_PEER = 50000;
/** Connections from here on have not been accepted. */
const FRESH = 20 * PER_PEER;
const BATCH = 1000;
/** Enough for digests, and for the reference model where it walks over a million. */
const FEW = 10;
/** A connection that a listener accepts and closes, among a million. */
const LISTENER_NS = 250;
const SAMPLING: Sampling = { rounds: 100, milliseconds: 200 };

interface Probe {
  /** How often what a thousand cost a million may cost at most. */
  readonly atMost: number;
  /** Does the reference model look at every connection? */
  readonly isWalk: boolean;
}

type ProbeName = Exclude<keyof typeof ACCEPTS, "accept">;

const PROBES: Readonly<Record<ProbeName, Probe>> = {
  "exclusive bind, refused": { atMost: 2, isWalk: false },
  "bind with the listener's flags": { atMost: 2, isWalk: true },
  "reservePort of a new tuple": { atMost: 6, isWalk: true },
  "reserveTuple of a new tuple": { atMost: 6, isWalk: false },
};
const TUPLE = "reserveTuple of a new tuple";
const NAMES = Object.keys(PROBES) as ProbeName[];

export const acceptsSuite: Suite = {
  title: "one port with a listener and a thousand or a million accepted connections",
  run(session) {
    runAmong(session, "a thousand", session.smoke ? 100 : 1000);
    runAmong(session, "a million", session.smoke ? 2000 : 1_000_000);
    for (const name of NAMES) {
      const among = (size: string): number =>
        session.median(keyOf(`${name}, among ${size}`), "reservations");
      const value = among("a million") / among("a thousand");
      const { atMost } = PROBES[name];
      session.check({ name: `accepts/${name}: a million over a thousand`, value, atMost });
    }
    const key = keyOf(`${TUPLE}, among a million`);
    const value = session.median(key, "listener") / session.median(key, "reservations");
    session.check({ name: `accepts/${TUPLE}: listener over reservations`, value, atMost: 0.75 });
    const listener = session.median(key, "listener");
    session.check({ name: `${TUPLE} by a listener, ns`, value: listener, atMost: LISTENER_NS });
  },
};

/** All rows with so many connections. */
function runAmong(session: Session, size: string, count: number): void {
  const isMany = count > 1000;
  const ours = new Listener(openReservations, count);
  const model = new Listener(openReferenceModel, count);
  const accept = keyOf(`accept, ${size}`);
  if (isMany) {
    session.compare(accept, [ours.accepting()], { rounds: 3 });
    // A million take the reference model some seconds.
    runOnce(session, accept, model.accepting());
    session.keepOne(accept, "gVisor (recorded)", ACCEPTS.accept);
  } else session.compare(accept, [ours.accepting(), model.accepting()], SAMPLING);
  for (const name of NAMES) {
    const key = keyOf(`${name}, among ${size}`);
    const isSlow = PROBES[name].isWalk && isMany;
    const reference = model.probing(name, isSlow ? FEW : BATCH);
    const works = [ours.probing(name, BATCH), isSlow ? { ...reference, most: 3 } : reference];
    if (name === TUPLE) works.unshift({ ...ours.probing("accept", BATCH), system: "listener" });
    session.compare(key, works, SAMPLING);
    if (isMany) session.keepOne(key, "gVisor (recorded)", ACCEPTS[name]);
  }
  ours.close();
  model.close();
}

function keyOf(workload: string): RowKey {
  return { suite: "accepts", workload };
}

/** A system that has accepted so many connections, or is about to. */
class Listener {
  readonly #count: number;
  readonly #open: () => Side;
  #side: Side;

  constructor(open: () => Side, count: number) {
    this.#open = open;
    this.#count = count;
    this.#side = open();
  }

  /** Accepting all of them, from none; leaves them held. */
  accepting(): Checked {
    return checked(this.#side.system, this.#count, {
      prepare: () => {
        this.close();
        this.#side = this.#open();
      },
      run: () => this.#side.accept(this.#count),
      seen: () => digestOf(this.#side.stats()),
    });
  }

  /** Whether the requests are granted, and that nothing is left of them. */
  probing(name: ProbeName | "accept", operations: number): Checked {
    const side = this.#side;
    const probe = name === "accept" ? side.byHandle : side.probes[name];
    const loop = copyFor(`${side.system}, ${name}`, countGranted);
    const run = (): void => void loop(probe, operations);
    const seen = (): string => digestOf([loop(probe, FEW), ...side.stats()]);
    const work = checked(side.system, operations, { prepare: () => {}, run, seen });
    return { ...work, digest: seen };
  }

  close(): void {
    this.#side.close();
  }
}

/** A system with a listener. */
interface Side {
  readonly system: System;
  accept(count: number): void;
  /** Asks for something, and gives it back; whether it was granted. */
  readonly probes: Readonly<Record<ProbeName, (index: number) => boolean>>;
  /** The same for a tuple, by a listener handle where there is one. */
  readonly byHandle: (index: number) => boolean;
  /** Descriptors, counters, references. */
  stats(): readonly number[];
  close(): void;
}

function countGranted(probe: (index: number) => boolean, count: number): number {
  let granted = 0;
  for (let index = 0; index < count; index++) if (probe(index)) granted++;
  return granted;
}

function figuresOf({ descriptors, counters, references }: Figures): number[] {
  return [descriptors, counters, references];
}

type Figures = Readonly<Record<"descriptors" | "counters" | "references", number>>;

// ── portwarden ────────────────────────────────────────────────────────────────────────────

const NETWORKS = [IPV4];
const SHARING = { tupleOnly: true };

function openReservations(): Side {
  const manager = PortManager.open();
  manager.reservePort(listener());
  const handle = manager.listener(listener());
  return {
    system: "reservations",
    accept(count) {
      for (let index = 0; index < count; index++) manager.reserveTuple(accepted(index));
    },
    probes: {
      "exclusive bind, refused": () => manager.isAvailable(exclusive()),
      "bind with the listener's flags": () => manager.reservePort(listener()).release(),
      "reservePort of a new tuple": (index) =>
        manager.reservePort(accepted(FRESH + index)).release(),
      "reserveTuple of a new tuple": (index) =>
        manager.reserveTuple(accepted(FRESH + index)).release(),
    },
    byHandle(index) {
      const peer = FRESH + index;
      const address = PEER_BASE + Math.floor(peer / PER_PEER);
      const port = 1 + (peer % PER_PEER);
      return handle.accept(address, port) === PORT && handle.close(address, port);
    },
    stats: () => figuresOf(manager.stats()),
    close: () => manager.close(),
  };
}

function exclusive(): PortRequest {
  return { networks: NETWORKS, transport: TCP, address: ADDRESS, port: PORT };
}

function listener(): PortRequest {
  return { networks: NETWORKS, transport: TCP, address: ADDRESS, port: PORT, flags: SHARING };
}

/** Written out: a request made by spreading another costs several times as much on Node 20. */
function accepted(index: number): PortRequest {
  return {
    networks: NETWORKS,
    transport: TCP,
    address: ADDRESS,
    port: PORT,
    flags: SHARING,
    destination: peer(index),
  };
}

const PEERS = Array.from({ length: 22 }, (_, index) => `93.0.0.${index}`);
/** 93.0.0.0 as a number. */
const PEER_BASE = 93 * 2 ** 24;

function peer(index: number): { address: string; port: number } {
  const address = PEERS[Math.floor(index / PER_PEER)] as string;
  return { address, port: 1 + (index % PER_PEER) };
}

// ── The reference model ───────────────────────────────────────────────────────────────────

function openReferenceModel(): Side {
  const manager = new ReferencePortManager();
  const anywhere = { address: "", port: 0 };
  const reserve = (request: ReferenceRequest): boolean =>
    manager.reservePort(request, 0) > 0 && manager.releasePort(request);
  const reserveTuple = (index: number): boolean => {
    const request = requestOf(peer(FRESH + index), TUPLE_ONLY);
    return manager.reserveTuple(request) && manager.releasePort(request);
  };
  manager.reservePort(requestOf(anywhere, TUPLE_ONLY), 0);
  return {
    system: "reference model",
    accept(count) {
      for (let index = 0; index < count; index++) {
        manager.reserveTuple(requestOf(peer(index), TUPLE_ONLY));
      }
    },
    probes: {
      "exclusive bind, refused": () => manager.isAvailable(requestOf(anywhere, 0)),
      "bind with the listener's flags": () => reserve(requestOf(anywhere, TUPLE_ONLY)),
      "reservePort of a new tuple": (index) => reserve(requestOf(peer(FRESH + index), TUPLE_ONLY)),
      [TUPLE]: reserveTuple,
    },
    byHandle: reserveTuple,
    stats: () => figuresOf(manager.stats()),
    close: () => {},
  };
}

function requestOf(
  destination: { address: string; port: number },
  flags: number,
): ReferenceRequest {
  return {
    networks: NETWORKS,
    transport: TCP,
    address: ADDRESS,
    port: PORT,
    flags,
    device: 0,
    destination,
  };
}
