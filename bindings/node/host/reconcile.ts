// Reconciling: compares the ports that a connector holds with the sockets that the host lists, as
// Kubernetes compares its allocations with the existing services.
//
//   held here, no socket      missing    given back, if that was so a second before as well
//   a socket, not held here   foreign    quarantined, as Connector.refresh does
//
// A port that has just been picked has no socket yet, and one whose connection has just been reset
// has none any more: only time tells a lost port from those.

import { TCP, UDP } from "../../index.ts";
import { checkBoolean, readOptions } from "../../requests/checks.ts";
import type { ConnectorSettings } from "../connector/connector-options.ts";
import type { Pair } from "../sources/pair.ts";
import type { PairTable } from "../sources/pair-table.ts";
import { withoutZone } from "../sources/source.ts";
import { type HostState, type HostTransport, readHostState } from "./host-state.ts";
import { type ForeignSocket, foreignSockets, quarantineOccupied } from "./occupied-ports.ts";

/** Options of {@link Connector.reconcile}. */
export interface ReconcileOptions {
  /** Corrects the differences; by default they are only reported. */
  fix?: boolean | undefined;
}

/** A port in which a connector and the host differ. */
export interface PortDifference {
  readonly transport: HostTransport;
  /** The local address. */
  readonly source: string;
  readonly port: number;
  /** The remote end; none of a UDP socket, nor of one that listens. */
  readonly destination: { readonly address: string; readonly port: number } | undefined;
}

/** The findings of {@link Connector.reconcile}. */
export interface Reconciliation {
  /** Does the host list its sockets? If not, nothing has been compared. */
  readonly compared: boolean;
  /** Ports that the connector holds for a connection, and that no socket has. */
  readonly missing: readonly PortDifference[];
  /** Sockets on ports that the connector would pick: of other programs, as a rule. */
  readonly foreign: readonly PortDifference[];
  /** How many lost ports have been given back. */
  readonly fixed: number;
}

/** A port counts as lost when it has been missing for so many milliseconds. */
const LOST_MS = 1000;

/** Remembers which ports were missing at the last comparison. */
export class Reconciler {
  #missingSince = new Map<string, number>();

  /** @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`. */
  reconcile(
    options: ReconcileOptions,
    pairs: PairTable,
    { portRange, quarantine }: Pick<ConnectorSettings, "portRange" | "quarantine">,
  ): Reconciliation {
    const fix = checkBoolean("fix", readOptions("options", options, ["fix"]).fix);
    const host = readHostState();
    const foreign = [...foreignSockets(host, pairs, portRange)];
    if (fix) quarantineOccupied(foreign, pairs.now() + quarantine);
    return this.#compare(host, pairs, foreign, fix);
  }

  #compare(
    host: HostState,
    pairs: PairTable,
    foreign: readonly ForeignSocket[],
    fix: boolean,
  ): Reconciliation {
    const sockets = keysOf(host);
    const missing: PortDifference[] = [];
    const since = new Map<string, number>();
    const now = pairs.now();
    let fixed = 0;
    for (const pair of pairs.pairs()) {
      if (host[transportOf(pair)] === undefined) continue;
      for (const port of pair.pool.ports()) {
        const key = keyOfPair(pair, port);
        if (pair.quarantined.has(port) || sockets.has(key)) continue;
        const first = this.#missingSince.get(key) ?? now;
        missing.push(differenceOf(pair, port));
        if (fix && now - first >= LOST_MS) {
          pairs.giveBackLost(pair, port);
          fixed++;
        } else {
          since.set(key, first);
        }
      }
    }
    this.#missingSince = since;
    const isKnown = host.tcp !== undefined || host.udp !== undefined;
    return { compared: isKnown, missing, foreign: foreign.map(ofForeign), fixed };
  }
}

function transportOf({ destination }: Pair): HostTransport {
  return destination.transport === UDP ? "udp" : "tcp";
}

function differenceOf(pair: Pair, port: number): PortDifference {
  const { address, port: remotePort } = pair.destination;
  const transport = transportOf(pair);
  const destination = transport === "tcp" ? { address, port: remotePort } : undefined;
  return { transport, source: pair.source.address, port, destination };
}

function ofForeign({ transport, source, row }: ForeignSocket): PortDifference {
  const { port, remoteAddress: address, remotePort } = row;
  const destination = remotePort === 0 ? undefined : { address, port: remotePort };
  return {
    transport: transport === TCP ? "tcp" : "udp",
    source: source.address,
    port,
    destination,
  };
}

// The key of a socket by the ends that a pair knows. Of a wildcard source the route decides the
// address.

function keyOfPair({ source, destination }: Pair, port: number): string {
  const local = source.isWildcard ? "" : source.bare;
  return destination.transport === UDP
    ? `udp ${local} ${port}`
    : `tcp ${local} ${port} ${withoutZone(destination.address)} ${destination.port}`;
}

function keysOf({ tcp = [], udp = [] }: HostState): ReadonlySet<string> {
  const keys = new Set<string>();
  for (const { address, port, remoteAddress, remotePort } of tcp) {
    for (const local of ["", address]) {
      keys.add(`tcp ${local} ${port} ${remoteAddress} ${remotePort}`);
    }
  }
  for (const { address, port } of udp) {
    for (const local of ["", address]) keys.add(`udp ${local} ${port}`);
  }
  return keys;
}
