// Loans: ports that one holder of blocks of a host lends to another. No port has two users, and
// ports that a killed process had borrowed come back.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, onTestFinished, test, vi } from "vitest";
import { PortManager, TCP } from "../../../bindings/index.ts";
import { blockScope } from "../../../bindings/node/blocks/block-store.ts";
import { hostName } from "../../../bindings/node/blocks/host-blocks.ts";
import { askHolder } from "../../../bindings/node/blocks/host-loans.ts";
import type { LeasedPorts } from "../../../bindings/node/blocks/leased-ports.ts";
import type { LendingStore } from "../../../bindings/node/blocks/loans.ts";
import { checkOptions } from "../../../bindings/node/connector/connector-options.ts";
import { readHostState } from "../../../bindings/node/host/host-state.ts";
import { hostBlocks } from "../../../bindings/node/index.ts";
import type { Checkout } from "../../../bindings/node/sources/checkout.ts";
import { Pair } from "../../../bindings/node/sources/pair.ts";
import { type PairRequest, PairTable } from "../../../bindings/node/sources/pair-table.ts";
import { firstLine } from "../../support/captured.ts";
import {
  connectorWith,
  freshSources,
  openMany,
  reset,
  serve,
  until,
} from "../../support/connectors.ts";

const HOLDER = fileURLToPath(
  new URL("../../../build/test/node/blocks/inside/holder.js", import.meta.url),
);
const FIRST = 640 * 64;
const HOST = readHostState();
const COOLDOWN_MS = 1000;

/** The time, and the ports in use, by server and port: the user of each, and until when. */
class Host {
  now = 1000;
  readonly used: Map<string, { by: Holder; until: number }> = new Map();
  /** Ports that were picked while another used them. */
  readonly twice: number[] = [];
}

/** A holder of blocks, as a connector has it, without sockets of connections. */
class Holder {
  readonly pairs: PairTable;
  readonly store: LendingStore = hostBlocks() as LendingStore;
  readonly held: Checkout[] = [];
  readonly #host: Host;

  constructor(source: string, blocks: number, host = new Host()) {
    this.#host = host;
    const portRange = { first: FIRST, last: FIRST + 64 * blocks - 1 };
    const options = { sources: source, portRange, reserved: "", cooldown: COOLDOWN_MS };
    const given = { ...options, blocks: this.store, skipUsed: false };
    const manager = PortManager.open({ portRange });
    this.pairs = new PairTable(manager, checkOptions(given, HOST), () => undefined);
    Object.assign(this.pairs, { now: () => host.now });
    onTestFinished(() => this.close());
  }

  /** Takes up to so many ports to a server, own ones and borrowed ones. */
  async take(count: number, server = 80): Promise<number> {
    const destination = this.pairs.use(TCP, "127.0.0.1", server);
    const request = { destination, source: undefined };
    let taken = 0;
    for (; taken < count; taken++) {
      const checkout = this.pairs.pick(request) ?? (await this.#pickLater(request));
      if (checkout === undefined) break;
      this.#note(checkout);
    }
    destination.operations--;
    return taken;
  }

  /** Once all holders of blocks have answered. */
  async #pickLater(request: PairRequest): Promise<Checkout | undefined> {
    const pairs = this.pairs.pairsFor(request);
    await until(() => !pairs.some(({ loans }) => loans?.isAsking), "holders have answered");
    return this.pairs.pick(request);
  }

  #note(checkout: Checkout): void {
    const { used, twice, now } = this.#host;
    const user = used.get(keyOf(checkout));
    if (user !== undefined && user.by !== this && user.until > now) twice.push(checkout.port);
    used.set(keyOf(checkout), { by: this, until: Number.POSITIVE_INFINITY });
    this.held.push(checkout);
  }

  end(what: "free" | "coolDown", count: number): void {
    const { used, now } = this.#host;
    for (const checkout of this.held.splice(0, count)) {
      checkout[what]();
      // A cooling port may be tried by a 64th of its period before its time is over.
      const time = what === "free" ? 0 : COOLDOWN_MS * (1 - 1 / 32);
      used.set(keyOf(checkout), { by: this, until: now + time });
    }
  }

  get leased(): LeasedPorts | undefined {
    return [...(this.pairs.leases?.all ?? [])][0];
  }

  tidy(): void {
    for (const pair of this.pairs.pairs()) pair.loans?.tidy();
    this.leased?.tidy();
  }

  close(): void {
    this.end("free", Number.POSITIVE_INFINITY);
    this.pairs.close();
  }
}

