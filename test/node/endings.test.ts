// Endings: a port comes back when its socket has closed, whatever the program has done to the
// socket, and cools down where the system keeps the tuple in TIME_WAIT.

import { EventEmitter, once } from "node:events";
import { connect, Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, connect as tlsConnect } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import type { Connector } from "../../bindings/node/index.ts";
import { connectorWith, dialled, serve, until } from "../support/connectors.ts";
import { CERTIFICATE, PRIVATE_KEY } from "./adapters/certificate.ts";

type End = [what: string, end: (socket: Socket) => unknown];

const ENDS: End[] = [
  ["destroy()", (socket) => socket.destroy()],
  ["destroy(error)", (socket) => socket.destroy(new Error("enough"))],
  ["resetAndDestroy()", (socket) => socket.resetAndDestroy()],
  ["end()", (socket) => socket.resume().end()],
  ["destroySoon()", (socket) => socket.destroySoon()],
];

/** No listener is left, but for one that keeps errors from ending the process. */
function strip(socket: Socket): void {
  EventEmitter.prototype.removeAllListeners.call(socket);
  socket.on("error", () => {});
}

/** Until it has closed, with an error or without. */
function closeOf(socket: Socket): Promise<unknown> {
  return new Promise((done) => socket.on("error", () => {}).once("close", done));
}

async function expectReleased(connector: Connector): Promise<void> {
  await until(() => connector.metrics().held === 0, "the port");
  expect(connector.metrics()).toMatchObject({ picks: 1, released: 1, waiting: 0 });
}

test.each(ENDS)("a socket without listeners gives its port back by %s", async (_, end) => {
  const connector = connectorWith();
  const { to } = await serve();
  const socket = await connector.connect(to);
  strip(socket);
  // Node's own listener, which ends our side, is gone as well.
  socket.on("end", () => socket.end());
  end(socket);
  await expectReleased(connector);
});

// Node resets no TLS sockets.
const TLS_ENDS = ENDS.filter(([what]) => what !== "resetAndDestroy()");

test.each(TLS_ENDS)("a TLS socket without listeners gives its port back by %s", async (_, end) => {
  const connector = connectorWith();
  const server = createTlsServer({ key: PRIVATE_KEY, cert: CERTIFICATE }, (socket) => {
    socket.on("error", () => {}).resume();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const tls = { rejectUnauthorized: false };
  const socket: TLSSocket = await connector.connect({ host: "127.0.0.1", port, tls });
  strip(socket);
  socket.on("end", () => socket.end());
  end(socket);
  await expectReleased(connector);
});

test("a socket that is wrapped in TLS by its user gives its port back without listeners", async () => {
  const connector = connectorWith();
  const { to } = await serve();
  const socket = await connector.connect(to);
  const wrapped = tlsConnect({ socket, rejectUnauthorized: false }).on("error", () => {});
  socket.removeAllListeners("close");
  wrapped.destroy();
  await expectReleased(connector);
});

test("a socket that is closed before it connects gives its port back without listeners", async () => {
  const connector = connectorWith();
  const sockets: Socket[] = [];
  const dial: Dial = () => {
    const socket = new Socket();
    sockets.push(socket);
    return socket;
  };
  const failed = dialled(connector, { host: "127.0.0.1", port: 9 }, dial);
  strip(sockets[0] as Socket);
  sockets[0]?.destroy();
  await expect(failed).rejects.toMatchObject({ code: "ECONNABORTED" });
  await expectReleased(connector);
});

test("the port is back before the socket's listeners of close are called", async () => {
  const connector = connectorWith();
  const { to } = await serve();
  const held: number[] = [];
  for (const [, end] of ENDS) {
    const socket = await connector.connect(to);
    socket.prependListener("close", () => held.push(connector.metrics().held));
    const closed = closeOf(socket);
    end(socket);
    await closed;
  }
  expect(held).toEqual(ENDS.map(() => 0));
});

test.each([
  ["destroy", (socket: Socket) => socket.destroy()],
  ["final", (socket: Socket) => socket.resume().end()],
])(
  "a %s method that the socket was made with is still called, and its class's",
  async (name, end) => {
    const connector = connectorWith();
    const { to } = await serve();
    const calls: string[] = [];
    const dial: Dial = (ends) => {
      const socket = connect(ends);
      const before = Reflect.get(socket, `_${name}`);
      Reflect.set(socket, `_${name}`, (...given: unknown[]) => {
        calls.push("own");
        before.apply(socket, given);
      });
      return socket;
    };
    end(await dialled(connector, to, dial));
    await expectReleased(connector);
    expect(calls).toEqual(["own"]);
  },
);

test.each<[string, number, (ours: Socket, theirs: Socket) => Promise<unknown>]>([
  [
    "the other side ends first",
    0,
    async (ours, theirs) => {
      theirs.end();
      await once(ours.resume(), "close");
    },
  ],
  [
    "the other side ends first, and the socket is destroyed then",
    0,
    async (ours, theirs) => {
      theirs.end();
      await once(ours.resume(), "end");
      ours.destroy();
    },
  ],
  [
    "our side ends first",
    1,
    async (ours) => {
      ours.resume().end();
      await once(ours, "close");
    },
  ],
  ["our side destroys the socket", 1, async (ours) => void ours.destroy()],
  ["our side resets the connection", 0, async (ours) => void ours.resetAndDestroy()],
  [
    "the other side resets the connection",
    0,
    async (ours, theirs) => {
      theirs.resetAndDestroy();
      await closeOf(ours);
    },
  ],
])("a port cools down only where the system keeps its tuple: %s", async (_, cooled, end) => {
  for (const isStripped of [false, true]) {
    const connector = connectorWith({ cooldown: 60_000 });
    const { to, sockets } = await serve();
    const ours = await connector.connect(to);
    await until(() => sockets.size === 1, "the server's end");
    const [theirs] = [...sockets] as [Socket];
    if (isStripped) {
      strip(ours);
      ours.on("end", () => ours.end());
    }
    await end(ours, theirs.resume());
    await expectReleased(connector);
    expect(connector.metrics().cooledDown).toBe(cooled);
  }
});
