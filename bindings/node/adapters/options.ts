// The options of a tool that concern a connection's ends. An adapter hands each to the connector or
// refuses it, and drops none: docs/reference/adapter-options.md has a table for each adapter.

import { wrongValue } from "../../errors.ts";
import type { ConnectTarget } from "../connector/connector.ts";

/** Options of `net.connect` that the connector decides itself, and what each must be instead. */
const REFUSED: Readonly<Record<string, string>> = {
  localPort: "left to the connector",
  hints: "left out: the connector's lookup resolves names",
  autoSelectFamily: "true or left out: the connector tries the addresses of a host in turn",
  autoSelectFamilyAttemptTimeout: "left to attemptDelay of the connector",
};

const REFUSED_NAMES = Object.keys(REFUSED);

/** Values that ask for nothing else than the connector does. */
const HARMLESS: Readonly<Record<string, unknown>> = { hints: 0, autoSelectFamily: true };

/** The options that the connector honours. */
type EndOptions = Pick<ConnectTarget, "family" | "localAddress" | "lookup">;

/**
 * Refuses what the connector would have to ignore.
 * @param more names that this adapter refuses beside those of every adapter.
 * @throws PortError `ERR_INVALID_ARG_VALUE`.
 */
export function refuseIgnored(options: object, more: readonly string[] = []): void {
  for (const name of REFUSED_NAMES) refuse(options, name);
  for (const name of more) refuse(options, name);
}

function refuse(options: object, name: string): void {
  const value = (options as Record<string, unknown>)[name];
  if (value === undefined || value === null || HARMLESS[name] === value) return;
  throw wrongValue(name, REFUSED[name] ?? "left out: the adapter decides it", value);
}

/** The options that the connector honours, as it takes them: Node's own `null` is left out. */
export function endsIn(options: object): EndOptions {
  const { family, localAddress, lookup } = options as Record<keyof EndOptions, never>;
  return {
    family: family ?? undefined,
    localAddress: localAddress ?? undefined,
    lookup: lookup ?? undefined,
  };
}
