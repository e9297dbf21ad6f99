// Holders: which objects are in a group. Managers and systems of ports tell that themselves. They
// are listed here by their core, in weak references, so that they can become garbage.

import type { Core } from "../core/core.ts";
import { PortError } from "../errors.ts";
import type { Linux2632Record } from "../linux/rules/2.6.32/record.ts";
import type { LinuxRecord } from "../linux/rules/6.18/record.ts";
import type { HeldPort } from "../state/held-port.ts";
import type { PortGroup } from "./group.ts";

/** A port that a manager holds for the group, or a socket that is in it. */
export type GroupHolder = HeldPort | LinuxRecord | Linux2632Record;

/** The holders of an object, unless it has become garbage. */
type Source = () => ((group: PortGroup) => Iterable<GroupHolder>) | undefined;

const sources = new WeakMap<Core, Set<Source>>();

/** Lists an object that is asked for the holders in a group, until it becomes garbage. */
export function tellHolders<T extends object>(
  core: Core,
  teller: T,
  holdersOf: (teller: T, group: PortGroup) => Iterable<GroupHolder>,
): void {
  const known = sources.get(core) ?? new Set<Source>();
  sources.set(core, known);
  if ((known.size & (known.size - 1)) === 0) dropForgotten(known);
  known.add(sourceOf(weakly(teller), holdersOf));
}

/** A function of its own, so that no closure keeps the object alive. */
function weakly<T extends object>(teller: T): Pick<WeakRef<T>, "deref"> {
  // A host without WeakRef keeps all objects alive.
  return typeof WeakRef === "function" ? new WeakRef(teller) : { deref: () => teller };
}

function sourceOf<T extends object>(
  ref: Pick<WeakRef<T>, "deref">,
  holdersOf: (teller: T, group: PortGroup) => Iterable<GroupHolder>,
): Source {
  return () => {
    const found = ref.deref();
    return found && ((group) => holdersOf(found, group));
  };
}

/**
 * The holders in a group itself, not in the groups below it. Closed managers and systems have none.
 */
export function* holdersIn(core: Core, group: PortGroup): Generator<GroupHolder> {
  for (const source of [...(sources.get(core) ?? [])]) {
    try {
      yield* source()?.(group) ?? [];
    } catch (error) {
      if (!(error instanceof PortError) || error.code !== "EBADF") throw error;
    }
  }
}

function dropForgotten(known: Set<Source>): void {
  for (const source of known) if (source() === undefined) known.delete(source);
}
