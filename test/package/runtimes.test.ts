// What `npm run test:runtimes` stands on: the scenario finds what is wrong with a package, and
// whatever does not come to an end is ended.

import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import * as portwarden from "../../bindings/index.ts";
import * as portwardenNode from "../../bindings/node/index.ts";
import { freshModule, modulesFor, optionsFor } from "../support/builds.ts";
import { type PortwardenNode, playNode } from "./runtimes/node-scenario.ts";
import { finished, started } from "./runtimes/processes.ts";
import { type Case, checked, lineOf, reportIn, rowOf } from "./runtimes/rows.ts";
import { goOn, LEGS, type Leg, type Portwarden, play, stay } from "./runtimes/scenario.ts";
import { Unavailable } from "./runtimes/tools.ts";

const LIMITS = { cwd: tmpdir(), ms: 500 };
const ENDLESS = ["--eval", "console.log('up'); setInterval(() => {}, 1000)"];

test("the scenario passes on both builds, with the same number of checks", () => {
  const checks = play(portwarden);
  expect(checks).toBeGreaterThan(70);
  expect(play(portwarden, { ...optionsFor("debug"), ...modulesFor("debug") })).toBe(checks);
});

test.each<[string, (broken: Record<string, unknown>) => void]>([
  ["grants a port twice", (broken) => override(broken, "reservePort", () => ({ port: 8080 }))],
  ["says that nothing is free", (broken) => override(broken, "isAvailable", () => false)],
  ["has no cooldown", (broken) => Object.assign(broken, { Refusal: { COOLING: -99 } })],
  ["has no LinuxPorts", (broken) => Object.assign(broken, { LinuxPorts: undefined })],
])("a package that %s is found out", (_name, spoil) => {
  const broken = { ...portwarden };
  spoil(broken);
  expect(() => play(broken as Portwarden)).toThrow();
});

test("the scenario for Node's hosts passes", async () => {
  const checks = await playNode(portwarden, portwardenNode, freshModule("release"));
  expect(checks).toBeGreaterThan(20);
});

test.each<[string, Partial<portwardenNode.Connector>]>([
  ["rejects with", { connect: (): Promise<never> => Promise.reject(new Error("an object")) }],
  [
    "calls back with",
    {
      dial: (_to, dial, done) => {
        const ends = { host: "127.0.0.1", port: 9, family: 4, localAddress: "127.0.0.1" };
        dial({ ...ends, localPort: 0 }).on("error", () => done(new Error("an object"), null));
      },
    },
  ],
])("a connector that %s an error of its own is found out", async (_name, broken) => {
  const createConnector: PortwardenNode["createConnector"] = (options) =>
    Object.assign(portwardenNode.createConnector(options), broken);
  const node = { ...portwardenNode, createConnector };
  const played = playNode(portwarden, node, freshModule("release"));
  await expect(played).rejects.toThrow(/: expected/);
});

test("a manager that is moved answers as one that stays, and one without its snapshot does not", () => {
  const legs: Leg[] = [];
  while (legs.length < LEGS) legs.push(goOn(portwarden, legs.at(-1)?.snapshot ?? ""));
  const stayed = stay(portwarden);
  expect(legs.flatMap(({ ports }) => ports)).toEqual(stayed);
  expect(legs.flatMap(() => goOn(portwarden, "").ports)).not.toEqual(stayed);
});

test("a process that does not end is ended", async () => {
  await expect(finished(process.execPath, ENDLESS, LIMITS)).rejects.toThrow("not done after 0.5 s");
  const server = await started(process.execPath, ENDLESS, /u(p)/, { ...LIMITS, ms: 10_000 });
  expect(server.ready[1]).toBe("p");
  server.stop();
  await expect(started(process.execPath, ENDLESS, /never/, LIMITS)).rejects.toThrow("not ready");
});

test("a process that fails says why", async () => {
  const args = ["--eval", "console.error('broken'); process.exitCode = 3"];
  const limits = { ...LIMITS, ms: 10_000 };
  await expect(finished(process.execPath, args, limits)).rejects.toThrow(/ended with 3\s+broken/);
  await expect(finished("no-such-program", [], limits)).rejects.toThrow("ENOENT");
});

test("rows pass, fail, are skipped, or end", async () => {
  const report = { checks: 77, coldMs: 12.34, pickNs: 5.67, version: "1.2.3" };
  const rows = [
    await rowOf(
      caseOf(async () => report),
      1000,
    ),
    await rowOf(
      caseOf(() => Promise.reject(new Error("wrong"))),
      1000,
    ),
    await rowOf(
      caseOf(() => Promise.reject(new Unavailable("nowhere"))),
      1000,
    ),
    await rowOf(
      caseOf(() => new Promise(() => {})),
      20,
    ),
  ];
  expect(rows.map(({ state }) => state)).toEqual(["passed", "failed", "skipped", "failed"]);
  const lines = rows.map((row) => lineOf(row).replace(/ +/g, " "));
  expect(lines[0]).toBe("Node import 1.2.3 passed 77 12.3 ms 5.7 ns");
  expect(lines[1]).toMatch(/failed\n wrong$/);
  expect(lines[2]).toMatch(/skipped\n nowhere$/);
  expect(lines[3]).toMatch(/failed\n not done after 0.02 s$/);
});

test("a report that is missing, or looked at next to nothing, is none", () => {
  expect(() => reportIn("hello")).toThrow("nothing was reported");
  expect(() => checked({ checks: 3, coldMs: 1, pickNs: 1 })).toThrow("only 3 checks");
});

function caseOf(run: Case["run"]): Case {
  return { runtime: "Node", how: "import", run };
}

/** A PortManager whose managers have another method. */
function override(broken: Record<string, unknown>, name: string, method: () => unknown): void {
  const open = (options: object): object =>
    new Proxy(portwarden.PortManager.open(options), {
      get: (manager, asked) => {
        if (asked === name) return method;
        const value: unknown = Reflect.get(manager, asked, manager);
        return typeof value === "function" ? value.bind(manager) : value;
      },
    });
  broken.PortManager = { open };
}
