// Datagrams: a UDP socket has no destination, so 64 ports are 64 sockets. Opens 65, and prints as
// JSON the outcome.

import { bindDatagram, createConnector } from "../../../../bindings/node/index.ts";

/** What it prints. */
export interface Datagrams {
  readonly bound: readonly string[];
  readonly failures: readonly string[];
  /** Ports held when all were open, and when all had been closed. */
  readonly held: readonly [number, number];
}

const SOCKETS = 65;

const connector = createConnector({ sources: "127.0.0.2", headroom: 0 });
const results = await Promise.allSettled(
  Array.from({ length: SOCKETS }, () => bindDatagram(connector, { type: "udp4" })),
);
const sockets = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
const failures = results.flatMap((result) =>
  result.status === "rejected" ? [result.reason.exhausted ?? result.reason.message] : [],
);
const bound = sockets.map((socket) => `${socket.address().address}:${socket.address().port}`);
const before = connector.metrics().held;
await Promise.all(sockets.map((socket) => new Promise<void>((done) => socket.close(done))));
const datagrams: Datagrams = { bound, failures, held: [before, connector.metrics().held] };
process.stdout.write(JSON.stringify(datagrams), () => process.exit());
