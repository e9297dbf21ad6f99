// Canaries: a fault in a reference model must be found, and reported in few operations with the
// seed that finds it again. One that is rare among all that is asked for each subject.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ReferenceCooling } from "../models/reference-cooldown.ts";
import type { ReferenceSocket } from "../models/reference-linux.ts";
import { ReferencePortManager, type ReferenceRequest } from "../models/reference-manager.ts";
import { ReferenceUdp } from "../models/reference-udp.ts";
import { replayLinuxFile } from "../replay/files.ts";
import { openReferenceLinux, ReferenceLinux } from "../replay/linux-reference.ts";
import type { OpenLinux, Outcome } from "../replay/linux-system.ts";
import { newCounts } from "../replay/netstack.ts";
import { cooldown } from "./cooldown/subject.ts";
import { expectNoMismatch } from "./expect.ts";
import { type AnySubject, fuzz, type Run } from "./fuzz.ts";
import { linux } from "./linux/subject.ts";
import { netstack } from "./netstack/subject.ts";
import { udp } from "./udp/subject.ts";

const SEED = 5;
const OPERATIONS_MAX = 200_000;
const SESSIONS = 2;
const runs = new Map<() => AnySubject, Promise<Run>>();

/** Grants no tuple more than twice. */
class TwiceAtMost extends ReferencePortManager {
  readonly #granted = new Map<string, number>();

  override reserveTuple(request: ReferenceRequest): boolean {
    const key = JSON.stringify(request);
    const granted = this.#granted.get(key) ?? 0;
    this.#granted.set(key, granted + 1);
    return granted < 2 && super.reserveTuple(request);
  }
}

/** Lets no socket on a device bind to any port. */
class NoDevices extends ReferenceLinux {
  override bind(
    socket: ReferenceSocket,
    address: string,
    port: number,
    random: readonly number[],
  ): Outcome {
    if (port === 0 && socket.device !== 0 && socket.port === 0) return "EADDRINUSE";
    return super.bind(socket, address, port, random);
  }
}

/** Draws once more than it needs. */
class DrawsTwice extends ReferenceUdp {
  constructor(draw: () => number) {
    super(() => draw() + 0 * draw());
  }
}

/** Forgets to cool down a port whose number is a multiple of 16. */
class NeverCool extends ReferenceCooling {
  override coolDown(port: number, now: number): boolean {
    return port % 16 === 0 ? this.free(port) : super.coolDown(port, now);
  }
}

const FAULTS: readonly (readonly [name: string, subject: () => AnySubject, operations: number])[] =
  [
    ["a manager that grants no tuple more than twice", twiceAtMost, 4],
    ["sockets on a device that bind to no port", noDevices, 4],
    ["UDP sockets that draw once more", () => udp("mixed", "release", (d) => new DrawsTwice(d)), 8],
    ["a pool that does not cool down every port", () => cooldown("release", NeverCool), 6],
  ];

function twiceAtMost(): AnySubject {
  return netstack("mixed", "release", () => new TwiceAtMost());
}

function noDevices(): AnySubject {
  return linux("mixed", "release", { model: (hint) => new NoDevices(hint) });
}

test.each(FAULTS)("the fuzzer finds %s", async (_name, subject, operations) => {
  const { failure, roundSeed } = await runOf(subject);
  expect(failure?.report).toMatch(
    new RegExp(`^seed ${roundSeed}, shrunk [0-9]+ times\nMismatch: `),
  );
  expect(failure?.report).toMatch(/: expected .*, got /);
  expect(failure?.operations).toBeLessThanOrEqual(operations);
});

test("the fuzzer reports the setup, each operation and the two answers", async () => {
  const { failure } = await runOf(twiceAtMost);
  const lines = failure?.report.split("\n").map((line) => line.trim()) ?? [];
  expect(lines[1]).toMatch(/^Mismatch: \{"seed":0,"managers":1,/);
  const [one, other] = lines.slice(-3);
  expect(one).toMatch(/^0: tuple \[4\] 17 \*:[0-9]+ flags [1-7]$/);
  expect(other).toBe(one);
  expect(lines.at(-1)).toMatch(/^answer: expected -1, got [0-9]+$/);
});

test("the fuzzer reports sessions on Linux2632Ports as traces that a replay reads", async () => {
  const { failure } = await runOf(noDevices);
  const trace = /as a trace: (.*)/.exec(failure?.report ?? "")?.[1] ?? "";
  expect(await mismatching(trace, openReferenceLinux)).toBe(1);
  expect(await mismatching(trace, (hint) => new NoDevices(hint))).toBe(0);
});

test("operations that do not do what they are for, however many are drawn, are found", async () => {
  const none = expectNoMismatch(cooldown("release"), 200, { nothing: 1 });
  await expect(none).rejects.toThrow("expected [ 'nothing' ]");
  await expectNoMismatch(cooldown("release"), 200, { operations: 300 });
});

test("the fuzzer does the same again from the same seed", async () => {
  const [one, other] = [await someOf(netstack("mixed", "release")), await someOf(linux("mixed"))];
  expect(await someOf(netstack("mixed", "release"))).toEqual(one);
  expect(await someOf(linux("mixed"))).toEqual(other);
});

/** What fuzzing a subject has come to, once for all tests that ask. */
function runOf(subject: () => AnySubject): Promise<Run> {
  const isOver = ({ figures }: Run): boolean => figures.operations >= OPERATIONS_MAX;
  const run = runs.get(subject) ?? fuzz(subject(), { seed: SEED, isOver });
  runs.set(subject, run);
  return run;
}

function someOf(subject: AnySubject): Promise<Run> {
  return fuzz(subject, { seed: SEED, isOver: ({ sessions }) => sessions >= SESSIONS });
}

async function mismatching(trace: string, open: OpenLinux): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), "portwarden-"));
  try {
    const path = join(scratch, "found.jsonl");
    writeFileSync(path, trace);
    const counts = newCounts();
    await replayLinuxFile(path, open, counts);
    return counts.mismatching;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
