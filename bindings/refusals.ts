// Refusals: what the port manager's core refused, as errors that say what was asked and searched.

import {
  EMPTY_RANGE,
  EXHAUSTED,
  GROUP_BIND,
  GROUP_CONNECT,
  NO_MEMORY,
  OUTSIDE_GROUP,
} from "../assembly/abi.ts";
import { noMemory, PortError } from "./errors.ts";
import { explainEmpty, type PortGroup } from "./groups/group.ts";
import { ANY } from "./requests/address.ts";
import type { Key } from "./requests/parsing.ts";
import { addressText, showKey } from "./requests/printing.ts";
import { type PortRange, showRange } from "./requests/range.ts";

/** The outcome of a request. */
export interface Outcome {
  /** The port that is held, or a refusal. */
  readonly answer: number;
  readonly key: Key;
  /** The explicit port, or 0. */
  readonly port: number;
  /** The range that was searched. */
  readonly searched?: PortRange | undefined;
  /** Did the selection draw single ports, so that it may have missed some? */
  readonly isDrawn?: boolean | undefined;
  /** How many ports the tester refused. */
  readonly refusedByTester?: number | undefined;
  /** The epoch of releases by filter when the port was taken; `undefined`: now. */
  readonly since?: number | undefined;
}

/** A refused request, as an error. */
export function refused(outcome: Outcome, limit: number): PortError {
  const { answer, key, port } = outcome;
  if (answer === NO_MEMORY) return noMemory(`${showKey(key, port)}, limit ${limit} bytes`);
  if (answer === OUTSIDE_GROUP || answer === EMPTY_RANGE) return outsideGroup(outcome);
  if (answer === EXHAUSTED) return exhausted(outcome);
  const why = outcome.refusedByTester ? "the tester refused it" : "the port is taken";
  const details = { syscall: "bind", address: addressText(key), port };
  return new PortError("EADDRINUSE", "port-in-use", `${why}: ${showKey(key, port)}`, details);
}

/** The group does not allow the explicit port, or any port of the range to be searched. */
function outsideGroup({ answer, key, port, searched }: Outcome): PortError {
  const kind = isConnect(key) ? GROUP_CONNECT : GROUP_BIND;
  const asked = searched ?? { first: port, last: port };
  const why = explainEmpty(key.group as PortGroup, kind, asked);
  const reason = answer === OUTSIDE_GROUP ? "outside-group" : "empty-range";
  const range = searched === undefined ? {} : { searched };
  const details = { syscall: syscallOf(key), address: addressText(key), port, ...range };
  return new PortError("EACCES", reason, `${showKey(key, port)}: ${why}`, details);
}

/** No port of the range that was searched can be had. */
function exhausted(outcome: Outcome): PortError {
  const { key, searched } = outcome;
  return new PortError(
    isConnect(key) ? "EADDRNOTAVAIL" : "EADDRINUSE",
    "no-port-available",
    `no port is available: ${showKey(key, 0)}, ${whyExhausted(outcome)}`,
    { syscall: syscallOf(key), address: addressText(key), port: 0, searched },
  );
}

function whyExhausted({ key, searched, isDrawn, refusedByTester = 0 }: Outcome): string {
  const { first, last } = searched as PortRange;
  const count = last - first + 1;
  const range = showRange({ first, last });
  const taken = key.reserved === undefined ? "taken" : "taken or reserved";
  if (isDrawn) {
    const but = refusedByTester > 0 ? `; the tester refused ${refusedByTester}` : "";
    return `none of ${count} draws from ${range} met a port that is not ${taken}${but}`;
  }
  if (refusedByTester === 0) return `all ${count} of ${range} are ${taken}`;
  if (refusedByTester === count) return `the tester refused all ${count} of ${range}`;
  const others = count - refusedByTester;
  const are = others === 1 ? "the other is" : `the other ${others} are`;
  return `the tester refused ${refusedByTester} of ${range}, and ${are} ${taken}`;
}

function isConnect(key: Key): boolean {
  return key.destination !== ANY;
}

function syscallOf(key: Key): string {
  return isConnect(key) ? "connect" : "bind";
}
