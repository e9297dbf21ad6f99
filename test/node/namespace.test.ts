// The namespace helper: a program inside has ports and settings of its own, and a time limit.

import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import {
  canMakeNamespace,
  type NamespaceOptions,
  type NamespaceResult,
  runInNamespace,
} from "../../bindings/node/host/namespace.ts";

const RANGE = { first: 40_000, last: 40_063 };
const SETTING = "/proc/sys/net/ipv4/ip_local_port_range";
const answer = canMakeNamespace();

describe.runIf(answer.ok)("a network namespace", () => {
  const before = answer.ok ? readFileSync(SETTING, "utf8") : "";
  afterAll(() => expect(readFileSync(SETTING, "utf8")).toBe(before));

  it("has the range and the settings that were asked for, and loopback", async () => {
    const result = await runCode(
      `import { readFileSync } from "node:fs";
       import { connect, createServer } from "node:net";
       const server = createServer((socket) => socket.end()).listen(9, "127.0.0.1", () => {
         const socket = connect(9, "127.0.0.1", () => {
           const setting = (name) => readFileSync("/proc/sys/net/ipv4/" + name, "utf8").trim();
           const { localPort } = socket;
           const range = setting("ip_local_port_range").split(/\\s+/).map(Number);
           console.log(JSON.stringify({ localPort, range, reuse: setting("tcp_tw_reuse") }));
           socket.resume().on("close", () => server.close());
         });
       });`,
      { settings: { tcp_tw_reuse: "0" } },
    );
    expect(result.stderr).toBe("");
    expect(result).toMatchObject({ code: 0, timedOut: false });
    const { localPort, range, reuse } = JSON.parse(result.stdout);
    expect(range).toEqual([RANGE.first, RANGE.last]);
    expect(localPort).toBeGreaterThanOrEqual(RANGE.first);
    expect(localPort).toBeLessThanOrEqual(RANGE.last);
    expect(reuse).toBe("0");
  });

  it("passes arguments as they are, and the exit code on", async () => {
    const odd = ["$(id)", "; exit 3", "--", "a b", "'"];
    const code = "console.log(JSON.stringify(process.argv.slice(1))); process.exitCode = 7;";
    const result = await runInNamespace(["--eval", code, "--", ...odd], {
      portRange: RANGE,
      timeoutMs: 20_000,
    });
    expect(result.code).toBe(7);
    expect(JSON.parse(result.stdout)).toEqual(odd);
  });

  it("kills what takes too long, with its children", async () => {
    const result = await runCode(
      `import { spawn } from "node:child_process";
       const child = spawn("sleep", ["60"]);
       console.log(child.pid);
       setInterval(() => {}, 1000);`,
      { timeoutMs: 1500 },
    );
    expect(result).toMatchObject({ code: 137, timedOut: true });
    const child = Number(result.stdout);
    expect(child).toBeGreaterThan(1);
    await expect.poll(() => isAlive(child)).toBe(false);
  });

  it("refuses settings that are none", async () => {
    await expect(runCode("", { settings: { "../x": "1" } })).rejects.toThrow("../x");
    const result = await runCode("", { settings: { nonsense: "1" } });
    expect(result).toMatchObject({ code: 125, stderr: "net.ipv4.nonsense cannot be set to 1\n" });
  });
});

it("the helper says why it has no network namespace, where it has none", () => {
  if (answer.ok) return expect(answer).toEqual({ ok: true });
  console.warn(`namespace: 4 tests are not run, as no namespace can be made: ${answer.why}`);
  return expect(answer.why).not.toBe("");
});

function runCode(code: string, options: Partial<NamespaceOptions>): Promise<NamespaceResult> {
  const args = ["--input-type=module", "--eval", code];
  return runInNamespace(args, { portRange: RANGE, timeoutMs: 20_000, ...options });
}

/** Whether a process runs; one that has ended and is not waited for yet does not. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
