// State: how long it takes to make a snapshot of a manager, and to restore one, and how many bytes
// there are for each port of a busy pool, and for each accepted connection; and how long a record
// of a list of them takes.

import { IPV4, PortManager, TCP } from "../../bindings/index.ts";
import { figureOf } from "../harness/measure.ts";
import type { Session } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";

const MS_AT_MOST = 300;
const ROUNDS = 21;
const LISTS = 5;
/** Ten times as many records miss the caches more often, and nothing else. */
const LISTED_AT_MOST = 1.5;
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
    const value = (many as number) / (few as number);
    const listed = "a record of a list of all, ten times as many held, over as many";
    session.check({ name: listed, value, atMost: LISTED_AT_MOST });
  },
};

function acceptAll(manager: PortManager, count: number): void {
  const listener = manager.listener(SERVER);
  for (let one = 0; one < count; one++)
    listener.accept(0x0b000000 + (one >>> 4), 1024 + (one & 15));
}

/** How long a record takes of a list of all, in the median. */
function measureList(session: Session, held: number): number {
  const manager = PortManager.open({ seed: 1 });
  acceptAll(manager, held);
  const lists: number[] = [];
  for (let round = 0; round < (session.smoke ? 1 : LISTS); round++) {
    const start = performance.now();
    let listed = 0;
    for (const { count } of manager.reservations()) listed += count;
    lists.push(((performance.now() - start) * 1e6) / held);
    if (listed !== held) throw new Error(`${listed} of ${held} are listed`);
  }
  manager.close();
  const row = { suite: "state", system: "portwarden", operations: held } as const;
  const figure = figureOf(lists);
  session.keep({ ...row, workload: `a record of a list of ${held}`, ...figure });
  return figure.median;
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