function keyOf({ pair, port }: Checkout): string {
  return `${pair.destination.name} ${port}`;
}

type Step = readonly [
  what: "take" | "free" | "coolDown" | "wait" | "tidy",
  who: number,
  count: number,
];
const STEP: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom<Step[0][]>("take", "take", "take", "free", "coolDown", "wait", "tidy"),
  fc.nat({ max: 2 }),
  fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 150 })),
);
const STEPS = fc.array(STEP, { minLength: 5, maxLength: 25 });

/** Runs the steps with three holders of four blocks. */
async function run(steps: readonly Step[]): Promise<{ twice: number[]; borrowed: number }> {
  const [source] = freshSources(1) as [string];
  const host = new Host();
  const holders = [0, 1, 2].map(() => new Holder(source, 4, host));
  let borrowed = 0;
  for (const [what, who, count] of steps) {
    const holder = holders[who] as Holder;
    if (what === "take") await holder.take(count, 80 + (count % 2));
    else if (what === "wait") host.now += COOLDOWN_MS;
    else if (what === "tidy") holder.tidy();
    else holder.end(what, count);
    borrowed = Math.max(borrowed, ...holders.map(({ leased }) => leased?.borrowedPorts ?? 0));
  }
  for (const holder of holders) holder.end("free", Number.POSITIVE_INFINITY);
  // A port cools down for up to a 64th longer.
  host.now += 2 * COOLDOWN_MS;
  const areBack = (): boolean => {
    for (const holder of holders) holder.tidy();
    return holders.every(({ leased }) => (leased?.lentPorts ?? 0) === 0);
  };
  await until(areBack, "all lent ports are back");
  for (const holder of holders) holder.close();
  return { twice: host.twice, borrowed };
}

test("a port that is lent has one user, whatever connects and ends, and comes back", async () => {
  let borrowed = 0;
  const property = fc.asyncProperty(STEPS, async (steps) => {
    const outcome = await run(steps);
    expect(outcome.twice).toEqual([]);
    borrowed += outcome.borrowed;
  });
  await fc.assert(property, { numRuns: 30 });
  expect(borrowed).toBeGreaterThan(0);
});

test("control: a lender that forgets what it has lent is found", async () => {
  const { lend } = Pair.prototype;
  const spy = vi.spyOn(Pair.prototype, "lend").mockImplementation(function (this: Pair, request) {
    const ports = lend.call(this, request);
    for (const port of ports) this.free(port);
    return ports;
  });
  onTestFinished(() => spy.mockRestore());
  const steps: Step[] = [
    ["take", 0, 200],
    ["take", 1, 64],
    ["free", 0, 90],
    ["take", 1, 40],
    ["take", 0, 90],
  ];
  expect((await run(steps)).twice.length).toBeGreaterThan(0);
  spy.mockRestore();
  expect(await run(steps)).toMatchObject({ twice: [], borrowed: expect.any(Number) });
});

test("a holder with ports of its own asks no other", async () => {
  const holder = new Holder(freshSources(1)[0] as string, 2);
  const asked = vi.spyOn(holder.store, "others");
  for (let round = 0; round < 20; round++) {
    expect(await holder.take(60)).toBe(60);
    holder.end("free", 60);
  }
  expect(asked).not.toHaveBeenCalled();
  // The control: where nothing is left, others are asked.
  expect(await holder.take(129)).toBe(128);
  expect(asked).toHaveBeenCalled();
});

test("a borrower that asks for nothing any more gives back what has cooled down", async () => {
  const [source] = freshSources(1) as [string];
  const host = new Host();
  const [lender, borrower] = [new Holder(source, 1, host), new Holder(source, 1, host)];
  await lender.take(2);
  await borrower.take(5);
  borrower.end("coolDown", 5);
  expect(lender.leased?.lentPorts).toBeGreaterThanOrEqual(5);
  host.now += 2 * COOLDOWN_MS;
  await until(() => lender.leased?.lentPorts === 0, "the lender has all");
});

