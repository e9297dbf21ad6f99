// The demo behind `npm start`, run as a person would run it: as a process of its own, with its
// output and exit code looked at. Few ports, so that they are used up soon.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { chart } from "../../bindings/cli/demo/chart.ts";
import { faultsOf } from "../../bindings/cli/demo/faults.ts";
import { canMakeNamespace } from "../../bindings/node/host/namespace.ts";
import { MAIN, runWith } from "./run.ts";

const DEMO = [MAIN, "demo"];
/** These runs are not timed. */
const BRIEF = ["--warm-up", "20"];
const RUN_MS_MAX = 600_000;
const TEST = { timeout: 600_000 };
const POLL = { timeout: 600_000, interval: 20 };
const SETTING = "/proc/sys/net/ipv4/ip_local_port_range";
const ESCAPE = "\x1b";

const namespace = canMakeNamespace();
const isLinux = process.platform === "linux";
if (!namespace.ok) console.warn(`demo: 8 tests in a namespace are not run: ${namespace.why}`);
if (!isLinux) console.warn("demo: 7 tests that count on Linux's sockets are not run");

interface Course {
  way: string;
  ports: number;
  opened: number;
  seen: number;
  end: string;
  errors: Record<string, number>;
  lost: number;
  held: number;
}
interface Capacity extends Course {
  localPorts: number;
  sharedBy: number;
  sources: string[];
}
interface Filling extends Course {
  steps: { percent: number; ms: number }[];
  refusalMs?: number;
}
interface Document {
  namespace: boolean;
  namespaceWhyNot?: string;
  capacity: { ways: Capacity[] };
  filling: { warmUp: number; ways: Filling[] };
  leftOut: string[];
  faults: string[];
  stopped?: string;
}

const FILLING = {
  ...{ way: "portwarden" as const, ports: 3, opened: 3, seen: 3, end: "refused" as const },
  ...{ errors: {}, strangeErrors: [], lost: 0, held: 0, ms: 1, steps: [] },
};

