// Headroom: in a namespace with 64 ports, two processes each fill a destination of their own from
// two sources of their own. Then a plain program connects to a third one. Prints as JSON how many
// each of them had and what refused the next, and what became of the plain connections.
//
//   node headroom.js OPTIONS     of the connectors, as JSON

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { type ConnectorError, createConnector } from "../../../../bindings/node/index.ts";
import { Host } from "./hosts.ts";

/** What one process had. */
export interface Filled {
  readonly opened: number;
  /** Different local ports. */
  readonly ports: number;
  readonly refusal: string;
  readonly message: string;
  /** As `capacity()` says. */
  readonly headroom: number;
}

export interface BesideOthers {
  readonly filled: readonly Filled[];
  /** `connected`, or the code of the error, each with how often. */
  readonly plain: Readonly<Record<string, number>>;
}

const FIRST_SERVER = 900;
const PLAIN = 16;
const [given = "{}", index] = process.argv.slice(2);

if (index === undefined) await compare();
else process.send?.(await fill(Number(index)));

async function compare(): Promise<void> {
  const host = await Host.start("tcp", FIRST_SERVER, 3);
  const script = fileURLToPath(import.meta.url);
  const fillers = [0, 1].map((number) => fork(script, [given, `${number}`]));
  const filled = await Promise.all(fillers.map(told));
  const plain: Record<string, number> = {};
  for (let count = 0; count < PLAIN; count++) {
    const how = await plainly();
    plain[how] = (plain[how] ?? 0) + 1;
  }
  for (const filler of fillers) filler.kill("SIGKILL");
  await host.kill();
  const printed: BesideOthers = { filled, plain };
  process.stdout.write(JSON.stringify(printed), () => process.exit());
}

async function told(filler: ChildProcess): Promise<Filled> {
  return (await once(filler, "message"))[0] as Filled;
}

/** As any program does that leaves the port to the kernel. */
function plainly(): Promise<string> {
  return new Promise((resolve) => {
    connect({ host: "127.0.0.1", port: FIRST_SERVER + 2 })
      .on("connect", () => resolve("connected"))
      .on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

async function fill(number: number): Promise<Filled> {
  const sources = [1, 2].map((one) => `127.0.${number + 1}.${one}`);
  const connector = createConnector({ sources, ...JSON.parse(given) });
  const to = { host: "127.0.0.1", port: FIRST_SERVER + number };
  const ports = new Set<number>();
  for (let opened = 0; ; opened++) {
    try {
      ports.add((await connector.connect(to)).localPort as number);
    } catch (error) {
      const { exhausted, message } = error as ConnectorError;
      const { headroom } = connector.capacity();
      return { opened, ports: ports.size, refusal: exhausted, message, headroom };
    }
  }
}
