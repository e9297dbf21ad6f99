// A load that the kernel can just carry: connections that our side ends first, from 64 ports, each
// of which the kernel lets be taken over after more than a second. Prints how many came to be, and
// how many were refused.

import { once } from "node:events";
import { createServer } from "node:net";
import { createConnector } from "../../../../bindings/node/index.js";

const EVERY_MS = 40;
const COUNT = 120;
const SERVER = 5000;

export interface Cooled {
  readonly connected: number;
  readonly refused: readonly string[];
  /** How often ports were given back into cooldown. */
  readonly cooledDown: number;
}

const server = createServer((socket) => void socket.on("error", () => {}).resume());
await new Promise<void>((done) => server.listen(SERVER, "127.0.0.1", done));
const connector = createConnector({ sources: "127.0.0.2", headroom: 0 });
const refused: string[] = [];
let connected = 0;
const one = async (): Promise<void> => {
  try {
    const socket = await connector.connect({ host: "127.0.0.1", port: SERVER });
    connected++;
    socket.resume().end();
    await once(socket, "close");
  } catch (error) {
    refused.push(String(error));
  }
};
const all: Promise<void>[] = [];
for (let index = 0; index < COUNT; index++) {
  all.push(one());
  await new Promise((done) => setTimeout(done, EVERY_MS));
}
await Promise.all(all);
const cooled: Cooled = { connected, refused, cooledDown: connector.metrics().cooledDown };
process.stdout.write(JSON.stringify(cooled));
server.close();
