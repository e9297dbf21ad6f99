// workerd: a Worker that answers requests on loopback. It may not compile WebAssembly at run time, so the package
// brings its modules as imports there (condition `workerd`). esbuild puts the Worker together, as wrangler does.
//
// A Worker's clock stands still while it computes, so it is timed from outside: what a request for many picks takes
// beyond one for none.

import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fresh } from "./fresh.ts";
import { finished, type Running, started } from "./processes.ts";
import { type Case, checked, type Outcome, thrice } from "./rows.ts";
import { program } from "./tools.ts";

const MS_MAX = 60_000;
const READY_MS_MAX = 30_000;
const BATCHES = 20_000;
const BATCH = 256;
const TRIES = 3;
/** Which of a Worker's globals there are; on the early one no FinalizationRegistry. */
const LATE = "2025-11-01";
const EARLY = "2023-03-01";

const ANSWERING = `
export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    try {
      prepare();
      if (pathname === "/picks") pick(portwarden, modules, Number(searchParams.get("batches")));
      return Response.json({ checks: pathname === "/play" ? play(portwarden, modules) : 0 });
    } catch (error) {
      return new Response(String(error.stack), { status: 500 });
    }
  },
};
`;

const BY_CONDITION = `import * as portwarden from "portwarden";
import { pick, play } from "./scenario.js";
const modules = {};
// Outside of a handler a Worker has no random values, and the host says so; nothing is broken by that.
let refusal = "none";
try {
  portwarden.PortManager.open();
} catch (error) {
  refusal = String(error);
}
const prepare = () => {
  if (!/global scope/.test(refusal)) throw new Error("refused in the global scope: " + refusal);
};
${ANSWERING}`;

/** A bundler that knows no such condition, so that the text inside is what there is. */
const BY_MODULE = `import * as portwarden from "portwarden";
import module from "portwarden/core.wasm";
import linuxModule from "portwarden/linux.wasm";
import cooldownModule from "portwarden/cooldown.wasm";
import { pick, play } from "./scenario.js";
const modules = { module, linuxModule, cooldownModule };
const prepare = () => {
  let refusal;
  try {
    portwarden.PortManager.open();
  } catch (error) {
    refusal = error;
  }
  const { code, message } = refusal ?? {};
  if (code === "ERR_WEBASSEMBLY_NOT_SUPPORTED" && message.includes("open({ module })")) return;
  throw new Error("no clear error: " + code + ": " + message);
};
${ANSWERING}`;

export const WORKERS: readonly Case[] = [
  { runtime: "workerd", how: "its condition", run: () => worker(BY_CONDITION, ["workerd"], LATE) },
  {
    runtime: "workerd",
    how: "open({ module })",
    run: async () => {
      const note = `without its condition open() threw ERR_WEBASSEMBLY_NOT_SUPPORTED; ${EARLY}`;
      return { ...(await worker(BY_MODULE, [], EARLY)), note };
    },
  },
];

async function worker(text: string, conditions: readonly string[], date: string): Promise<Outcome> {
  const { path, version } = await program("workerd");
  const folder = await fresh({ "worker.js": text });
  await bundle(folder, conditions);
  return thrice(() => asked(path, folder, version, date));
}

async function asked(
  path: string,
  folder: string,
  version: string,
  date: string,
): Promise<Outcome> {
  const running = await serve(path, folder, date);
  try {
    const url = `http://127.0.0.1:${running.ready[1]}`;
    const before = performance.now();
    await ask(`${url}/picks?batches=1`);
    const coldMs = performance.now() - before;
    const { checks } = checked({ ...(await ask(`${url}/play`)), coldMs, pickNs: 0 });
    return { checks, coldMs, pickNs: await timePicks(url), version };
  } finally {
    running.stop();
  }
}

/** Modules that are WebAssembly are files beside it, which it imports. */
async function bundle(folder: string, conditions: readonly string[]): Promise<void> {
  const { path } = await program("esbuild");
  const args = [
    ...["worker.js", "--bundle", "--format=esm", "--outdir=dist", "--loader:.wasm=copy"],
    ...["--asset-names=[name]", `--conditions=${conditions.join(",")}`],
  ];
  await finished(path, args, { cwd: folder, ms: MS_MAX });
}

async function serve(path: string, folder: string, date: string): Promise<Running> {
  const parts = readdirSync(join(folder, "dist")).map((name) => {
    const kind = name.endsWith(".wasm") ? "wasm" : "esModule";
    return `(name = "${name}", ${kind} = embed "dist/${name}")`;
  });
  // The first is the one that answers.
  parts.sort((a, b) => Number(b.includes("esModule")) - Number(a.includes("esModule")));
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [${parts.join(", ")}],
    compatibilityDate = "${date}",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;
  writeFileSync(join(folder, "config.capnp"), config);
  const args = ["serve", "config.capnp", "--control-fd=1"];
  return started(path, args, /"port":(\d+)/, { cwd: folder, ms: READY_MS_MAX });
}

/** Nanoseconds per port, from outside. */
async function timePicks(url: string): Promise<number> {
  const times: number[] = [];
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const none = await timed(() => ask(`${url}/picks?batches=1`));
    const many = await timed(() => ask(`${url}/picks?batches=${BATCHES}`));
    times.push(((many - none) * 1e6) / (BATCHES * BATCH));
  }
  return times.sort((a, b) => a - b)[TRIES >> 1] as number;
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await act();
  return performance.now() - before;
}

async function ask(url: string): Promise<{ checks: number }> {
  const response = await fetch(url, { signal: AbortSignal.timeout(MS_MAX) });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text) as { checks: number };
}
