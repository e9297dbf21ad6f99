// Plan: what the demo would like to do, cut down to what this machine allows. Each cut is a
// sentence in `leftOut`, so that nobody takes the lesser run for the whole.

import type { PortRange } from "../index.ts";
import { chooseRange, openFiles } from "./limits.ts";
import { canSharePort, usableAddresses } from "./loopback.ts";
import { counted, listed } from "./words.ts";

/** What is asked for on the command line. */
export interface Wishes {
  readonly connections: number;
  /** How many loopback addresses to use, 1..6. */
  readonly addresses: number;
  /** May a local port serve several destinations at once? */
  readonly sharing: boolean;
}

export interface Plan {
  /** Addresses that connections come from. */
  readonly sources: readonly string[];
  /** Addresses to start a server on; one that is named twice gets two. */
  readonly destinations: readonly string[];
  readonly connections: number;
  /** Whether a port serves several destinations at once. */
  readonly sharing: boolean;
  /** The ports that portwarden may pick. */
  readonly range: PortRange;
  /** What was wished for and is not done, in whole sentences. */
  readonly leftOut: readonly string[];
}

/** The machine does not allow the demo at all. */
export class CannotRun extends Error {}

export const ADDRESSES_MAX = 6;
export const CONNECTIONS_MAX = 20_000;
const SOURCES_MAX = 2;
const DESTINATIONS = 4;
// A connection to oneself is two open files.
const FILES_PER_CONNECTION = 2;
// For the servers, and for what Node opens behind our back.
const FILES_SPARE = DESTINATIONS + 12;

/** Looks at the machine, which takes a few milliseconds, and makes a plan. */
export async function makePlan(wishes: Wishes): Promise<Plan> {
  const leftOut: string[] = [];
  const connections = affordable(wishes.connections, leftOut);
  const addresses = await findAddresses(wishes.addresses, leftOut);
  const sources = addresses.slice(-SOURCES_MAX);
  const hosts = addresses.slice(0, DESTINATIONS);
  const destinations = Array.from(
    { length: DESTINATIONS },
    (_, i) => hosts[i % hosts.length] ?? "",
  );

  const sharing = wishes.sharing && (await trySharing(addresses, leftOut));
  if (!wishes.sharing) leftOut.push("Sharing ports between destinations (--no-sharing).");
  // Just enough ports: each serves, for each source, every destination or only one.
  const perPair = Math.ceil(connections / (sources.length * destinations.length));
  const range = chooseRange(sharing ? perPair : perPair * destinations.length);
  return { sources, destinations, connections, sharing, range, leftOut };
}

function affordable(wanted: number, leftOut: string[]): number {
  const files = openFiles();
  if (files === undefined) return wanted;
  const free = files.limit - files.used - FILES_SPARE;
  const most = Math.floor(free / FILES_PER_CONNECTION);
  if (most >= wanted) return wanted;
  const limit =
    `this process may have ${counted(files.limit)} files open, ` +
    `and a connection takes ${FILES_PER_CONNECTION}, one for each end`;
  if (most < 1) throw new CannotRun(`Not one connection can be opened: ${limit}.`);
  leftOut.push(
    `${counted(wanted - most)} of ${counted(wanted)} connections: ${limit} (to raise it: ulimit -n).`,
  );
  return most;
}

async function findAddresses(count: number, leftOut: string[]): Promise<string[]> {
  const wanted = Array.from({ length: count }, (_, index) => `127.0.0.${index + 1}`);
  const usable = await usableAddresses(wanted);
  if (usable.length === 0) throw new CannotRun("This machine has no IPv4 loopback address.");
  const missing = wanted.filter((address) => !usable.includes(address));
  if (missing.length > 0) {
    leftOut.push(`The addresses ${listed(missing)}: this machine does not have them.`);
  }
  if (usable.length < DESTINATIONS) {
    leftOut.push(
      `An address for each server: the ${DESTINATIONS} servers share ${listed(usable)}, each with a port of its own.`,
    );
  }
  if (usable.length < SOURCES_MAX) {
    leftOut.push(`A second address for connections to come from: all come from ${usable[0]}.`);
  }
  return usable;
}

async function trySharing(addresses: readonly string[], leftOut: string[]): Promise<boolean> {
  const source = addresses.at(-1) as string;
  const isShared = await canSharePort(source, addresses[0] as string).catch((error) => {
    throw new CannotRun(`No connection can be opened on this machine: ${error.message}`);
  });
  if (isShared) return true;
  leftOut.push(
    `Sharing ports between destinations: ${process.platform} lets no two sockets of Node have ` +
      "one local address and port.",
  );
  return false;
}
