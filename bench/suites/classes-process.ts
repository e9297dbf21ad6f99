// Classes, in a process: takes and gives back ports by one class of the package, or by several of
// them in turn; or by the bitmap that is written in JavaScript.
//
//     node classes-process.js full|tiny PERCENT CLASS...
//
// A pool, a bitmap and reservations hold so many percent of the range meanwhile. It answers a JSON
// object with nanoseconds per operation, and the digest of the ports that were taken, by class.

import { IPV4, LinuxPorts, PortManager, TCP } from "../../bindings/index.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { copyFor } from "../harness/loops.ts";
import { type Figure, measureByTurns, type Sampling } from "../harness/measure.ts";
import type { Implementation, System } from "../harness/session.ts";
import { COUNT, digestOf, FIRST, LAST, offsetsOf, shuffledPorts } from "../harness/workloads.ts";

export type ClassName = ClassSystem | "spread requests" | "spread alone";
export type ClassSystem = Extract<
  System,
  "pool" | "reservations" | "listener" | "sockets" | "bitmap"
>;

/** What was measured of one class. */
export interface OfClass extends Figure {
  readonly operations: number;
  readonly digest: string;
}

const OFFSETS: Uint32Array = offsetsOf(7, 1000);
/**
 * Of 32 bits, as they are drawn, and more than a branch predictor learns. Below 2^31 V8 has them as
 * small integers: there the bitmap takes half of its time, and the pool as long as here (suite
 * `ephemeral`).
 */
const MANY_OFFSETS: Uint32Array = offsetsOf(7, 64_000).map((offset) => Math.imul(offset, 3));
const FULL: Sampling = { rounds: 400 };
const TINY: Sampling = { rounds: 1 };
const DESCRIPTION = { networks: [IPV4], transport: TCP, address: "10.0.0.1" };
const PEER = 10 * 2 ** 24;
const LISTENER = { ...DESCRIPTION, port: 443, flags: { tupleOnly: true } };
/** The same in objects of four shapes, as a program may have them. */
const SHAPES = [
  DESCRIPTION,
  { address: "10.0.0.1", transport: TCP, networks: [IPV4] },
  { ...DESCRIPTION, bindToDevice: 0 },
  { ...DESCRIPTION, flags: {} },
];
/** Connections of the listener beside those that come and go. */
const ACCEPTED = 100;

/** Takes one port and gives it back; which one. */
type Once = (offset: number) => number;

const CLASSES: Readonly<Record<ClassName, (held: readonly number[]) => Once>> = {
  pool(held) {
    const pool = PortManager.open().pool(DESCRIPTION);
    for (const port of held) pool.takeAt(port);
    return (offset) => {
      const port = pool.take(offset);
      pool.free(port);
      return port;
    };
  },
  reservations(held) {
    const manager = PortManager.open();
    using pool = manager.pool(DESCRIPTION);
    for (const port of held) pool.takeAt(port);
    const { networks, transport, address } = DESCRIPTION;
    return (offset) => {
      const reservation = manager.reservePort({ networks, transport, address, offset });
      reservation.release();
      return reservation.port;
    };
  },
  "spread requests"() {
    const manager = PortManager.open();
    let turn = 0;
    return (offset) => {
      const shape = SHAPES[turn++ & 3] as typeof DESCRIPTION;
      const reservation = manager.reservePort({ ...shape, offset });
      reservation.release();
      return reservation.port;
    };
  },
  "spread alone"() {
    let turn = 0;
    let last: object | undefined;
    return (offset) => {
      // It is kept, so that it must be made.
      last = { ...(SHAPES[turn++ & 3] as typeof DESCRIPTION), offset };
      return "offset" in last ? FIRST : 0;
    };
  },
  bitmap(held) {
    const bitmap = new JsBitmap(FIRST, LAST);
    for (const port of held) bitmap.takeAt(port);
    return (offset) => {
      const port = bitmap.take(offset);
      bitmap.free(port);
      return port;
    };
  },
  listener() {
    const listener = PortManager.open().listener(LISTENER);
    for (let peer = 1; peer <= ACCEPTED; peer++) listener.accept(PEER, peer);
    return (offset) => {
      const address = PEER + 1 + (offset & 0xffff);
      const port = listener.accept(address, 443);
      listener.close(address, 443);
      return port;
    };
  },
  sockets() {
    const ports = LinuxPorts.open({ seed: 1 });
    return () => {
      const socket = ports.socket();
      const port = socket.bind("10.0.0.1", 0);
      socket.close();
      return port;
    };
  },
};

function workOf(name: ClassName): Implementation {
  const once = CLASSES[name](shuffledPorts().slice(0, (COUNT * Number(percent)) / 100));
  const loop = copyFor(name, onceForEach);
  const offsets = name === "pool" || name === "bitmap" ? MANY_OFFSETS : OFFSETS;
  const run = (): void => loop(once, offsets);
  const digest = (): string => digestOf(OFFSETS.map(once));
  const system = name.startsWith("spread") ? "reservations" : (name as ClassSystem);
  return { system, operations: offsets.length, run, digest };
}

function onceForEach(once: Once, offsets: Uint32Array): void {
  for (let index = 0; index < offsets.length; index++) once(offsets[index] as number);
}

const [size, percent, ...names] = process.argv.slice(2) as [string, string, ...ClassName[]];
const works = names.map(workOf);
const digests = works.map((work) => work.digest());
const measured = measureByTurns(size === "tiny" ? TINY : FULL, works);
const found = works.map((work, index): [string, OfClass] => [
  names[index] as ClassName,
  { ...measured.figure(work), operations: work.operations, digest: digests[index] as string },
]);
console.log(JSON.stringify(Object.fromEntries(found)));
