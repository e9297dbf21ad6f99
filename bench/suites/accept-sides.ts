// Accept sides: portwarden's words and the reference model, each with a listener, at accepting
// connections and at what else may be asked of the port. Requests are made for each call, as
// whoever accepts a connection does.

import {
  type Destination,
  type Flags,
  IPV4,
  PortManager,
  type PortRequest,
  TCP,
} from "../../bindings/index.ts";
import {
  ReferencePortManager,
  type ReferenceRequest,
} from "../../test/models/reference-manager.ts";
import type { System } from "../harness/setup.ts";

const ADDRESS = "10.0.0.1";
const PORT = 443;
const NETWORKS: readonly number[] = [IPV4];
const SHARING: Flags = { tupleOnly: true };
const TUPLE_ONLY = 4;

/** Connections come from so many ports of each peer. */
const PER_PEER = 50000;
const PEERS: readonly string[] = Array.from({ length: 22 }, (_, index) => `93.0.0.${index}`);
/** Peers from here on are not connected. */
const FRESH = 20 * PER_PEER;

export const PROBES = [
  "bind-flags0-refused",
  "bind-flags4-ok+release",
  "new-tuple-ReservePort+release",
  "new-tuple-ReserveTuple+release",
] as const;

export type ProbeName = (typeof PROBES)[number];

/** Asks so many times; how many were not refused. */
type Probe = (count: number) => number;

export interface AcceptSide {
  readonly system: System;
  /** Accepts the first `count` connections. */
  accept(count: number): void;
  readonly probes: Readonly<Record<ProbeName, Probe>>;
  /** Descriptors, counters, references. */
  stats(): readonly number[];
  close(): void;
}

// ── portwarden ────────────────────────────────────────────────────────────────────────────

export function words(): AcceptSide {
  const manager = PortManager.open();
  manager.reservePort(listener());
  return {
    system: "words",
    accept(count) {
      for (let index = 0; index < count; index++) manager.reserveTuple(accepted(index));
    },
    probes: {
      "bind-flags0-refused": (count) => {
        let passed = 0;
        for (let index = 0; index < count; index++) if (manager.isAvailable(exclusive())) passed++;
        return passed;
      },
      "bind-flags4-ok+release": (count) => {
        let passed = 0;
        for (let index = 0; index < count; index++) {
          if (manager.reservePort(listener()).release()) passed++;
        }
        return passed;
      },
      "new-tuple-ReservePort+release": (count) => {
        let passed = 0;
        for (let index = 0; index < count; index++) {
          if (manager.reservePort(accepted(FRESH + index)).release()) passed++;
        }
        return passed;
      },
      "new-tuple-ReserveTuple+release": (count) => {
        let passed = 0;
        for (let index = 0; index < count; index++) {
          if (manager.reserveTuple(accepted(FRESH + index)).release()) passed++;
        }
        return passed;
      },
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

function peer(index: number): Required<Destination> {
  const address = PEERS[Math.floor(index / PER_PEER)] as string;
  return { address, port: 1 + (index % PER_PEER) };
}

// ── The reference model ────────────────────────────────────────────────────────────────────────

export function reference(): AcceptSide {
  const manager = new ReferencePortManager();
  const sharing = referenceRequest({ address: "", port: 0 }, TUPLE_ONLY);
  manager.reservePort(sharing, 0);
  return {
    system: "reference",
    accept(count) {
      for (let index = 0; index < count; index++) {
        manager.reserveTuple(referenceRequest(peer(index), TUPLE_ONLY));
      }
    },
    probes: {
      "bind-flags0-refused": (count) => {
        let passed = 0;
        for (let index = 0; index < count; index++) {
          if (manager.isAvailable(referenceRequest({ address: "", port: 0 }, 0))) passed++;
        }
        return passed;
      },
      "bind-flags4-ok+release": (count) => {
        let passed = 0;
        for (let index = 0; index < count; index++) {
          const request = referenceRequest({ address: "", port: 0 }, TUPLE_ONLY);
          if (manager.reservePort(request, 0) > 0 && manager.releasePort(request)) passed++;
        }
        return passed;
      },
      "new-tuple-ReservePort+release": (count) => {
        let passed = 0;
        for (let index = 0; index < count; index++) {
          const request = referenceRequest(peer(FRESH + index), TUPLE_ONLY);
          if (manager.reservePort(request, 0) > 0 && manager.releasePort(request)) passed++;
        }
        return passed;
      },
      "new-tuple-ReserveTuple+release": (count) => {
        let passed = 0;
        for (let index = 0; index < count; index++) {
          const request = referenceRequest(peer(FRESH + index), TUPLE_ONLY);
          if (manager.reserveTuple(request) && manager.releasePort(request)) passed++;
        }
        return passed;
      },
    },
    stats: () => figuresOf(manager.stats()),
    close: () => {},
  };
}

function referenceRequest(destination: Required<Destination>, flags: number): ReferenceRequest {
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

interface PairMetrics {
  readonly descriptors: number;
  readonly counters: number;
  readonly references: number;
}

function figuresOf({ descriptors, counters, references }: PairMetrics): number[] {
  return [descriptors, counters, references];
}
