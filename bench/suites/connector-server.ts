// Connector server: accepts what comes, and keeps it until the client closes. Prints its port, and
// ends with the process that started it.
//
//   node connector-server.js PORT      0: one that is free

import { type AddressInfo, createServer } from "node:net";

const BACKLOG = 4096;

// The clients reset their connections, so that neither side has a TIME_WAIT.
const server = createServer((socket) => socket.on("error", () => {}).resume());
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: BACKLOG }, () => {
  console.log((server.address() as AddressInfo).port);
});
process.stdin.resume().on("end", () => process.exit());
