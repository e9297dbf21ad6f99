// Sharers: a port that many SO_REUSEPORT sockets have. One operation is a socket that binds to it,
// and is closed.

import { LinuxPorts } from "../../bindings/index.ts";
import type { Comparison, Implementation, Session } from "../harness/session.ts";
import { digestOf } from "../harness/workloads.ts";
import { BATCH } from "./sockets.ts";

const FEW = 10;
const MANY = 10_000;
const MANY_SMOKE = 100;
const PORT = 8080;
/** How many times as long as with few. */
const MANY_AT_MOST = 3;
const NANOSECONDS_AT_MOST = 25_000;

/** Keeps rows for few and for many that share, of TCP and of UDP. */
export function keepSharers(session: Session): void {
  for (const type of ["tcp4", "udp6"] as const) {
    const many = session.smoke ? MANY_SMOKE : MANY;
    const [one, other] = [sharing(type, FEW), sharing(type, many)];
    const measured = session.compareAll([one, other], { rounds: 100, milliseconds: 400 });
    const [few, all] = [one, other].map(({ implementations }) => implementations[0]);
    session.check({
      name: `linux-6.18/one more SO_REUSEPORT ${type} beside ${many}, over one beside ${FEW}`,
      value: measured.ratio(all as Implementation, few as Implementation),
      atMost: MANY_AT_MOST,
    });
    session.check({
      name: `linux-6.18/one more SO_REUSEPORT ${type} beside ${many}, in ns`,
      value: measured.figure(all as Implementation).median,
      atMost: NANOSECONDS_AT_MOST,
    });
  }
}

function sharing(type: "tcp4" | "udp6", count: number): Comparison {
  const ports = LinuxPorts.open({ seed: 1 });
  const bindOne = () => {
    const socket = ports.socket({ type, reusePort: true });
    socket.bind("", PORT);
    return socket;
  };
  for (let index = 0; index < count; index++) bindOne();
  const run = (): void => {
    for (let index = 0; index < BATCH; index++) bindOne().close();
  };
  const digest = (): string => digestOf(Uint16Array.of(bindOne().port));
  const work = { operations: BATCH, digest, run, close: () => ports.close() };
  const key = { suite: "linux-6.18", workload: `so_reuseport/${type}/${count}` };
  return { key, implementations: [{ system: "sockets", ...work }] };
}
