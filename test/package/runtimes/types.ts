// Types: programs that use the package, compiled by several lines of TypeScript. Declarations of
// libraries are checked as well, and an option that is absent may be there as `undefined`.

import { join } from "node:path";
import { fresh, ROOT } from "./fresh.ts";
import { finished } from "./processes.ts";
import type { Case, Outcome } from "./rows.ts";
import { script, type Tool, versionOf } from "./tools.ts";

const MS_MAX = 120_000;

/** Needs only the libraries that the compiler's options name, and no types of Node. */
const MAIN = `import {
  IPV4, LinuxPorts, PortGroups, PortManager, type Reservation, ReservedPorts, TCP,
} from "portwarden";

const ports: PortManager = PortManager.open({
  seed: undefined, portRange: undefined, memoryLimit: undefined, cooldown: undefined,
});
const reserved = new ReservedPorts("8080");
const key = { networks: [IPV4], transport: TCP, address: undefined, group: undefined } as const;
const held: Reservation = ports.reservePort({ ...key, port: undefined, reserved });
export const port: number = held.port;
ports.pool({ ...key, destination: undefined, cooldown: { period: 1, whenCooling: undefined } });
PortGroups.open({ module: undefined }).create("/web", { bindPortRange: undefined });
LinuxPorts.open({ seed: undefined, rules: undefined }).socket({ reuseAddr: undefined }).bind("", 0);
export const end: () => void = ports[Symbol.dispose];
// @ts-expect-error Types are there, so this is none.
ports.reservePort({ networks: "4" });
// @ts-expect-error There is no such option.
PortManager.open({ sead: 1 });
`;

const NODE = `import { get } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import {
  autocannonSetup, type Connector, ConnectorError, connectionInfo, createConnector, HttpPortAgent,
  type Lookup, undiciConnect,
} from "portwarden/node";

const lookup: Lookup = (_name, { family: _, hints: __ }, done) => done(null, []);
const connector: Connector = createConnector({
  sources: "127.0.0.1", lookup, quarantine: undefined, group: undefined, wait: undefined,
});
const to = { host: "localhost", port: 80, signal: undefined, localAddress: undefined };
const socket: Promise<Socket> = connector.connect(to);
socket.then((open) => [connectionInfo(open)?.port, open.address() as AddressInfo]);
socket.catch((error: unknown) => error instanceof ConnectorError && error.exhausted);
get({ host: "localhost", agent: new HttpPortAgent(connector, { stickyKey: undefined }) });
export const made: unknown[] = [undiciConnect(connector, { timeout: undefined }), autocannonSetup];
export const end: () => void = connector[Symbol.dispose];
// @ts-expect-error Types are there, so this is none.
connector.connect({ host: 1, port: 80 });
`;

/** A program that must not compile, so that compiling says something. */
const WRONG = `import { PortManager } from "portwarden";
export const port: string = PortManager.open().portRange().first;
`;

const FILES = { "main.mts": MAIN, "node.mts": NODE, "wrong.mts": WRONG };
const RESOLUTIONS = [
  ["NodeNext", "NodeNext"],
  ["ESNext", "Bundler"],
] as const;

export const TYPES: readonly Case[] = (
  ["typescript5.4", "typescript5.9", "typescript7"] as const
).map((tool) => ({
  runtime: tool.replace("typescript", "TypeScript "),
  how: "declarations",
  run: () => compiled(tool),
}));

async function compiled(tool: Tool): Promise<Outcome> {
  const compiler = await script(tool);
  const folder = await fresh(FILES);
  const compile = (file: string, module: string, resolution: string): Promise<string> => {
    const types = join(ROOT, "node_modules", "@types");
    const withNode = ["--types", "node", "--typeRoots", types];
    return finished(
      process.execPath,
      [
        ...[compiler, "--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "ES2022"],
        ...["--lib", "es2023,dom", "--skipLibCheck", "false", "--module", module],
        ...["--moduleResolution", resolution, ...(file === "node.mts" ? withNode : []), file],
      ],
      { cwd: folder, ms: MS_MAX },
    );
  };
  let checks = 0;
  for (const [module, resolution] of RESOLUTIONS) {
    for (const file of ["main.mts", "node.mts"]) {
      await compile(file, module, resolution);
      checks += 1;
    }
  }
  const complaint = await compile("wrong.mts", "NodeNext", "NodeNext").catch(String);
  if (!complaint.includes("TS2322")) throw new Error("a wrong program has been compiled");
  return { version: versionOf(tool), checks: checks + 1 };
}
