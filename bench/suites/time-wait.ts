// TIME_WAIT: a system in which a number of connections wait at any time, each for a minute. One
// operation is a socket that connects and is closed; its tuple waits, the clock moves on, and what
// is due expires.
//
// The reference model only checks the ports: what it leaves behind for the garbage collector would
// be timed with our operations.

import type { Linux2632ConnectOptions } from "../../bindings/index.ts";
import { LinuxPorts } from "../../bindings/index.ts";
import { Linux2632Ports } from "../../bindings/linux/rules/2.6.32/ports.ts";
import { ReferenceLinuxPorts } from "../../test/models/reference-linux.ts";
import type { Comparison, Implementation, Session } from "../harness/session.ts";
import { digestOf, offsetsOf } from "../harness/workloads.ts";
import { BATCH } from "./sockets.ts";

const SAMPLING = { rounds: 200 };
const WAIT_SECONDS = 60;
const FEW = 1000;
const MANY = 100_000;
const MANY_SMOKE = 10_000;

const LOCAL = "10.0.0.1";
const PORT = 443;
const REMOTES: readonly string[] = Array.from({ length: 8 }, (_, index) => `10.9.0.${1 + index}`);
/** A prime number of them, so that they meet the destinations in ever other pairs. */
const OFFSETS: Uint32Array = offsetsOf(5, 10_007);
const OPTIONS: readonly Linux2632ConnectOptions[] = Array.from(OFFSETS, (offset) => ({ offset }));

/** Keeps rows for few and for many that wait. */
export function keepTimeWait(session: Session): void {
  const [few, many] = [waiting(FEW), waiting(session.smoke ? MANY_SMOKE : MANY)];
  const measured = session.compareAll([few, many], SAMPLING);
  const [one, other] = [few, many].map(({ implementations }) => implementations[0]);
  const value = measured.ratio(other as Implementation, one as Implementation);
  const key = { suite: "linux", workload: "time-wait/many over few" };
  session.keepOne(key, "sockets", value, { unit: "ratio" });
}

/** Sockets, once so many tuples wait. */
function waiting(count: number): Comparison {
  const ports = Linux2632Ports.open({ localAddress: LOCAL, timeWaitMs: WAIT_SECONDS * 1000 });
  const begun = count + BATCH;
  const digest = digestOf(connectAll(ports, count, 0, begun));
  const expected = digestOf(modelPicks(count, begun));
  if (digest !== expected) {
    throw new Error(`time-wait/${count}: our digest ${digest}, the model's ${expected}`);
  }
  let number = begun;
  const run = (): void => {
    connectAll(ports, count, number, BATCH);
    number += BATCH;
  };
  const close = (): void => ports.close();
  const key = { suite: "linux", workload: `time-wait/${count}` };
  const sockets = { operations: BATCH, digest: () => digest, run, close };
  return { key, implementations: [{ system: "sockets", ...sockets }] };
}

/** The ports of so many operations, from that number on. */
function connectAll(
  ports: Linux2632Ports,
  waiting: number,
  from: number,
  count: number,
): Uint16Array {
  const picked = new Uint16Array(count);
  for (let number = from; number < from + count; number++) {
    ports.setTime(secondsAt(number, waiting) * 1000);
    const socket = ports.socket();
    const remote = REMOTES[number % REMOTES.length] as string;
    picked[number - from] = socket.connect(remote, PORT, OPTIONS[number % OPTIONS.length]);
    socket.close({ timeWait: true });
    ports.expireTimeWait();
  }
  return picked;
}

/** The same by the reference model, from its first operation on. */
function modelPicks(waiting: number, count: number): Uint16Array {
  const ports = new ReferenceLinuxPorts(() => 0);
  const root = ports.group("/");
  return Uint16Array.from({ length: count }, (_, number) => {
    ports.now = secondsAt(number, waiting);
    const socket = ports.socket(false, 0, root);
    const remote = REMOTES[number % REMOTES.length] as string;
    const connection = { local: LOCAL, remote, remotePort: PORT };
    const port = ports.connect(socket, connection, OFFSETS[number % OFFSETS.length] as number);
    ports.closeToTimeWait(socket, undefined);
    ports.expireTimeWait();
    return port as number;
  });
}

/** When an operation happens, so that as many are always waiting. Whole seconds: both agree. */
function secondsAt(number: number, waiting: number): number {
  return Math.floor((number * WAIT_SECONDS) / waiting);
}

// ── A million, by the rules of 6.18 ───────────────────────────────────────────────────────

const MILLION = 1_000_000;
const MILLION_SMOKE = 2000;
/** Connections of a destination, each with a port of its own. */
const PER_DESTINATION = 28_000;
const SECONDS_AT_MOST = 12;
/** What one costs in the last tenth of them, over what it costs in the second. */
const LAST_AT_MOST = 3;

/** Keeps what it costs to leave a million TIME_WAITs behind, and to let them expire. */
export function keepMillion(session: Session): void {
  const count = session.smoke ? MILLION_SMOKE : MILLION;
  const most = { tcpMaxTwBuckets: count, localAddress: LOCAL, seed: 1 };
  using ports = LinuxPorts.open(most);
  const tenths = Array.from({ length: 10 }, (_, tenth) => {
    return timed(() => leaveBehind(ports, (tenth * count) / 10, ((tenth + 1) * count) / 10));
  });
  ports.setTime(WAIT_SECONDS * 1000);
  const expiry = timed(() => {
    if (ports.expireTimeWait() !== count) throw new Error(`${count} must have waited`);
  });
  const total = tenths.reduce((sum, ns) => sum + ns);
  const keep = (workload: string, ns: number): void => {
    session.keepOne({ suite: "linux-6.18", workload }, "sockets", ns / count, {
      operations: count,
    });
  };
  keep(`time-wait/${count} are left behind`, total);
  keep(`time-wait/${count} expire`, expiry);
  session.check({
    name: `linux-6.18/time-wait: seconds to ${count} and back`,
    value: (total + expiry) / 1e9,
    atMost: SECONDS_AT_MOST,
  });
  session.check({
    name: "linux-6.18/time-wait: one among the last tenth over one among the second",
    value: (tenths[9] as number) / (tenths[1] as number),
    atMost: LAST_AT_MOST,
  });
}

/** Connections that end in order, this end first. */
function leaveBehind(ports: LinuxPorts, from: number, to: number): void {
  for (let number = from; number < to; number++) {
    const socket = ports.socket();
    socket.connect(`10.8.0.${1 + Math.floor(number / PER_DESTINATION)}`, PORT);
    socket.shutdown();
    socket.receive("fin");
    socket.close();
  }
}

/** Nanoseconds of the processor that it takes: once is too seldom for the clock on the wall. */
function timed(work: () => void): number {
  const begun = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) * 1000;
}
