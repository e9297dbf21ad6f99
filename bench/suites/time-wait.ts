// TIME_WAIT: a machine on which a number of connections wait at any time, each for a minute. One
// operation is a socket that connects and is closed; its tuple waits, the clock moves on, and what
// is due expires.
//
// The reference model only checks the ports: what it leaves behind for the garbage collector would be
// timed with our operations.

import { LinuxPorts, type SocketConnectOptions } from "../../bindings/index.ts";
import { ReferenceLinuxPorts } from "../../test/models/reference-linux.ts";
import type { Contender, Scene, Stage } from "../harness/setup.ts";
import { digestOf, offsetsOf } from "../harness/workloads.ts";
import { BATCH } from "./sockets.ts";

const TURNS = { rounds: 200 };
const WAIT_SECONDS = 60;
const FEW = 1000;
const MANY = 100_000;
const MANY_SMOKE = 10_000;

const LOCAL = "10.0.0.1";
const PORT = 443;
const REMOTES: readonly string[] = Array.from({ length: 8 }, (_, index) => `10.9.0.${1 + index}`);
/** A prime number of them, so that they meet the destinations in ever other pairs. */
const OFFSETS: Uint32Array = offsetsOf(5, 10_007);
const WAYS: readonly SocketConnectOptions[] = Array.from(OFFSETS, (offset) => ({ offset }));

/** Keeps rows for few and for many that wait. */
export function keepTimeWait(stage: Stage): void {
  const [few, many] = [waiting(FEW), waiting(stage.smoke ? MANY_SMOKE : MANY)];
  const measured = stage.compareAll([few.scene, many.scene], TURNS);
  const ratio = measured.ratio(many.ours, few.ours);
  const row = "time-wait/many over few";
  stage.keepOne({ bench: "linux", row }, "sockets", ratio, { unit: "ratio" });
}

/** Ours, once so many wait. */
function waiting(count: number): { readonly scene: Scene; readonly ours: Contender } {
  const ports = LinuxPorts.open({ localAddress: LOCAL, timeWaitMs: WAIT_SECONDS * 1000 });
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
  const ours: Contender = {
    system: "sockets",
    operations: BATCH,
    digest: () => digest,
    run,
    close,
  };
  const place = { bench: "linux", row: `time-wait/${count}` };
  return { scene: { place, contenders: [ours] }, ours };
}

/** The ports of so many operations, from that number on. */
function connectAll(ports: LinuxPorts, waiting: number, from: number, count: number): Uint16Array {
  const picked = new Uint16Array(count);
  for (let number = from; number < from + count; number++) {
    ports.setTime(secondsAt(number, waiting) * 1000);
    const socket = ports.socket();
    const remote = REMOTES[number % REMOTES.length] as string;
    picked[number - from] = socket.connect(remote, PORT, WAYS[number % WAYS.length]);
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
    const way = { local: LOCAL, remote, remotePort: PORT };
    const port = ports.connect(socket, way, OFFSETS[number % OFFSETS.length] as number);
    ports.closeToTimeWait(socket, undefined);
    ports.expireTimeWait();
    return port as number;
  });
}

/** When an operation happens, so that as many are always waiting. Whole seconds: both agree. */
function secondsAt(number: number, waiting: number): number {
  return Math.floor((number * WAIT_SECONDS) / waiting);
}