test.each([
  ["is killed: its ports come back", "SIGKILL", 0],
  ["is stopped: it keeps them", "SIGSTOP", 9],
] as const)("a borrower %s", async (_name, signal, left) => {
  const [source] = freshSources(1) as [string];
  const lender = new Holder(source, 1);
  await lender.take(2);
  const child = spawn(process.execPath, [HOLDER, source, "borrow"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  expect(await firstLine(child.stdout)).toBe("9");
  expect(lender.leased?.lentPorts).toBe(9);
  child.kill(signal);
  if (signal === "SIGKILL") await once(child, "exit");
  await until(() => lender.leased?.lentPorts === left, "the lender has noticed");
  // They may have just been used, and cool down like its own.
  expect(await lender.take(64)).toBe(53);
});

test("ports of a lender that is gone are not picked any more, and those in use stay", async () => {
  const [source] = freshSources(1) as [string];
  const host = new Host();
  const [lender, borrower] = [new Holder(source, 1, host), new Holder(source, 1, host)];
  await lender.take(2);
  expect(await borrower.take(5)).toBe(5);
  lender.close();
  await until(() => borrower.leased?.borrowedPorts === 0, "the borrower has noticed");
  expect(borrower.held.length).toBe(5);
  // The block is free soon, and those five are not picked again.
  let taken = 0;
  for (; taken === 0; host.now += 100) {
    await new Promise((done) => setTimeout(done, 5));
    taken = await borrower.take(64);
  }
  expect(taken).toBe(59);
});

const GOOD = { address: "127.0.0.1", port: 80, want: 3, first: 1, last: 65_535 };

test.each([
  ["a request, and it is met", `${JSON.stringify(GOOD)}\n`, 3],
  ["no JSON", "GET / HTTP/1.1\n\n", 0],
  ["a number", "7\n", 0],
  ["a line without an end", "x".repeat(20_000), 0],
  ["a name, not an address", `${JSON.stringify({ ...GOOD, address: "localhost" })}\n`, 0],
  ["an address of another family", `${JSON.stringify({ ...GOOD, address: "::1" })}\n`, 0],
  ["a port of 0", `${JSON.stringify({ ...GOOD, port: 0 })}\n`, 0],
  ["a number as text", `${JSON.stringify({ ...GOOD, want: "3" })}\n`, 0],
  ["an empty range", `${JSON.stringify({ ...GOOD, first: 9, last: 8 })}\n`, 0],
  ["nothing", "", 0],
])("what another program sends to a lender: %s", async (_name, text, lent) => {
  const [source] = freshSources(1) as [string];
  const lender = new Holder(source, 1);
  await lender.take(2);
  const stranger = connect({ path: hostName(blockScope(source), 640) }).on("error", () => {});
  let answer = "";
  stranger.on("data", (data) => {
    answer += data;
  });
  stranger.write(text);
  if (lent === 0) await once(stranger.resume(), "close");
  else await until(() => answer.endsWith("\n"), "it is answered");
  expect((JSON.parse(answer || "{}") as { ports?: unknown[] }).ports ?? []).toHaveLength(lent);
  expect(lender.leased?.lentPorts).toBe(lent);
  stranger.destroy();
  await until(() => lender.leased?.lentPorts === 0, "all is back");
});

test.each([
  ["says nothing", (_peer: Socket) => {}],
  ["says no JSON", (peer: Socket) => void peer.write("what?\n")],
  ["lends numbers that are no ports", (peer: Socket) => void peer.write('{"ports":[0,-1,"a"]}\n')],
  ["closes at once", (peer: Socket) => void peer.destroy()],
])("a holder that %s has nothing to lend", async (_name, answer) => {
  const path = hostName(blockScope(freshSources(1)[0] as string), 640);
  const peers: Socket[] = [];
  const server = createServer((peer) => {
    peers.push(peer.on("error", () => {}));
    answer(peer);
  }).listen({ path, exclusive: true });
  expect((await askHolder(path, GOOD, () => {})).loan).toBeUndefined();
  for (const peer of peers) peer.destroy();
  server.close();
});

test("connections of two connectors share all ports of their blocks, and none is refused", async () => {
  const [sources] = freshSources(1) as [string];
  const to = { host: "127.0.0.1", port: (await serve({ backlog: 2048 })).port };
  const portRange = { first: FIRST, last: FIRST + 255 };
  const options = { sources, portRange, wait: { timeout: 60_000 } };
  const one = connectorWith({ ...options, blocks: hostBlocks() });
  const other = connectorWith({ ...options, blocks: hostBlocks() });
  const first = await openMany(one, to, 140);
  const second = await openMany(other, to, 100);
  const { borrowed = 0, spilled = 0 } = other.metrics().blocks ?? {};
  expect(borrowed + spilled).toBeGreaterThanOrEqual(36);
  expect(borrowed).toBeGreaterThan(0);
  expect(one.metrics().blocks?.lent).toBe(borrowed);
  // The last ones are tried blindly: each keeps some for itself.
  const last = await openMany(one, to, 16);
  const ports = [...first, ...second, ...last].map(({ localPort }) => localPort);
  expect(new Set(ports).size).toBe(256);
  await reset(...first, ...second, ...last);
});
