// `portwarden with`: a command runs with ports of its own in its environment.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { firstLine } from "../support/captured.ts";
import { MAIN, run } from "./run.ts";

const RANGE = ["--range", "12300-12309"];

/** Runs `portwarden with` and a script of Node as its command. */
function start(options: readonly string[], script: string) {
  const args = [MAIN, "with", ...options, "--", process.execPath, "--eval", script];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const written = { out: "", errors: "" };
  child.stdout.on("data", (data) => {
    written.out += data;
  });
  child.stderr.on("data", (data) => {
    written.errors += data;
  });
  const end = once(child, "close").then(([code, signal]) => ({ code, signal, ...written }));
  return { child, end };
}

describe.runIf(process.platform === "linux")("portwarden with", () => {
  test("the command has its ports, listens on them, and its exit code is passed on", async () => {
    const script = `
      const { PORT, ADMIN_PORT } = process.env;
      require("node:net").createServer().listen(PORT, function () {
        console.log(JSON.stringify({ ports: [Number(PORT), Number(ADMIN_PORT)], args: process.argv.slice(1) }));
        process.exit(7);
      });`;
    const options = ["--ports", "PORT,ADMIN_PORT", ...RANGE, "--contiguous"];
    const { code, out, errors } = await start(options, script).end;
    expect({ code, errors }).toEqual({ code: 7, errors: "" });
    const [port, adminPort] = JSON.parse(out).ports;
    expect(port).toBeGreaterThanOrEqual(12_300);
    expect(adminPort).toBe(port + 1);
  });

  test("while the command runs its ports are leased to no other, and a signal is passed on", async () => {
    const one = ["--ports", "PORT", "--range", "12310-12310"];
    const waiting = `
      process.on("SIGTERM", () => process.exit(9));
      console.log("up");
      setInterval(() => {}, 1000);`;
    const first = start(one, waiting);
    expect(await firstLine(first.child.stdout)).toBe("up");
    const refused = await start(one, "").end;
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.errors).toBe(
      "portwarden: EADDRINUSE: no port of 12310 can be had: others listen there, or have leased them\n",
    );
    first.child.kill("SIGTERM");
    expect(await first.end).toMatchObject({ code: 9, signal: null });
    expect(await start(one, "").end).toMatchObject({ code: 0 });
  });

  test("a command that a signal ends has 128 and its number as exit code", async () => {
    const { code } = await start(["--ports", "PORT"], "process.kill(process.pid, 'SIGKILL')").end;
    expect(code).toBe(137);
  });

  test("a command that is not there, or may not be run, is told", async () => {
    expect(await run("with --ports PORT -- no-such-command --json")).toEqual({
      code: 127,
      out: "",
      errors: 'portwarden: "no-such-command" cannot be run: there is no such command\n',
    });
    expect(await run("with --ports PORT -- /dev/null")).toMatchObject({ code: 126 });
  });
});

test.each([
  ["with", "--ports is needed, for instance --ports PORT,ADMIN_PORT"],
  ["with --ports PORT", "a command is needed behind --"],
  ["with --ports PORT --", "a command is needed behind --"],
  ["with --ports 1PORT -- true", "--ports must be up to 1000 different names of variables"],
  ["with --ports PORT,PORT -- true", "--ports must be up to 1000 different names of variables"],
  ["with --ports PORT --range 9-1 -- true", "--range must be two ports"],
  ["with --ports A,B --range 9-9 -- true", "--range must be as many ports as --ports has names, 2"],
  ["with --ports PORT true", 'portwarden with takes options only, and "true" is none'],
])("the command line %s is not understood", async (line, message) => {
  const { code, out, errors } = await run(line);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(errors).toContain(message);
});

test("with --help names its options and exit codes", async () => {
  const { code, out } = await run("with --help");
  expect(code).toBe(0);
  for (const word of ["--ports LIST", "--range A-B", "--contiguous", "127"])
    expect(out).toContain(word);
});
