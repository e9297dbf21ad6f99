// An IPv6 block as sources: in a namespace where a whole /64 is local, opens connections from the
// block and prints from where they came; and what a block that is not local is refused with.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createConnector } from "../../../../bindings/node/index.js";

export interface FromBlock {
  /** How many different addresses the server saw. */
  readonly addresses: number;
  /** Those that are not of the block. */
  readonly outside: readonly string[];
  /** How many of them connections of one key came from. */
  readonly ofKey: number;
  /** Ports held when all were open, and when all had been closed. */
  readonly held: readonly [number, number];
  /** What a connection was refused with before the block was local. */
  readonly unrouted: readonly string[];
}

const BLOCK = "2001:db8:0:7::/64";
const COUNT = 300;

const came: string[] = [];
const server = createServer((peer) => {
  came.push(String(peer.remoteAddress));
  peer.on("error", () => {}).resume();
}).listen({ host: "::1", port: 5000 });
await once(server, "listening");
const { port } = server.address() as AddressInfo;
const to = { host: "::1", port };

const unrouted = await createConnector({ sources: BLOCK })
  .connect(to)
  .then(
    () => ["connected"],
    ({ exhausted, code }) => [String(exhausted), String(code)],
  );

execFileSync("ip", ["-6", "route", "add", "local", BLOCK, "dev", "lo"]);
writeFileSync("/proc/sys/net/ipv6/ip_nonlocal_bind", "1");

const connector = createConnector({ sources: BLOCK, skipUsed: false, cooldown: "none" });
const sockets: Socket[] = await Promise.all(
  Array.from({ length: COUNT }, () => connector.connect(to)),
);
const sticky = createConnector({ sources: BLOCK, skipUsed: false, spread: "sticky" });
const keyed = await Promise.all([1, 2, 3].map(() => sticky.connect({ ...to, key: "user 17" })));
const own = await connector.connect({ ...to, localAddress: "2001:db8:0:7::42" });
while (came.length < COUNT + 4) await new Promise((done) => setTimeout(done, 10));
const different = (open: readonly Socket[]): number =>
  new Set(open.map(({ localAddress }) => localAddress ?? "none")).size;
const seen = { addresses: different(sockets), ofKey: different(keyed) };
const heldThen = connector.metrics().held;
for (const socket of [...sockets, ...keyed, own]) {
  socket.resetAndDestroy();
  await once(socket, "close");
}
const printed: FromBlock = {
  ...seen,
  outside: came.filter((address) => !address.startsWith("2001:db8:0:7:")),
  held: [heldThen, connector.metrics().held],
  unrouted,
};
process.stdout.write(JSON.stringify(printed), () => process.exit(0));
