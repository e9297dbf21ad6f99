// State: how long it takes to make a snapshot of a manager, and to restore one, and how many bytes
// there are for each port of a busy pool, and for each accepted connection; and how long a record
// of a list of them takes.

import { type HeldFilter, IPV4, PortManager, TCP } from "../../bindings/index.ts";
import { type Figure, figureOf } from "../harness/measure.ts";
import type { Session } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";

const MS_AT_MOST = 300;
const ROUNDS = 21;
const LISTS = 5;
/** Ten times as many records miss the caches more often, and nothing else. */
const LISTED_AT_MOST = 1.5;
/** A record that a filter passes over, over one that is listed. */
const PASSED_AT_MOST = 0.15;
const SERVER = { networks: [IPV4], transport: TCP, address: "10.0.0.1", port: 443 };

export const stateSuite: Suite = {
  title: "a snapshot of accepted connections, or of a busy pool, its restore, as a whole; a list",
  run(session) {
    const accepted = session.smoke ? 1000 : 1_000_000;
    const name = "a million connections";
    measure(session, name, accepted, 32, (manager) => {
      acceptAll(manager, accepted);
    });
    for (const work of ["snapshot", "restore"]) {
      const value = session.median({ suite: "state", workload: `${work}, ${name}` }, "portwarden");
      session.check({ name: `${work} of ${name}, ms`, value: value / 1e6, atMost: MS_AT_MOST });
    }
    const held = session.smoke ? 100 : 20_000;
    measure(session, "a pool of 20,000", held, 1.5, (manager) => {
      const pool = manager.pool({ networks: [IPV4], transport: TCP, address: "10.0.0.1" });
      pool.takeMany(new Uint16Array(held));
    });
    const [few, many] = [accepted / 10, accepted].map((count) => measureList(session, count));
    const value = (many as Lists).all / (few as Lists).all;
    const listed = "a record of a list of all, ten times as many held, over as many";
    session.check({ name: listed, value, atMost: LISTED_AT_MOST });
    const passed = "a record that a list of one port passes over, over one that is listed";
    const over = (many as Lists).ofOnePort / (many as Lists).all;
    session.check({ name: passed, value: over, atMost: PASSED_AT_MOST });
  },
};

function acceptAll(manager: PortManager, count: number): void {
  const listener = manager.listener(SERVER);
  for (let one = 0; one < count; one++)
    listener.accept(0x0b000000 + (one >>> 4), 1024 + (one & 15));
}

/** How long lists take for each record that is held, in the median. */
interface Lists {
  readonly all: number;
  /** One record is listed, and the others are passed over. */
  readonly ofOnePort: number;
}

function measureList(session: Session, held: number): Lists {
  const manager = PortManager.open({ seed: 1 });
  acceptAll(manager, held - 1);
  manager.reservePort({ ...SERVER, port: 53 });
  const all: number[] = [];
  const ofOnePort: number[] = [];
  for (let round = 0; round < (session.smoke ? 1 : LISTS); round++) {
    all.push(timeOfList(manager, {}, held) / held);
    ofOnePort.push(timeOfList(manager, { port: 53 }, 1) / held);
  }
  manager.close();
  const row = { suite: "state", system: "portwarden", operations: held } as const;
  const [listed, passed] = [all, ofOnePort].map(figureOf) as [Figure, Figure];
  session.keep({ ...row, workload: `a record of a list of ${held}`, ...listed });
  session.keep({ ...row, workload: `a record of ${held}, in a list of one port`, ...passed });
  return { all: listed.median, ofOnePort: passed.median };
}

/** Nanoseconds of a list that has so many records. */
function timeOfList(manager: PortManager, filter: HeldFilter, records: number): number {
  const start = performance.now();
  let listed = 0;
  for (const { count } of manager.reservations(filter)) listed += count;
  if (listed !== records) throw new Error(`${listed} of ${records} are listed`);
  return (performance.now() - start) * 1e6;
}

/** @param atMost bytes of the snapshot for each of what is held. */
function measure(
  session: Session,
  name: string,
  held: number,
  atMost: number,
  hold: (manager: PortManager) => void,
): void {
  const manager = PortManager.open({ seed: 1 });
  const empty = manager.snapshot().length;
  hold(manager);
  const snapshots: number[] = [];
  const restores: number[] = [];
  let bytes: Uint8Array = new Uint8Array(0);
  for (let round = 0; round < (session.smoke ? 1 : ROUNDS); round++) {
    const start = performance.now();
    bytes = manager.snapshot();
    const made = performance.now();
    const restored = PortManager.restore(bytes);
    restores.push((performance.now() - made) * 1e6);
    snapshots.push((made - start) * 1e6);
    if (restored.stats().references !== held) throw new Error(`${name}: some are not restored`);
    restored.close();
  }
  const row = { suite: "state", system: "portwarden", operations: 1 } as const;
  session.keep({ ...row, workload: `snapshot, ${name}`, ...figureOf(snapshots) });
  session.keep({ ...row, workload: `restore, ${name}`, ...figureOf(restores) });
  const each = (bytes.length - empty) / held;
  const key = { suite: "state", workload: `bytes for each, ${name}` };
  session.keepOne(key, "portwarden", each, { unit: "bytes" });
  session.check({ name: `${name}: bytes for each`, value: each, atMost });
  manager.close();
}
