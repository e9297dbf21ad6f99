// The demo behind `npm start`, run as a person would run it: as a process of its own, with its
// output and exit code looked at. The figures on the screen are those that are checked.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const DEMO = fileURLToPath(new URL("../build/bindings/node/demo.js", import.meta.url));
const RUN_MS_MAX = 25_000;
const TEST = { timeout: 30_000 };

const isLinux = process.platform === "linux";
if (!isLinux) console.log("demo: the runs that count on Linux's loopback and limits are skipped");

describe.runIf(isLinux)("on Linux, the demo", () => {
  it("shares 300 ports between 2,400 connections, twice in a row", TEST, async () => {
    for (let round = 0; round < 2; round++) {
      const { code, text, figure } = await run(node());
      expect(code, text).toBe(0);
      expect(figure("connections opened")).toBe(2400);
      expect(figure("open at the same time")).toBe(2400);
      // A few more where other programs have some.
      expect(figure("distinct local ports")).toBeGreaterThanOrEqual(300);
      expect(figure("reuse across destinations")).toBe(2400 - figure("without sharing"));
      expect(figure("reuse across destinations")).toBeGreaterThan(1200);
      expect(figures(text, "portwarden EXHAUSTED")[1]).toBe(8);
      expect(figures(text, "portwarden IN_USE")).toEqual([0, 8]);
      expectAllBack(text);
    }
  });

  it("gives each connection of an address its own port without sharing", TEST, async () => {
    const { code, text, figure } = await run(node("--no-sharing", "--connections", "400"));
    expect(code, text).toBe(0);
    expect(figure("connections opened")).toBe(400);
    expect(figure("destinations per port")).toBe(1);
    expect(figure("reuse across destinations")).toBe(0);
    expectAllBack(text);
  });

  it("opens fewer connections under a low file limit, and says so", TEST, async () => {
    const limited = spawn("bash", ["-c", 'ulimit -n 600; exec "$0" "$1"', process.execPath, DEMO]);
    const { code, text, figure } = await run(limited);
    expect(code, text).toBe(0);
    expect(text).toContain("may have 600 files open");
    const opened = figure("connections opened");
    expect(opened).toBeGreaterThan(200);
    expect(opened).toBeLessThan(300);
    expect(text).toContain(`${(2400 - opened).toLocaleString("en-US")} of 2,400 connections`);
    expectAllBack(text);
  });

  it("goes on when other programs have ports that it picks", TEST, async () => {
    const options = ["--connections", "800"];
    const { code, text: before } = await run(node(...options));
    expect(code, before).toBe(0);
    const first = Number(/, (\d+)\.\.\d+, for each/.exec(before)?.[1]);
    const other = spawn(process.execPath, ["--eval", listenTo(first, 5)]);
    try {
      await Promise.race([once(other.stdout, "data"), once(other, "exit")]);
      const { code, text, figure } = await run(node(...options));
      expect(code, text).toBe(0);
      expect(figure("connections opened")).toBe(800);
      // Five ports, met by most of the eight pairs.
      expect(figure("the system: bind EADDRINUSE")).toBeGreaterThan(5);
      expectAllBack(text);
    } finally {
      other.kill();
    }
  });
});

describe("anywhere, the demo", () => {
  it("makes do with one address", TEST, async () => {
    const { code, text, figure } = await run(node("--connections", "50", "--addresses", "1"));
    expect(code, text).toBe(0);
    expect(figure("connections opened")).toBe(50);
    expect(text).toContain(
      "Left out:\n  - An address for each server: the 4 servers share 127.0.0.1",
    );
    expectAllBack(text);
  });

  it.skipIf(process.platform === "win32").each(["SIGINT", "SIGTERM"] as const)(
    "closes everything on %s",
    TEST,
    async (signal) => {
      const child = node("--connections", "20000");
      // The first connections are open, and most are not.
      const watch = (chunk: string): void => {
        if (chunk.includes("  opened  ")) child.kill(signal);
      };
      child.stdout?.on("data", watch);
      const { code, text, figure } = await run(child);
      expect(code, text).toBe(130);
      expect(figure("connections opened")).toBeGreaterThan(0);
      expectAllBack(text);
    },
  );

  it("explains itself and refuses what it does not understand", TEST, async () => {
    expect((await run(node("--help"))).text).toContain("--connections N");
    for (const wrong of [["--connections", "0"], ["--addresses", "1.5"], ["--nonsense"], ["x"]]) {
      expect((await run(node(...wrong))).code, wrong.join(" ")).toBe(2);
    }
  });
});

function node(...options: string[]): ChildProcess {
  return spawn(process.execPath, [DEMO, ...options]);
}

/** Waits for the end, and ends what does not. */
async function run(child: ChildProcess) {
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  return { code, text, figure: (name: string) => figures(text, name)[0] ?? Number.NaN };
}

/** The numbers in the row of that name, up to its note. */
function figures(text: string, name: string): number[] {
  const row = text.split("\n").find((line) => line.startsWith(`  ${name}  `)) ?? "";
  const cells = row
    .slice(name.length + 2)
    .trim()
    .split(/\s{2,}/);
  return cells
    .map((cell) => Number(cell.replaceAll(",", "")))
    .filter((figure) => !Number.isNaN(figure));
}

function expectAllBack(text: string): void {
  expect(text).toContain("every port has come back");
  expect(figures(text, "ports still held")).toEqual([0]);
  expect(text).toMatch(/records left +0 \/ 0 \/ 0 /);
  const [, inUse, before] = /bytes in use +([\d,]+) +([\d,]+) before/.exec(text) ?? [];
  expect(inUse).toBe(before);
}

/** A program that has some ports, and says so when it has them. */
function listenTo(first: number, count: number): string {
  return `let waiting = ${count};
    for (let port = ${first}; port < ${first + count}; port++) {
      require("node:net").createServer().listen(port, "0.0.0.0", () => {
        if (--waiting === 0) console.log("listening");
      });
    }`;
}