describe.runIf(namespace.ok)("in a namespace", () => {
  it("the demo opens 4 x the range, 1 x the range, and 4 x the range", TEST, async () => {
    const before = readFileSync(SETTING, "utf8");
    const { code, text, found } = await runForJson("--range", "64", ...BRIEF);
    expect(code, text).toBe(0);
    expect(readFileSync(SETTING, "utf8")).toBe(before);
    expect(found).toMatchObject({ namespace: true, faults: [] });
    const [kernel, local, portwarden] = found.capacity.ways;
    const all = { end: "refused", lost: 0, held: 0, ports: 64, localPorts: 64 };
    const shared = { ...all, opened: 256, seen: 256, sharedBy: 4, errors: { EADDRNOTAVAIL: 4 } };
    expect(kernel).toMatchObject({ ...shared, way: "kernel", sources: ["127.0.0.1"] });
    expect(portwarden).toMatchObject({ ...shared, way: "portwarden", sources: ["127.0.0.2"] });
    expect(local).toMatchObject({
      ...{ ...all, way: "localAddress", sources: ["127.0.0.2"] },
      ...{ opened: 64, seen: 64, sharedBy: 1, errors: { EADDRINUSE: 4 } },
    });
  });

  it(
    "the demo fills the range towards one destination in each way, and times it",
    TEST,
    async () => {
      const options = ["--range", "100", "--ways", "portwarden,kernel", ...BRIEF];
      const { code, text, found } = await runForJson(...options, "--destinations", "1");
      expect(code, text).toBe(0);
      expect(found.filling.ways.map(({ way }) => way)).toEqual(["kernel", "portwarden"]);
      for (const { opened, seen, end, errors, steps, refusalMs } of found.filling.ways) {
        expect({ opened, seen, end }).toEqual({ opened: 100, seen: 100, end: "refused" });
        expect(errors).toEqual({ EADDRNOTAVAIL: 1 });
        expect(steps.map(({ percent }) => percent)).toEqual(
          Array.from({ length: 50 }, (_, index) => 2 * index + 1),
        );
        for (const { ms } of [...steps, { ms: refusalMs }]) expect(ms).toBeGreaterThan(0);
      }
      // So few ports do not show it, and that is said.
      expect(found.leftOut.join()).toContain("kernel's slow half");
    },
  );

  it(
    "the demo shows the times that it has where the range is too small for all of them",
    TEST,
    async () => {
      const { code, text } = await run(["--range", "2", ...BRIEF]);
      expect(code, text).toBe(0);
      expect(text).toMatch(/of the range in use: +49 % +99 %\n/);
      expect(text).toMatch(/ {2}portwarden +[\d.]+ +[\d.]+\n/);
      expect(text).toContain("2 ports are too few for more percentages");
      expect(text).not.toContain("1 %  ");
    },
  );

  it("the demo warms all ways before it times them, and leaves no port behind", TEST, async () => {
    const { code, text, found } = await runForJson("--range", "8", "--ways", "portwarden,kernel");
    expect(code, text).toBe(0);
    expect(found.filling.warmUp).toBe(3000);
    for (const { opened, end, held } of found.filling.ways) {
      expect({ opened, end, held }).toEqual({ opened: 8, end: "refused", held: 0 });
    }
  });

  it("the demo opens no more than it may", TEST, async () => {
    const { code, text, found } = await runForJson(
      "--range",
      "64",
      "--connections",
      "50",
      ...BRIEF,
    );
    expect(code, text).toBe(0);
    for (const { opened, end } of [...found.capacity.ways, ...found.filling.ways]) {
      expect({ opened, end }).toEqual({ opened: 50, end: "enough" });
    }
    expect(found.leftOut.join()).toContain("--connections");
  });

  it("the demo prints text for people, without colours in a pipe", TEST, async () => {
    const { code, text } = await run(["--range", "64", ...BRIEF], { FORCE_COLOR: "1" });
    expect(code, text).toBe(0);
    expect(text).not.toContain(ESCAPE);
    expect(text).not.toContain("\r");
    expect(text).toContain("network namespace of its own");
    expect(text).toMatch(/the kernel's choice +256 +64 +4 +EADDRNOTAVAIL x 4\n/);
    expect(text).toMatch(/localAddress only +64 +64 +1 +EADDRINUSE x 4\n/);
    expect(text).toMatch(/portwarden +256 +64 +4 +EADDRNOTAVAIL x 4\n/);
    // The chart has a mark of the way that is drawn last, on whatever line.
    expect(text).toMatch(/^ +[\d. ms]*[┤│].*●/m);
    expect(text).toMatch(
      /before, each way has opened and closed [\d,]+ connections to another server/,
    );
    expect(text).toContain("every port has come back");
  });

  it(
    "the demo shows progress and colours on a terminal, and no colours with NO_COLOR",
    TEST,
    async () => {
      if (spawnSync("script", ["--version"]).status !== 0) {
        console.warn("demo: nothing is looked at on a terminal, as there is no script command");
        return;
      }
      const command = [process.execPath, ...DEMO, "--range", "64", ...BRIEF].map(
        (part) => `'${part}'`,
      );
      const args = ["--quiet", "--return", "--command", command.join(" "), "/dev/null"];
      // An environment of its own: Node shows no colours where a service that runs tests has left
      // its name.
      const terminal = { PATH: process.env.PATH, HOME: process.env.HOME, TERM: "xterm-256color" };
      const coloured = await end(start("script", args, terminal));
      expect(coloured.code, coloured.text).toBe(0);
      expect(coloured.text).toContain("capacity, the kernel's choice  [");
      expect(coloured.text).toContain(`${ESCAPE}[32m●`);
      const plain = await end(start("script", args, { ...terminal, NO_COLOR: "1" }));
      expect(plain.text).toContain("●");
      expect(plain.text).not.toContain(`${ESCAPE}[3`);
    },
  );

  it("the demo makes do with few open files, and says so", TEST, async () => {
    const limited = 'ulimit -n 300; exec "$0" "$@"';
    const args = ["-c", limited, process.execPath, ...DEMO, ...BRIEF];
    const { code, text } = await end(start("bash", args));
    expect(code, text).toBe(0);
    expect(text).toContain("this process may have 300 files open");
    const [, kernel, ports] = /the kernel's choice +(\d+) +(\d+) +4 /.exec(text) ?? [];
    expect(Number(kernel)).toBe(4 * Number(ports));
    expect(Number(kernel)).toBeGreaterThan(100);
  });
});

describe.runIf(isLinux)("on the host's own ports", () => {
  it("the demo uses up portwarden's range, and not the kernel's", TEST, async () => {
    const options = ["--no-namespace", "--range", "64", "--connections", "400", ...BRIEF];
    const { code, text, found } = await runForJson(...options);
    expect(code, text).toBe(0);
    expect(found).toMatchObject({ namespace: false, namespaceWhyNot: "--no-namespace" });
    const [kernel, local, portwarden] = found.capacity.ways;
    expect(kernel).toMatchObject({ opened: 400, seen: 400, end: "enough", errors: {} });
    expect(local).toMatchObject({ opened: 400, end: "enough", localPorts: 400, sharedBy: 1 });
    expect(portwarden).toMatchObject({ end: "refused", sharedBy: 4, held: 0 });
    // A few fewer where other programs have some.
    expect(portwarden?.opened).toBeLessThanOrEqual(256);
    expect(portwarden?.opened).toBeGreaterThan(200);
    expect(found.leftOut.join()).toContain("Using up the kernel's range");
  });

  it("the demo opens as many as there may be files, and warns of it", TEST, async () => {
    const limited = 'ulimit -n 300; exec "$0" "$@"';
    const args = ["-c", limited, process.execPath, ...DEMO, "--no-namespace", ...BRIEF];
    const { code, text } = await end(start("bash", args));
    expect(code, text).toBe(0);
    expect(text).toContain("other programs may find no port; --connections limits");
    expect(text).toMatch(/this process\s+may have 300 files open/);
    const opened = ["the kernel's choice", "localAddress only", "portwarden"].map((way) =>
      Number(new RegExp(`${way} +(\\d+) `).exec(text)?.[1]),
    );
    expect(new Set(opened).size).toBe(1);
    expect(opened[0]).toBeGreaterThan(150);
    expect(opened[0]).toBeLessThan(300);
  });

  it(
    "the demo runs on the host's ports when no namespace can be made, and says why",
    TEST,
    async () => {
      const { code, text } = await run(["--connections", "40", ...BRIEF], { PATH: "/nowhere" });
      expect(code, text).toBe(0);
      expect(text).toContain("there is no unshare command");
    },
  );

  it("the demo ends when its output is closed", TEST, async () => {
    const child = start(process.execPath, [...DEMO, "--range", "64", ...BRIEF]);
    await once(child.stdout as NodeJS.ReadableStream, "data");
    child.stdout?.destroy();
    const [code, signal] = await once(child, "exit");
    expect({ code, signal }).toEqual({ code: 0, signal: null });
  });

  it.each([
    ["SIGINT", []],
    ["SIGTERM", []],
    ["SIGINT", ["--no-namespace", "--connections", "15000"]],
  ] as const)("the demo closes everything on %s: %j", TEST, async (signal, options) => {
    const id = randomUUID();
    const child = start(process.execPath, [...DEMO, ...options], {
      ...process.env,
      DEMO_ID: id,
    });
    child.stdout?.once("data", () => setTimeout(() => child.kill(signal), 400));
    const { code, text } = await end(child);
    expect(code, text).toBe(signal === "SIGINT" ? 130 : 143);
    expect(text).toContain("Everything is closed");
    await expect.poll(() => processesOf(id), POLL).toEqual([]);
  });

  it.each([
    [[], 6],
    [["--no-namespace"], 5],
  ] as const)(
    "the demo leaves no process when it is killed outright: %j",
    TEST,
    async (options, count) => {
      const id = randomUUID();
      const env = { ...process.env, DEMO_ID: id };
      const child = start(process.execPath, [...DEMO, ...options, "--connections", "15000"], env);
      // It and its four servers, and inside of a namespace the process there.
      await expect.poll(() => processesOf(id).length, POLL).toBe(namespace.ok ? count : 5);
      child.kill("SIGKILL");
      await once(child, "exit");
      await expect.poll(() => processesOf(id), POLL).toEqual([]);
    },
  );

  it("the demo closes everything on Ctrl-C while its servers start", TEST, async () => {
    const id = randomUUID();
    const env = { ...process.env, DEMO_ID: id };
    const args = [...DEMO, "--no-namespace", "--destinations", "16"];
    // A group of its own, which is signalled as a whole, as a terminal does.
    const child = spawn(process.execPath, args, {
      ...{ env, detached: true },
      stdio: ["ignore", "pipe", "pipe"],
    });
    // Before it starts them it prints what it is going to do.
    child.stdout.once("data", () =>
      setTimeout(() => process.kill(-(child.pid as number), "SIGINT"), 20),
    );
    const { code, text } = await end(child);
    expect(code, text).toBe(130);
    expect(text).toContain("Everything is closed");
    expect(text).not.toContain("    at ");
    await expect.poll(() => processesOf(id), POLL).toEqual([]);
  });
});

describe("anywhere", () => {
  it("the demo explains itself", TEST, async () => {
    const { code, out: text } = await runWith(["demo", "--help"]);
    expect(code).toBe(0);
    for (const name of [
      "connections",
      "range",
      "destinations",
      "ways",
      "warm-up",
      "json",
      "no-namespace",
    ]) {
      expect(text).toContain(`--${name}`);
    }
  });

  it.each([
    [["--connections", "0"], "1..1000000"],
    [["--range", "1"], "2..50000"],
    [["--warm-up", "100001"], "0..100000"],
    [["--destinations", "1.5"], "1..16"],
    [["--ways", "kernel,luck"], "kernel,localAddress,portwarden"],
    [["--nonsense"], "--nonsense"],
    [["x"], "x"],
  ])("the demo refuses %j", TEST, async (args, expected) => {
    const { code, errors: text } = await runWith(["demo", ...args]);
    expect(code, text).toBe(2);
    expect(text).toContain(expected);
    expect(text).not.toContain("    at ");
  });
});

it("the demo reports as faults what should not have happened, and nothing else", () => {
  const fine = { ...FILLING, errors: { EADDRNOTAVAIL: 1, EMFILE: 1 } };
  const wrong = { ...FILLING, seen: 2, lost: 1, held: 4, strangeErrors: ["ECONNREFUSED"] };
  const nothing = { ...FILLING, opened: 0, seen: 0 };
  const findings = { capacities: [], fillings: [fine, wrong, nothing] };
  expect(faultsOf(findings).map((fault) => fault.replace(/^portwarden: /, ""))).toEqual([
    "failed with ECONNREFUSED",
    "1 connection broke while in use",
    "the servers held 2 connections, not 3",
    "4 ports did not come back",
    "not one connection was opened",
  ]);
});

it("the demo draws each way with its mark, at its percentage and its time", () => {
  const ways = [
    { ...FILLING, way: "kernel" as const, steps: [{ percent: 99, ms: 9 }] },
    { ...FILLING, steps: [{ percent: 1, ms: 0.02 }] },
  ];
  const symbolOf = { kernel: "k", localAddress: "l", portwarden: "p" };
  const lines = chart(ways, ({ way }) => ({ symbol: symbolOf[way], paint: (text) => text }));
  const rows = lines.split("\n");
  const [top, bottom] = ["k", "p"].map((symbol) => rows.findIndex((row) => row.includes(symbol)));
  expect(top).toBeLessThan(bottom as number);
  expect(rows[top as number]?.indexOf("k")).toBeGreaterThan(60);
  expect(rows[bottom as number]?.indexOf("p")).toBeLessThan(12);
  expect(lines).toContain("10 ms┤");
  expect(lines).toContain("0.01 ms┤");
  expect(chart([], () => ({ symbol: "?", paint: (text) => text }))).toBe("");
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function run(options: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return end(start(process.execPath, [...DEMO, ...options], { ...process.env, ...env }));
}

async function runForJson(...options: string[]) {
  const { code, text } = await run([...options, "--json"]);
  return { code, text, found: JSON.parse(text) as Document };
}

function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  return spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
}

/** Waits for the end, and ends what does not. */
async function end(child: ChildProcess): Promise<{ code: number | null; text: string }> {
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  return { code, text };
}

/** The processes that have the id in their environment. */
function processesOf(id: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, "utf8").includes(id);
    } catch {
      return false;
    }
  });
}
