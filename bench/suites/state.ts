// State: how long it takes to make a snapshot of a manager, and to restore one, and how many bytes
// there are for each port of a busy pool, and for each accepted connection.

import { IPV4, PortManager, TCP } from "../../bindings/index.ts";
import { figureOf } from "../harness/measure.ts";
import type { Session } from "../harness/session.ts";
import type { Suite } from "../harness/suites.ts";

const MS_AT_MOST = 300;
const ROUNDS = 21;

export const stateSuite: Suite = {
  title: "a snapshot of accepted connections, or of a busy pool, and its restore, as a whole",
  run(session) {
    const accepted = session.smoke ? 1000 : 1_000_000;
    const name = "a million connections";
    measure(session, name, accepted, 32, (manager) => {
      const at = { networks: [IPV4], transport: TCP, address: "10.0.0.1", port: 443 };
      const listener = manager.listener(at);
      for (let one = 0; one < accepted; one++)
        listener.accept(0x0b000000 + (one >>> 4), 1024 + (one & 15));
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
  },
};

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
