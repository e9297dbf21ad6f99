// The fuzzer of LinuxPorts itself: does it find a fault, and does it say so in few words? Each test
// plants one into a copy of the reference model that plays the real thing.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ReferenceSocket } from "../../models/reference-linux.ts";
import { replayLinuxFile } from "../../replay/files.ts";
import { openReferenceLinux, ReferenceLinux } from "../../replay/linux-reference.ts";
import type { Left, OpenLinux, Outcome, Way } from "../../replay/linux-system.ts";
import { newTally } from "../../replay/netstack.ts";
import { type Campaign, wage } from "./campaign.ts";
import { arenaOn } from "./opponent.ts";

const OPERATIONS_MAX = 100_000;
const SEED = 20150228;

/** Lets nobody on a device bind to any port. */
class Timid extends ReferenceLinux {
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

/** Says of a port that was shared by two or more that it always belonged to one. */
class Forgetful extends ReferenceLinux {
  override bucket(port: number): ReturnType<ReferenceLinux["bucket"]> {
    const bucket = super.bucket(port);
    return bucket && { ...bucket, owners: Math.min(1, bucket.owners) };
  }
}

/** Keeps the address that a failed connect should have given back. */
class Clinging extends ReferenceLinux {
  override connect(socket: ReferenceSocket, way: Way, portOffset: number): Outcome {
    const outcome = super.connect(socket, way, portOffset);
    if (outcome === "EADDRNOTAVAIL" && socket.address === "") socket.address = way.local;
    return outcome;
  }
}

/** Draws once more than it needs. */
class Wasteful extends ReferenceLinux {
  override get drawn(): number {
    return super.drawn === 2 ? 3 : super.drawn;
  }
}

/** Has memory left when it is closed. */
class Leaky extends ReferenceLinux {
  override end(): Left {
    return { bytes: 48, uses: 0 };
  }
}

describe("a planted fault is found and shortened to the operations that it needs", () => {
  test("a bind that is refused for no reason: the socket, the bind", () => {
    expect(operationsAgainst((hint) => new Timid(hint))).toBe(2);
  });

  test("a record that miscounts: two sockets that share a port", () => {
    expect(operationsAgainst((hint) => new Forgetful(hint))).toBeLessThanOrEqual(10);
  });

  test("an address that stays: what leaves no port, the socket, the connect", () => {
    expect(operationsAgainst((hint) => new Clinging(hint))).toBeLessThanOrEqual(12);
  });

  test("a value drawn too many: those who crowd, and the bind that draws again", () => {
    expect(operationsAgainst((hint) => new Wasteful(hint))).toBeLessThanOrEqual(30);
  });

  test("memory that is not given back: nothing at all", () => {
    expect(operationsAgainst((hint) => new Leaky(hint))).toBe(0);
  });

  test("a fault that both sides have, where it breaks what selection promises", () => {
    const { failure } = campaignAgainst((hint) => new Timid(hint), true);
    expect(failure?.operations).toBe(2);
    expect(failure?.report).toMatch(/^none was found, but acceptable are [0-9,]+ \(bind\)$/m);
  });
});

test("the report tells the seed, each operation, the two answers, and a trace to replay", async () => {
  const { failure, battleSeed } = campaignAgainst((hint) => new Timid(hint));
  const lines = failure?.report.split("\n") ?? [];
  expect(lines[0]).toMatch(new RegExp(`^seed ${battleSeed}, [0-9]+ operations shortened to 2$`));
  expect(lines[1]).toMatch(/^ {2}\{"op":"socket",/);
  expect(lines[2]).toMatch(/^ {2}\{"op":"bind",.*"expect":\{"port":[0-9]+\},"drawn":1\}$/);
  expect(lines[3]).toMatch(/^answer: expected \{"port":[0-9]+\}, got \{"err":"EADDRINUSE"\}$/);
  const trace = lines[4]?.replace("as a trace: ", "") ?? "";
  expect(await mismatching(trace, (hint) => new Timid(hint))).toBe(1);
  expect(await mismatching(trace, openReferenceLinux)).toBe(0);
});

test("the same seed fights the same battles", () => {
  const isOver = ({ battles }: Campaign): boolean => battles >= 10;
  const [one, other] = [SEED, SEED].map((seed) => wage({ seed, isOver, ...arenaOn("release") }));
  expect(one).toEqual(other);
});

function operationsAgainst(open: (hint: number) => ReferenceLinux): number | undefined {
  return campaignAgainst(open).failure?.operations;
}

function campaignAgainst(open: (hint: number) => ReferenceLinux, isShared = false): Campaign {
  return wage({
    seed: SEED,
    theme: "mixed",
    open: ({ hint }) => ({ system: open(hint) }),
    isOver: ({ operations }) => operations >= OPERATIONS_MAX,
    ...(isShared && { model: open }),
  });
}

async function mismatching(trace: string, open: OpenLinux): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), "portwarden-"));
  try {
    const path = join(scratch, "found.jsonl");
    writeFileSync(path, trace);
    const tally = newTally();
    await replayLinuxFile(path, open, tally);
    return tally.mismatching;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
