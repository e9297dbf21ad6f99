// What every host of Node's modules goes through, whatever realm its globals are of: things that a
// caller makes and things that Node makes meet the package here. It is handed both entry points as
// the host has loaded them, and whatever is not as it should be it throws.

import { once } from "node:events";
import { get } from "node:http";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { runInNewContext } from "node:vm";
import { Checks, type Portwarden } from "./scenario.ts";

/** The entry point for Node, however it was loaded. */
export type PortwardenNode = typeof import("../../../bindings/node/index.ts");

interface Host {
  readonly main: Portwarden;
  readonly node: PortwardenNode;
  readonly checks: Checks;
}

const MAKE_ERROR = "Object.assign(new Error('stop'), { code: 'STOP' })";
const RESPONSE = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/**
 * Everything, once. How many things were looked at.
 * @param module `core.wasm`, compiled in the caller's realm.
 */
export async function playNode(
  main: Portwarden,
  node: PortwardenNode,
  module: WebAssembly.Module,
): Promise<number> {
  const host = { main, node, checks: new Checks() };
  arrays(host, module);
  await refusedByServer(host);
  await aborted(host);
  await open(host);
  await agent(host);
  return host.checks.count;
}

function arrays({ main, checks }: Host, module: WebAssembly.Module): void {
  for (const options of [{}, { module }]) {
    const ports = main.PortManager.open(options);
    const pool = ports.pool({ networks: [main.IPV4], transport: main.TCP, address: "10.0.0.1" });
    checks.same(pool.take() >= 16_000, true, "a pool takes a port");
    const others = runInNewContext("new Uint16Array(40)") as Uint16Array;
    for (const array of [new Uint16Array(40), others]) {
      checks.same(pool.takeMany(array), 40, "ports into an array of any realm");
      checks.same(pool.freeMany(array), 40, "and back");
    }
    checks.refused(() => pool.takeMany([] as unknown as Uint16Array), "ERR_INVALID_ARG_TYPE");
    checks.same(pool.held, 1, "what is held");
    ports.close();
  }
}

async function refusedByServer({ node, checks }: Host): Promise<void> {
  const connector = node.createConnector({ sources: "127.0.0.1" });
  const to = { host: "127.0.0.1", port: await closedPort() };
  const error = (await failure(connector.connect(to))) as NodeJS.ErrnoException;
  checks.same(error.code, "ECONNREFUSED", String(error));
  checks.same(error.syscall, "connect", "what was refused");
  let emitted: unknown;
  const dialled = new Promise((_resolve, reject) => {
    const dial = (ends: { host: string; port: number }): Socket =>
      connect(ends).on("error", (error) => {
        emitted = error;
      });
    connector.dial(to, dial, (error) => reject(error));
  });
  checks.same(await failure(dialled), emitted, "the very error that the socket emitted");
  checks.same(connector.metrics().held, 0, "and the port has come back");
  await connector.close();
}

async function aborted({ node, checks }: Host): Promise<void> {
  const connector = node.createConnector({ sources: "127.0.0.1" });
  const reasons = [runInNewContext(MAKE_ERROR), { code: "STOP" }, "stop", null];
  for (const reason of reasons) {
    const controller = new AbortController();
    const to = { host: "127.0.0.1", port: 9, signal: controller.signal };
    const failed = failure(
      new Promise((_resolve, reject) => {
        connector.dial(
          to,
          () => new Socket(),
          (error) => reject(error),
        );
      }),
    );
    controller.abort(reason);
    checks.same(await failed, reason, "the very reason");
  }
  await connector.close();
}

async function open({ node, checks }: Host): Promise<void> {
  const server = createServer((peer) => peer.end(RESPONSE)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connector = node.createConnector({ sources: "127.0.0.1" });
  const socket = await connector.connect({ host: "127.0.0.1", port });
  checks.same(node.connectionInfo(socket)?.port, socket.localPort, "from the port that was picked");
  socket.resume().end();
  await once(socket, "close");
  checks.same(connector.metrics().held, 0, "which has come back");
  await connector.close();
  server.close();
}

async function agent({ node, checks }: Host): Promise<void> {
  const server = createServer((peer) => {
    peer.on("error", () => {}).once("data", () => peer.end(RESPONSE));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connector = node.createConnector({ sources: "127.0.0.1" });
  const agent = new node.HttpPortAgent(connector);
  const status = await new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port, agent }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode));
    });
    request.once("error", reject);
  });
  checks.same(status, 200, "a request by an agent");
  checks.same(connector.metrics().connected, 1, "went through the connector");
  agent.destroy();
  await connector.close();
  server.close();
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("nothing has failed");
}

/** A port at which no socket listens: another socket is bound to it a moment ago. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
