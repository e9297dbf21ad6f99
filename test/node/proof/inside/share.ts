// Share: in a namespace with 64 ports, opens 64 connections to each of 4 destinations from one
// source, all at the same time, in one of several ways; then prints, as JSON, the peers that the
// servers saw and what failed. Each way has a source and servers of its own.
//
//   node share.js WAY...

import { createConnector } from "../../../../bindings/node/index.ts";
import { Host } from "./hosts.ts";
import { METHODS, type Method } from "./methods.ts";

/** What it prints. */
export interface Shared {
  readonly source: string;
  /** The peers that were connected at the same time, for each server. */
  readonly seen: readonly (readonly string[])[];
  /** Codes and system calls of what failed, and how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** Ports held when all were open, and when all had been closed. */
  readonly held: readonly [number, number];
  /** What one more connection to each server failed by. */
  readonly further: readonly string[];
}

const DESTINATIONS = 4;
const EACH = 64;
const FIRST_SERVER = 9001;

const shared: Shared[] = [];
for (const [index, name] of process.argv.slice(2).entries()) {
  const method = METHODS[name];
  if (method === undefined) throw new Error(`no method is called ${name}`);
  shared.push(await share(method, `127.0.0.${2 + index}`, FIRST_SERVER + index * DESTINATIONS));
}
process.stdout.write(JSON.stringify(shared), () => process.exit());

async function share(
  { kind, client: open }: Method,
  source: string,
  first: number,
): Promise<Shared> {
  const host = await Host.start(kind, first, DESTINATIONS);
  const connector = createConnector({ sources: source, headroom: 0 });
  const failures: Record<string, number> = {};
  const onFailure = ({ code, syscall, message }: NodeJS.ErrnoException): void => {
    const what = code === undefined ? message : `${code} ${syscall ?? ""}`.trim();
    failures[what] = (failures[what] ?? 0) + 1;
  };
  const client = open({ connector, source, each: EACH, onFailure });
  await Promise.all(host.ports.map((port) => client.openAll(port)));
  const seen = await host.whoWhen(DESTINATIONS * EACH - sum(Object.values(failures)));
  const heldThen = connector.metrics().held;
  const further = await Promise.all(
    host.ports.map((port) =>
      connector.connect({ host: "127.0.0.1", port }).then(
        (socket) => {
          socket.destroy();
          return "none";
        },
        ({ exhausted }) => exhausted as string,
      ),
    ),
  );
  await client.close();
  await until(() => connector.metrics().held === 0);
  const { held } = connector.metrics();
  await host.kill();
  return { source, seen, failures, held: [heldThen, held], further };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

async function until(isSo: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!isSo() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
}
