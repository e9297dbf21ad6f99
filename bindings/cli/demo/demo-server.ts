// Server: a process that accepts connections on one loopback port and keeps them open. A process of
// its own, so that its ends count against its own limit of open files, not the client's.

import { createServer, type Socket } from "node:net";
import type { FromServer } from "./servers.ts";

// The kernel cuts it down to net.core.somaxconn.
const BACKLOG = 65_535;

const held = new Set<Socket>();
const [host = "", port = ""] = process.argv.slice(2);

// The parent process ends this one: Ctrl-C goes to all processes of a terminal.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
process.once("disconnect", () => process.exit());
process.on("message", () => tell({ held: held.size }));

const server = createServer((socket) => {
  held.add(socket);
  // The client ends a connection by a reset.
  socket.on("error", () => {});
  socket.once("close", () => held.delete(socket));
});
server.once("error", (error) => tell({ failed: error.message }));
server.listen({ host, port: Number(port), backlog: BACKLOG }, () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) tell({ port: address.port });
});

function tell(message: FromServer): void {
  // The parent process may have ended without a message.
  if (process.connected) process.send?.(message);
  else process.exit();
}
