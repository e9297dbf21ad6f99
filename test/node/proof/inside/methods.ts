// Methods: how a program may open connections from one source, each as its users would.

import { type ClientRequest, get as httpGet, type IncomingMessage } from "node:http";
import { get as httpsGet } from "node:https";
import { connect as netConnect, type Socket } from "node:net";
import autocannon from "autocannon";
import { Agent as UndiciAgent } from "undici";
import { WebSocket } from "ws";
import {
  autocannonSetup,
  type Connector,
  connectionFor,
  HttpPortAgent,
  HttpsPortAgent,
  PortSocket,
  undiciConnect,
} from "../../../../bindings/node/index.ts";
import { CERTIFICATE } from "../../adapters/certificate.ts";
import { HOST, type Kind } from "./hosts.ts";

/** What a client is made with. */
interface Fixture {
  readonly connector: Connector;
  readonly source: string;
  /** Connections to each destination. */
  readonly each: number;
  readonly onFailure: (error: Error) => void;
}

/** Opens connections and keeps them open. */
interface Client {
  /** Opens all connections to a server; done when each is open or has failed. */
  openAll(port: number): Promise<unknown>;
  close(): Promise<unknown> | unknown;
}

export interface Method {
  readonly kind: Kind;
  client(fixture: Fixture): Client;
}

export const METHODS: Readonly<Record<string, Method>> = {
  "localAddress alone": {
    kind: "tcp",
    client: ({ source, ...fixture }) =>
      ofSockets(fixture, (port) =>
        connected(netConnect({ host: HOST, port, localAddress: source })),
      ),
  },
  "the system's choice": {
    kind: "tcp",
    client: (fixture) => ofSockets(fixture, (port) => connected(netConnect({ host: HOST, port }))),
  },
  "connector.connect": {
    kind: "tcp",
    client: (fixture) =>
      ofSockets(fixture, (port) => fixture.connector.connect({ host: HOST, port })),
  },
  "connector.connect, TLS": {
    kind: "tls",
    client: (fixture) =>
      ofSockets(fixture, (port) =>
        fixture.connector.connect({ host: HOST, port, tls: { ca: CERTIFICATE } }),
      ),
  },
  PortSocket: {
    kind: "tcp",
    client: (fixture) =>
      ofSockets(fixture, (port) =>
        connected(new PortSocket(fixture.connector).connect(port, HOST)),
      ),
  },
  "http.Agent": {
    kind: "http",
    client: (fixture) => {
      const agent = new HttpPortAgent(fixture.connector);
      return ofRequests(fixture, (port) => httpGet({ agent, host: HOST, port }));
    },
  },
  "https.Agent": {
    kind: "https",
    client: (fixture) => {
      const agent = new HttpsPortAgent(fixture.connector, { ca: CERTIFICATE });
      return ofRequests(fixture, (port) => httpsGet({ agent, host: HOST, port }));
    },
  },
  "http.request with createConnection": {
    kind: "http",
    client: (fixture) => {
      const createConnection = connectionFor(fixture.connector);
      return ofRequests(fixture, (port) => httpGet({ createConnection, host: HOST, port }));
    },
  },
  undici: { kind: "http", client: (fixture) => ofUndici(fixture, "http") },
  "undici, TLS": { kind: "https", client: (fixture) => ofUndici(fixture, "https") },
  ws: {
    kind: "ws",
    client: (fixture) =>
      ofWebSockets(fixture, {
        createConnection: connectionFor(fixture.connector) as typeof netConnect,
      }),
  },
  autocannon: { kind: "http", client: (fixture) => ofAutocannon(fixture, "http") },
  "autocannon, TLS": { kind: "https", client: (fixture) => ofAutocannon(fixture, "https") },
  "ws with http.Agent": {
    kind: "ws",
    client: (fixture) => ofWebSockets(fixture, { agent: new HttpPortAgent(fixture.connector) }),
  },
};

/** A client that opens one socket at a time. */
function ofSockets(
  { each, onFailure }: Pick<Fixture, "each" | "onFailure">,
  open: (port: number) => Promise<Socket>,
): Client {
  const sockets: Socket[] = [];
  return {
    openAll: (port) => all(each, async () => sockets.push(await open(port)), onFailure),
    close: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A client of requests whose answers do not end. */
function ofRequests({ each, onFailure }: Fixture, get: (port: number) => ClientRequest): Client {
  const requests: ClientRequest[] = [];
  const answered = (port: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const request = get(port).on("response", (answer) => resolve(quiet(answer)));
      requests.push(request.on("error", reject));
    });
  return {
    openAll: (port) => all(each, () => answered(port), onFailure),
    close: () => {
      for (const request of requests) request.destroy();
    },
  };
}

/** An answer that is broken off when the client closes. */
function quiet(answer: IncomingMessage): IncomingMessage {
  return answer.on("error", () => {}).resume();
}

function ofUndici({ connector, each, onFailure }: Fixture, scheme: "http" | "https"): Client {
  const agent = new UndiciAgent({ connect: undiciConnect(connector, { ca: CERTIFICATE }) });
  const answered = async (port: number): Promise<void> => {
    const origin = `${scheme}://${HOST}:${port}`;
    const { body } = await agent.request({ origin, path: "/", method: "GET" });
    body.on("error", () => {}).resume();
  };
  return {
    openAll: (port) => all(each, () => answered(port), onFailure),
    close: () => agent.destroy(),
  };
}

/**
 * autocannon opens its connections by itself, and sends on each a request that is not answered to
 * the end.
 */
function ofAutocannon({ connector, each, onFailure }: Fixture, scheme: "http" | "https"): Client {
  const runs: autocannon.Instance[] = [];
  const setupClient = autocannonSetup(connector);
  return {
    openAll: async (port) => {
      const url = `${scheme}://${HOST}:${port}`;
      const run = autocannon(
        { url, connections: each, setupClient, duration: 60, timeout: 60 },
        () => {},
      );
      runs.push(run.on("reqError", onFailure));
    },
    close: () => {
      for (const run of runs) run.stop?.();
    },
  };
}

function ofWebSockets({ each, onFailure }: Fixture, options: WebSocket.ClientOptions): Client {
  const sockets: WebSocket[] = [];
  const opened = (port: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://${HOST}:${port}/`, options);
      sockets.push(socket.on("open", resolve).on("error", reject));
    });
  return {
    openAll: (port) => all(each, () => opened(port), onFailure),
    close: () => {
      for (const socket of sockets) socket.terminate();
    },
  };
}

/** Does it so many times at once. */
function all(
  count: number,
  once: () => Promise<unknown>,
  onFailure: (error: Error) => void,
): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, () => once().catch(onFailure)));
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket)).once("error", reject);
  });
}
