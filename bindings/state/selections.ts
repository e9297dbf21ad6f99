// Policies of port selection in snapshots: parameters, counters, and the secret where it is wanted.

import type { Core } from "../core/core.ts";
import { cryptoRandom } from "../core/random.ts";
import { checkBoolean, readOptions } from "../requests/checks.ts";
import { type CheckedSelection, POLICIES, type PolicyName, type Selection } from "../selection.ts";
import { badSnapshot, type Reader, type Writer } from "./bytes.ts";

const SECRET_WORDS = 8;

/** The options of a snapshot. */
export interface SnapshotOptions {
  /**
   * Takes along the secret of a keyed selection (`hash`, `double-hash`), so that a restored manager
   * picks as the original would. A program that has it can predict ports: false by default.
   */
  secrets?: boolean | undefined;
}

/** @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`. */
export function checkSnapshotOptions(options: SnapshotOptions): boolean {
  return checkBoolean("secrets", readOptions("options", options, ["secrets"]).secrets);
}

/** A policy as a snapshot has it. */
export interface ReadSelection {
  readonly selection: CheckedSelection;
  readonly counters: readonly number[];
}

export function writeSelection(
  writer: Writer,
  core: Core,
  selection: Selection,
  withSecrets: boolean,
): void {
  const { algorithm, slots, increment, from } = selection.settings;
  writer.byte(POLICIES.indexOf(algorithm));
  writer.count(slots);
  writer.count(increment);
  writer.byte(from === undefined ? 0 : 1);
  writer.word(from ?? 0);
  const counters = selection.slots;
  writer.count(counters);
  for (let slot = 0; slot < counters; slot++) {
    writer.word(core.exports.counterAt(selection.selector, slot) >>> 0);
  }
  const hasSecret = withSecrets && selection.isKeyed;
  writer.byte(hasSecret ? 1 : 0);
  for (let index = 0; hasSecret && index < SECRET_WORDS; index++) {
    writer.word(core.exports.secretAt(selection.selector, index) >>> 0);
  }
}

/** A secret that is not in the snapshot is drawn again, and never from a seed that is. */
export function readSelection(reader: Reader): ReadSelection {
  const algorithm = POLICIES[reader.byte(POLICIES.length - 1)] as PolicyName;
  const slots = reader.count(65536);
  const increment = reader.count(65535);
  if (slots === 0 || increment === 0) throw badSnapshot("a policy has no counter or no step");
  const hasFrom = reader.byte(1) === 1;
  const from = reader.word();
  const counters = reader.list(() => reader.word());
  const hasSecret = reader.byte(1) === 1;
  const secret = Array.from({ length: SECRET_WORDS }, () =>
    hasSecret ? reader.word() : cryptoRandom.next(),
  );
  const own = { algorithm, slots, increment, from: hasFrom ? from : undefined };
  return { selection: { ...own, secret }, counters };
}

/** The counters as they were, in a selection that has just been made. */
export function restoreCounters(
  core: Core,
  selection: Selection,
  counters: readonly number[],
): void {
  if (counters.length !== selection.slots) throw badSnapshot("counters are missing");
  for (const [slot, counter] of counters.entries()) {
    core.exports.setCounter(selection.selector, slot, counter);
  }
}
