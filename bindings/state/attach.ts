// Attaching: objects for what is held already.

import { PortError } from "../errors.ts";
import type { Key } from "../requests/parsing.ts";
import { showKey } from "../requests/printing.ts";
import type { Reservation } from "../reservation.ts";
import { keyText } from "./flow-list.ts";
import type { HeldSource } from "./held.ts";

/** The existing object of a reservation that cools down or is in a group. */
export function knownAs(
  { key, port }: { readonly key: Key; readonly port: number },
  { cooling, grouped }: HeldSource,
): Reservation | undefined {
  const text = textOf(key);
  for (const known of [...cooling, ...grouped]) {
    if (known.port !== port || textOf(known.key) !== text) continue;
    if (known.key.group === key.group) return known.id;
  }
  return undefined;
}

/** A description in all of its networks as one text. */
export function textOf(key: Key): string {
  return key.networks.map((network) => keyText(key, network)).join(" ");
}

export function notHeld(key: Key, port: number): PortError {
  return new PortError("ENOENT", "not-found", `nothing is held as ${showKey(key, port)}`);
}
