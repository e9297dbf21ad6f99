// What snapshots of systems keep: a copy answers as its original, and changed bytes are refused.

import { expect } from "vitest";
import { PortError, type PortGroup, type PortGroups } from "../../bindings/index.ts";
import { type LinuxSystem, verifyLinux } from "../../bindings/linux/system.ts";
import { seal } from "../../bindings/state/bytes.ts";
import type { Build } from "../support/builds.ts";
import { Random } from "./random.ts";

const PAGE = 65_536;
const ENVELOPE = 20;
const CALLS_BEFORE = 150;
const CALLS_AFTER = 250;

/** A system with its sockets, and the groups that they may be in. */
export interface SystemFixture<
  Linux extends Restorable<Socket>,
  Socket extends { readonly id: number },
> {
  readonly linux: Linux;
  sockets: Socket[];
  readonly groups: readonly (PortGroup | undefined)[];
}

interface Restorable<Socket> extends LinuxSystem {
  snapshot(): Uint8Array;
  readonly restored:
    | { readonly sockets: ReadonlyMap<number, Socket>; readonly groups: readonly PortGroups[] }
    | undefined;
}

export interface SystemKind<Fixture> {
  open(build: Build, seed: number): Fixture;
  copy(fixture: Fixture, build: Build): Fixture;
  /** A call that a seed stands for, and what it answers. */
  call(fixture: Fixture, seed: number): string;
  /** All that can be seen. */
  picture(fixture: Fixture): string;
}

/** The same fixture once more, of a restored system. */
export function fixtureIn<Linux extends Restorable<Socket>, Socket extends { readonly id: number }>(
  fixture: SystemFixture<Linux, Socket>,
  linux: Linux,
): SystemFixture<Linux, Socket> {
  verifyLinux(linux);
  if (Buffer.compare(linux.snapshot(), fixture.linux.snapshot()) !== 0) {
    expect.fail("a copy makes another snapshot");
  }
  const known = linux.restored?.sockets;
  const sockets = fixture.sockets.map(({ id }) => known?.get(id) as Socket);
  const [tree] = linux.restored?.groups ?? [];
  const groups = fixture.groups.map((group) => {
    return group === undefined || tree === undefined ? group : tree.get(group.path);
  });
  return { linux, sockets, groups };
}

/** How many calls an original and its copy answered alike. */
export function sideBySide<Fixture extends { readonly linux: LinuxSystem }>(
  kind: SystemKind<Fixture>,
  build: Build,
  seed: number,
  meddle?: (copy: Fixture) => void,
): number {
  const random = new Random(seed);
  const original = kind.open(build, seed);
  for (let call = 0; call < CALLS_BEFORE; call++) kind.call(original, random.u32());
  const copy = kind.copy(original, build);
  meddle?.(copy);
  expect(kind.picture(copy), `seed ${seed}`).toBe(kind.picture(original));
  const [was, is] = [original, copy].map(({ linux }) => linux.stats().memory.used);
  expect(Math.abs((is as number) - (was as number))).toBeLessThan(PAGE);
  for (let call = 0; call < CALLS_AFTER; call++) {
    const salt = random.u32();
    const answers = [kind.call(original, salt), kind.call(copy, salt)];
    if (answers[1] !== answers[0])
      expect(answers[1], `seed ${seed}, call ${call}`).toBe(answers[0]);
    if (call % 125 === 124) expect(kind.picture(copy)).toBe(kind.picture(original));
  }
  verifyLinux(copy.linux);
  original.linux.close();
  copy.linux.close();
  return CALLS_AFTER;
}

/** What a call answers: a number, or the code of the refusal. */
export function answerOf(call: () => unknown): string {
  let answer: unknown;
  const refusal = refusalOf(() => {
    answer = call();
  });
  return refusal?.code ?? (typeof answer === "number" ? `${answer}` : "done");
}

/** The error with which a call is refused. */
export function refusalOf(call: () => unknown): PortError | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (error instanceof PortError) return error;
    throw error;
  }
}

// ── What is no snapshot ───────────────────────────────────────────────────────────────────

type Restore = (changed: Uint8Array) => LinuxSystem;

/** What became of bytes: `"restored"` to something sound, or the reason why not. */
function outcomeOf(restore: Restore, changed: Uint8Array): string {
  try {
    const linux = restore(changed);
    verifyLinux(linux);
    linux.close();
    return "restored";
  } catch (error) {
    if (error instanceof PortError) return error.reason;
    throw error;
  }
}

/** Makes so many refusals that their stacks would take most of the time: they get none. */
export function withoutStacks(refuse: () => void): void {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    refuse();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Bytes that have been flipped or cut are refused. */
export function expectRefused(bytes: Uint8Array, restore: Restore, changes: number): void {
  withoutStacks(() => refuseAll(bytes, restore, changes));
}

function refuseAll(bytes: Uint8Array, restore: Restore, changes: number): void {
  const random = new Random(1);
  for (let change = 0; change < changes; change++) {
    const isCut = change % 10 === 0;
    const changed = isCut ? bytes.slice(0, random.below(bytes.length)) : bytes.slice();
    const at = random.below(Math.max(1, changed.length));
    if (!isCut) changed[at] = (changed[at] as number) ^ (1 << random.below(8));
    const outcome = outcomeOf(restore, changed);
    if (outcome !== "invalid-snapshot") expect.fail(`change ${change}: ${outcome}`);
  }
}

/** What may become of changed bytes: their memory limit may have been changed, too. */
const FORGED: readonly string[] = ["restored", "invalid-snapshot", "no-memory"];

/** What became of changed bytes whose checksum is right, and how often. */
export function outcomesOfForged(
  bytes: Uint8Array,
  magic: number,
  restore: Restore,
  changes: number,
): ReadonlyMap<string, number> {
  const random = new Random(2);
  const outcomes = new Map<string, number>();
  for (let change = 0; change < changes; change++) {
    const content = bytes.slice(ENVELOPE);
    for (let flips = 1 + random.below(3); flips > 0; flips--) {
      const at = random.below(content.length);
      content[at] = (content[at] as number) ^ (1 << random.below(8));
    }
    const outcome = outcomeOf(restore, seal([content], magic));
    if (!FORGED.includes(outcome)) expect.fail(`change ${change}: ${outcome}`);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  return outcomes;
}
