// Fixture: local servers and a connector for one test, and the checks at its end.

import http, { type RequestListener } from "node:http";
import https from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect } from "vitest";
import {
  type Connector,
  type ConnectorOptions,
  createConnector,
  type LookupAddress,
} from "../../../bindings/node/index.ts";
import { freshSources, until } from "../../support/connectors.ts";
import { CERTIFICATE, PRIVATE_KEY } from "./certificate.ts";

/** New ones for each test: what another has used may not be quite closed. */
export const SOURCES: [string, string] = ["", ""];
export const RANGE: { first: number; last: number } = { first: 41_000, last: 41_063 };
/** A connector's options with one port. */
export const ONE: { readonly sources: string; readonly portRange: typeof RANGE } = {
  get sources() {
    return SOURCES[0];
  },
  portRange: { first: RANGE.first, last: RANGE.first },
};
export const TLS_SERVER: { cert: string; key: string } = { cert: CERTIFICATE, key: PRIVATE_KEY };

/** Where a connection came from. */
export interface Came {
  readonly address: string;
  readonly port: number;
}

const cleanups: (() => void | Promise<void>)[] = [];
const connectors: Connector[] = [];

beforeEach(() => {
  [SOURCES[0], SOURCES[1]] = freshSources(2) as [string, string];
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  for (const connector of connectors.splice(0)) await expectNothingHeld(connector);
});

/** Done at the end of the test, last first. */
export function atEnd(cleanup: () => void | Promise<void>): void {
  cleanups.push(cleanup);
}

/** A connector that must hold nothing at the end. */
export function connect(options: Partial<ConnectorOptions> = {}): Connector {
  const connector = createConnector({
    sources: SOURCES,
    portRange: RANGE,
    cooldown: "none",
    // What we have just closed lingers until the server has closed it, too.
    quarantine: 50,
    lookup: lookupLoopback,
    ...options,
  });
  connectors.push(connector);
  return connector;
}

async function expectNothingHeld(connector: Connector): Promise<void> {
  const isQuiet = (): boolean => connector.metrics().held + connector.metrics().waiting === 0;
  await until(isQuiet);
  const { held, waiting, picks, released } = connector.metrics();
  expect({ held, waiting, open: picks - released }).toEqual({ held: 0, waiting: 0, open: 0 });
}

/** Every name is this machine, but for those that end in `.invalid`. */
function lookupLoopback(
  hostname: string,
  _options: object,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
): void {
  const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), {
    code: "ENOTFOUND",
  });
  process.nextTick(() => {
    if (hostname.endsWith(".invalid")) callback(error, []);
    else callback(null, [{ address: "127.0.0.1", family: 4 }]);
  });
}

/** A server that is closed, with its connections, at the end. */
export interface Fixture {
  readonly port: number;
  /** All connections that there have been. */
  readonly came: readonly Came[];
  /** Those that are open. */
  readonly open: ReadonlySet<Socket>;
}

/** Has a server listen on 127.0.0.1, and notes its clients. */
export async function fixtureOf(server: Server): Promise<Fixture> {
  const came: Came[] = [];
  const open = new Set<Socket>();
  server.on("connection", (socket) => {
    came.push({ address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 });
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of open) socket.destroy();
    await closed;
  });
  return { port: (server.address() as AddressInfo).port, came, open };
}

/** Another program's socket on a port of ours, until the end. */
export async function listenAt(address: string, port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  atEnd(async () => {
    await new Promise((resolve) => server.close(resolve));
  });
}

/** An HTTP server that by default answers with the port that the request came from. */
export function httpFixture(listener: RequestListener = tellPort): Promise<Fixture> {
  return fixtureOf(http.createServer(listener));
}

/** The same with TLS. */
export function httpsFixture(listener: RequestListener = tellPort): Promise<Fixture> {
  return fixtureOf(https.createServer(TLS_SERVER, listener));
}

const tellPort: RequestListener = ({ socket }, response) => {
  response.end(`${socket.remoteAddress}:${socket.remotePort}`);
};

/** The body of the answer. */
export function get(url: string, options: https.RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const { request } = url.startsWith("https:") ? https : http;
    request(url, options, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text) => {
        body += text;
      });
      response.on("end", () => resolve(body));
      response.on("error", reject);
    })
      .on("error", reject)
      .end();
  });
}

/** All came from our sources and ports, and no two from the same. */
export function expectOurs(came: readonly Came[]): void {
  for (const { address, port } of came) {
    expect(SOURCES).toContain(address);
    expect(port).toBeGreaterThanOrEqual(RANGE.first);
    expect(port).toBeLessThanOrEqual(RANGE.last);
  }
}

/** Port 1 of loopback, where no socket listens, refuses. */
export const DEAD_PORT = 1;

export interface OneHeld {
  readonly connector: Connector;
  readonly holder: Socket;
  readonly url: string;
}

/** A connector that waits for its only port, which one connection to the server has. */
export async function oneHeld(server: Fixture): Promise<OneHeld> {
  const connector = connect({ ...ONE, wait: true });
  const holder = await connector.connect({ host: "127.0.0.1", port: server.port });
  return { connector, holder, url: `http://127.0.0.1:${server.port}/` };
}
