// Servers for stores of blocks: Redis and etcd, where they are installed, on loopback at free
// ports, with nothing on disk that stays.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FOLDERS = (process.env.PATH ?? "").split(":");
const READY_MS_MAX = 600_000;

/** A server that was started. */
export interface StoreServer {
  readonly port: number;
  /** Ends it at once. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again at the same port, without its data. */
  restart(): Promise<void>;
}

/** Is a program of that name installed? */
export function isInstalled(program: string): boolean {
  return FOLDERS.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export async function startRedis(more: readonly string[] = []): Promise<StoreServer> {
  const port = await freePort();
  const args = [
    ...["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    ...more,
  ];
  return start("redis-server", port, () => args);
}

export async function startEtcd(): Promise<StoreServer> {
  const [port, peers] = [await freePort(), await freePort()];
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peers}`];
  return start("etcd", port, (folder) => [
    ...["--data-dir", folder, "--log-level", "error"],
    ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
    ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
    ...["--initial-cluster", `default=${peerUrl}`],
  ]);
}

async function start(
  program: string,
  port: number,
  argsIn: (folder: string) => string[],
): Promise<StoreServer> {
  let child: ChildProcess;
  let folder = "";
  const run = async (): Promise<void> => {
    folder = mkdtempSync(join(tmpdir(), "portwarden-store-"));
    child = spawn(program, argsIn(folder), { cwd: folder, stdio: "ignore" });
    await accepting(port, child);
  };
  const kill = async (signal: NodeJS.Signals = "SIGKILL"): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill(signal);
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  await run();
  return {
    port,
    kill,
    restart: async () => {
      await kill();
      await run();
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function accepting(port: number, child: ChildProcess): Promise<void> {
  const end = performance.now() + READY_MS_MAX;
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) return;
    if (child.exitCode !== null || performance.now() > end) {
      throw new Error(`${child.spawnfile} did not start at port ${port}`);
    }
    await new Promise((done) => setTimeout(done, 20));
  }
}
