// Sources that are no plain addresses: the wildcard, an interface's name, and a link-local address
// with a zone. Opens as many connections as there are ports from each to four destinations, and
// prints how many came to be, from where.

import { execFileSync } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";
import { createConnector } from "../../../../bindings/node/index.js";

const LINK_LOCAL = "fe80::1%lo";
const DESTINATIONS = 4;
/** The servers' ports, which are not among those that connections come from. */
let nextPort = 5000;

export interface FromSource {
  readonly connected: number;
  /** The local addresses that the sockets have. */
  readonly addresses: readonly string[];
  /** What the connection beyond is refused with. */
  readonly further: string;
}

/** By the text of the sources. */
export type FromSources = Record<string, FromSource>;

const sockets: Socket[] = [];

async function serve(host: string): Promise<number[]> {
  const servers: Server[] = [];
  for (let index = 0; index < DESTINATIONS; index++) {
    const server = createServer((socket) => void socket.on("error", () => {}).resume());
    await new Promise<void>((done) => server.listen({ host, port: nextPort++ }, done));
    servers.push(server.unref());
  }
  return servers.map((server) => (server.address() as { port: number }).port);
}

async function from(sources: string, host: string): Promise<FromSource> {
  const connector = createConnector({ sources, skipUsed: false, headroom: 0 });
  const ports = await serve(host);
  const { perDestination } = connector.capacity(1, host.includes(":") ? 6 : 4);
  const wanted = ports.flatMap((port) =>
    Array.from({ length: perDestination }, () => connector.connect({ host, port })),
  );
  const open = await Promise.all(wanted);
  sockets.push(...open);
  const [port = 0] = ports;
  const further = await connector.connect({ host, port }).then(
    () => "connected",
    ({ exhausted }) => String(exhausted),
  );
  const addresses = [...new Set(open.map(({ localAddress }) => String(localAddress)))].sort();
  for (const socket of open) socket.resetAndDestroy();
  return { connected: open.length, addresses, further };
}

execFileSync("ip", ["address", "add", "fe80::1/64", "dev", "lo"]);
const seen: FromSources = {
  "0.0.0.0": await from("0.0.0.0", "127.0.0.9"),
  "::": await from("::", "::1"),
  lo: await from("lo", "127.0.0.1"),
  [LINK_LOCAL]: await from(LINK_LOCAL, LINK_LOCAL),
};
process.stdout.write(JSON.stringify(seen));
