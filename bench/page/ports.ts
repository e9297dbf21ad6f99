// Ports: what a scenario needs of a system, whichever it is, and what both say of a port.

import { PortError } from "../../bindings/index.ts";
import type { Drawing } from "./drawing.ts";
import type { Limits } from "./limits.ts";
import type { Answer, Place, Span } from "./protocol.ts";

export interface Ports {
  readonly limits: Limits;
  /** How many connections there are. */
  readonly live: number;
  /** A connection to a destination begins; false: it was refused a port. */
  arrive(destination: number): boolean;
  /** The connection at that place, 0..live - 1, ends; the last one takes its place. */
  leave(index: number): void;
  /** The clock, in milliseconds: what has cooled down long enough is free again. */
  tick(now: number): void;
  readonly range: Span;
  setRange(range: Span): void;
  /** Collects what is held from the core's memory. */
  read(drawing: Drawing): void;
  /** The same of one port by asking the facade: how many hold it, and whether it cools down. */
  ask(port: number): Asked;
  /** Whose block a port is of, from 1 on; 0: no worker's. */
  ownerOf?(port: number): number;
  /** The destinations whose connections hold a port, and those for which it cools down. */
  holdersOf(port: number): { holders: string[]; cooling: string[] };
  /** How requests that name the port would be answered. */
  requests(port: number, place: Place): Answer[];
  close(): void;
}

export interface Asked {
  readonly holders: number;
  readonly isCooling: boolean;
}

export const LOCAL = "10.0.0.1";
export const REMOTE_PORT = 443;

export function remoteAddress(destination: number): string {
  return `192.0.2.${destination + 1}`;
}

export function remoteName(destination: number): string {
  return `${remoteAddress(destination)}:${REMOTE_PORT}`;
}

/** How a request that leaves the choice to the system would be answered, as to this port. */
export function automatic(port: number, ports: Ports, place: Place, fresh: string[]): Answer {
  const range = ports.limits.rangeFrom(place, ports.range);
  const request = "an automatic pick";
  const refuse = (answer: string): Answer => ({ request, isGranted: false, answer });
  if (range === undefined) return refuse("EACCES: the group's range misses that of the system");
  if (port < range.first || port > range.last) {
    return refuse(`passes over it: outside ${range.first}..${range.last}`);
  }
  if (ports.limits.reserved.has(port)) return refuse("passes over it: reserved");
  if (fresh.length === 0) return refuse("passes over it: taken towards every destination");
  return { request, isGranted: true, answer: `may find it, towards ${listed(fresh)}` };
}

/** Does something that is undone at once, and answers its outcome. */
export function attempt(request: string, run: () => void): Answer {
  try {
    run();
    return { request, isGranted: true, answer: "would be granted" };
  } catch (error) {
    if (error instanceof PortError) {
      // The code stands in front of the message only in some hosts.
      const { code, message } = error;
      const answer = message.startsWith(code) ? message : `${code}: ${message}`;
      return { request, isGranted: false, answer };
    }
    throw error;
  }
}

/** Some names, and how many more there are. */
export function listed(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most).join(", ");
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
