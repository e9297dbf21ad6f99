// Servers: a process with TCP servers on loopback that hold every connection open and say, when
// asked, where each comes from. They see what really is connected, in whatever way a client did it.
//
//   node servers.js KIND FIRST COUNT [BACKLOG]    on 127.0.0.1, ports FIRST..FIRST+COUNT-1

import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTls } from "node:tls";
import { WebSocketServer } from "ws";
import { CERTIFICATE, PRIVATE_KEY } from "../../adapters/certificate.ts";

const [kind = "tcp", first = "0", count = "0", backlog = "511"] = process.argv.slice(2);
const secure = { cert: CERTIFICATE, key: PRIVATE_KEY };
/** The connections of each server. */
const open: Set<Socket>[] = [];

await Promise.all(Array.from({ length: Number(count) }, (_, index) => listen(index)));
process.send?.("ready");
process.on("message", (request) => {
  if (request === "who") process.send?.(open.map((sockets) => [...sockets].map(peerOf)));
});
process.on("disconnect", () => process.exit());

function listen(index: number): Promise<void> {
  const server = make();
  const sockets = new Set<Socket>();
  open[index] = sockets;
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    if (kind === "tcp") socket.on("data", (order) => obey(socket, order.toString()));
  });
  const where = { host: "127.0.0.1", port: Number(first) + index, backlog: Number(backlog) };
  return new Promise((resolve) => server.listen(where, resolve));
}

function make(): Server {
  if (kind === "tls") return createTls(secure, (socket) => socket.on("error", () => {}).resume());
  if (kind === "http") return createHttp(answer);
  if (kind === "https") return createHttps(secure, answer);
  const server = kind === "ws" ? createHttp() : createServer();
  if (kind === "ws") new WebSocketServer({ server: server as ReturnType<typeof createHttp> });
  return server;
}

/** A client may ask to be left. */
function obey(socket: Socket, order: string): void {
  if (order === "end") socket.end();
  if (order === "reset") socket.resetAndDestroy();
}

/** The head of an answer, and never its end: so the connection stays. */
function answer(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { "content-length": "1000" });
  response.write("some of it");
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
