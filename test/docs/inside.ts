// Runs programs, two at a time, each in a process of its own, and prints their outcomes as JSON. It
// runs in a network namespace of its own where there is one.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { CERTIFICATE, PRIVATE_KEY } from "../node/adapters/certificate.ts";
import type { Example } from "./examples.ts";

const AT_A_TIME = 2;

/** The programs, and how long each may take (ms). */
export interface Task {
  readonly examples: readonly Example[];
  readonly timeoutMs: number;
}

/** How each ended. */
export type Outcomes = Record<string, { readonly wrong: string; readonly out: string }>;

const { examples, timeoutMs } = JSON.parse(process.argv[2] ?? "") as Task;
const scratch = mkdtempSync(join(tmpdir(), "portwarden-docs-"));
const authority = join(scratch, "authority.pem");
writeFileSync(authority, CERTIFICATE);
const outcomes: Outcomes = {};
const waiting = [...examples];
await Promise.all(Array.from({ length: AT_A_TIME }, work));
rmSync(scratch, { recursive: true });
process.stdout.write(JSON.stringify(outcomes));

async function work(): Promise<void> {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const server = next.tlsPort === 0 ? undefined : await serve(next.tlsPort);
    outcomes[next.name] = await run(next.program);
    server?.close();
  }
}

function serve(port: number): Promise<Server> {
  const server = createServer({ cert: CERTIFICATE, key: PRIVATE_KEY }, (peer) => peer.resume());
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

function run(program: string): Promise<Outcomes[string]> {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: authority };
  return new Promise((resolve) => {
    const options = { env, timeout: timeoutMs, killSignal: "SIGKILL" } as const;
    execFile(process.execPath, [program], options, (error, out, errors) => {
      const why = error?.killed === true ? `has not ended after ${timeoutMs} ms` : errors;
      resolve({ wrong: error === null ? "" : why, out });
    });
  });
}
