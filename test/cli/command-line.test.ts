// The command `portwarden`, as it is run: what it says, on which stream, and with which exit code.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { endianness } from "node:os";
import { describe, expect, test } from "vitest";
import { json, MAIN, run, runProcess } from "./run.ts";

const ROOT = new URL("../../", import.meta.url);
const PACKAGE = JSON.parse(readFileSync(new URL("package.json", ROOT), "utf8"));
const PLAN = "--sources 10.0.0.1-10.0.0.2 --destinations 3 --lifetime 10 --range 40000-40499";
const FILES = "--reserved 1 --files 100000";
const QUIET = `--cooldown none ${FILES}`;
const isTold = process.platform === "linux" && endianness() === "LE";

describe("portwarden", () => {
  test.each(["--help", "-h", "help"])("%s lists the commands", async (option) => {
    const { code, out, errors } = await run(option);
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    for (const word of ["demo", "plan", "show", "Exit codes", "130"]) expect(out).toContain(word);
  });

  test.each(["plan", "show"])("%s --help names its options and exit codes", async (command) => {
    const { code, out, errors } = await run(`${command} --help`);
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    expect(out).toMatch(new RegExp(`^usage: portwarden ${command} `));
    expect(out).toContain("--json");
    expect(out).toContain("Exit codes");
    expect(Math.max(...out.split("\n").map((text) => text.length))).toBeLessThanOrEqual(105);
  });

  test.each(["help plan", "--help plan", "plan --help"])("%s explains plan", async (line) => {
    const { code, out } = await run(line);
    expect(code).toBe(0);
    expect(out).toMatch(/^usage: portwarden plan /);
  });

  test("--version is the package's", async () => {
    expect(await runProcess("--version")).toEqual({
      code: 0,
      out: `${PACKAGE.version}\n`,
      errors: "",
    });
  });

  test("is what the package runs by its name", () => {
    expect(MAIN.endsWith(PACKAGE.bin.portwarden)).toBe(true);
    expect(readFileSync(MAIN, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  test.each([
    ["", "a command is needed: demo, plan, show, with"],
    ["shwo", 'there is no command "shwo"; known are demo, plan, show, with'],
    ["constructor", 'there is no command "constructor"'],
    ["help shwo", 'there is no command "shwo"; known are demo, plan, show, with'],
    ["help plan show", "portwarden help is about one command"],
    ["plan --source 10.0.0.1", 'has no option "--source"; known are --sources, --destinations,'],
    ["plan --frob", 'has no option "--frob"; known are --sources, --destinations,'],
    ["show --foo", 'has no option "--foo"; known are --destination, --port, --blocks, --top'],
    ["plan --toString", 'has no option "--toString"'],
    ["plan", "--sources is needed, for instance --sources 10.0.0.1-10.0.0.4"],
    ["plan --rate", "--rate needs a value"],
    ["plan --rate=", "--rate needs a value"],
    ["plan --rate --help", '--rate needs a value, and "--help" is an option'],
    [`plan ${PLAN} --rate 0`, '--rate must be a number in 0.001..1000000000, got "0"'],
    [`plan ${PLAN} --rate many`, '--rate must be a number in 0.001..1000000000, got "many"'],
    [`plan ${PLAN} --rate 10,00`, '--rate must be a number in 0.001..1000000000, got "10,00"'],
    [`plan ${PLAN} --rate 1 --rate 2`, "--rate is given twice"],
    [`plan ${PLAN} --rate 1 --range 9-1`, "--range is given twice: give it once"],
    [`plan ${PLAN.replace("--range 40000-40499", "--range 9-1")} --rate 1`, "--range must be two"],
    [`plan ${PLAN} --rate 1 --reserved x`, "--reserved must be ports and ranges"],
    [`plan ${PLAN} --rate 1 --cooldown never`, "--cooldown must be none, timestamps or seconds in"],
    [`plan ${PLAN} --rate 1 --cooldown 1m`, 'timestamps or seconds in 0..86400, got "1m"'],
    [`plan ${PLAN} --rate 1 --files 0`, "--files must be a whole number in 1..4294967295"],
    [
      `plan ${PLAN.replace("10.0.0.1-", "10.0.0.3-")} --rate 1`,
      "warden: --sources must be a range",
    ],
    [`plan ${PLAN.replace("10.0.0.1-", "host-")} --rate 1`, "portwarden: --sources must be"],
    [`plan ${PLAN.replace("--lifetime 10", "--lifetime 20..5")} --rate 1`, "a low and a high"],
    [`plan ${PLAN.replace("--lifetime 10", "--lifetime 1..2..3")} --rate 1`, "5..20 or exp:10"],
    [`plan ${PLAN.replace("--lifetime 10", "--lifetime exp:")} --rate 1`, "--lifetime must be"],
    ["show me", 'portwarden show takes options only, and "me" is none'],
    ["show --top 0", "--top must be a whole number in 1..100000"],
    ["show --destination 10.0.0.1", "--destination must be HOST:PORT"],
    ["show --destination 10.0.0.1:0", "the port of --destination must be in 1..65535"],
    ["show --destination 127.0.0.1:99999", "the port of --destination must be in 1..65535"],
    ["show --destination 127.0.0.1:123456", "the port of --destination must be in 1..65535"],
    ["show --destination [fe80::1%lo]:80", "portwarden: --destination must "],
  ])("the command line %s is not understood", async (line, message) => {
    const { code, out, errors } = await run(line);
    expect(errors).toContain(message);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(errors).toMatch(/^portwarden: .*\nSee portwarden .*--help\.\n$/);
    expect(errors).not.toMatch(/ERR_|EINVAL/);
  });

  test.each([
    ["plan --rate --json", 2, '--rate needs a value, and "--json" is an option'],
    ["show --json --top 0", 2, 'a whole number in 1..100000, got "0"'],
    ["show --json --destination nowhere.invalid:80", 1, "no address is found"],
    ["demo --range 1 --json", 2, "--range must be a whole number in 2..50000"],
  ])("an error of %s is one document", async (line, exitCode, part) => {
    const { code, out, errors } = await run(line);
    expect(code).toBe(exitCode);
    const message = expect.stringContaining(part);
    expect(JSON.parse(out)).toEqual({ error: { message, exitCode } });
    expect(errors).toContain(part);
  });

  test("the command is quiet when its output is closed", async () => {
    const child = spawn(process.execPath, [MAIN, "show", "--json"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.destroy();
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      errors += text;
    });
    await once(child, "close");
    expect({ code: child.exitCode, errors }).toEqual({ code: 0, errors: "" });
  });

  test.each(["show", `plan ${PLAN} --rate 1 ${QUIET}`, "--help", "shwo"])(
    "%s has no escape codes in a pipe, whatever the environment",
    async (line) => {
      const { out, errors } = await runProcess(line, { FORCE_COLOR: "3", TERM: "xterm-256color" });
      expect(out + errors).not.toContain("\u001b");
    },
  );
});

describe("portwarden plan", () => {
  test("says that a load fits, with figures that are arithmetic's", async () => {
    const { code, value } = await json(`plan ${PLAN} --rate 300 ${QUIET}`);
    expect(code).toBe(0);
    expect(value).toMatchObject({
      fits: true,
      exhausted: null,
      firstRefusal: null,
      refused: 0,
      ports: { perPair: 500, total: 3000, reserved: 0 },
      open: { peak: 3000 },
      perPair: { open: 500, cooling: 0, peak: 500 },
      load: { sources: 2, destinations: 3, rate: 300, files: 100_000, seconds: 20 },
      simulated: { whole: true },
      plainNode: { fits: false, ports: 1000 },
      changes: [],
    });
    // Two sources of 500 ports, without sharing: full after 1,000 of 300 a second.
    expect((value.plainNode as { firstRefusal: number }).firstRefusal).toBeCloseTo(1000 / 300, 6);
    expect(value.highestRate).toBeCloseTo(300, 6);
  });

  test("says what does not fit, and what would", async () => {
    const { code, value } = await json(`plan ${PLAN} --rate 301 ${QUIET}`);
    expect(code).toBe(1);
    expect(value).toMatchObject({ fits: false, exhausted: "range" });
    expect(value.firstRefusal).toBeGreaterThan(9);
    expect(value.firstRefusal).toBeLessThan(10);
    const changes = value.changes as { change: string; value: unknown }[];
    expect(changes.map(({ change }) => change)).toEqual(["sources", "range", "lifetime", "rate"]);
    expect(changes[0]?.value).toBe(3);
  });

  test("says that no port is left where all are reserved", async () => {
    const line = `plan ${PLAN} --rate 3 --reserved 40000-40499 --files 1000`;
    const { code, out, errors } = await run(line);
    expect({ code, errors }).toEqual({ code: 1, errors: "" });
    expect(out).toContain("It does not fit: no port is left of 40000..40499, all are reserved.\n");
    // 3 x (10 + 1 or 60 and a 64th) over 2 x 3: wider by a few.
    expect(out).toMatch(/ {2}- ports 40000\.\.405\d\d instead of 40000\.\.40499\n/);
    expect(out).not.toMatch(/NaN|Infinity|undefined/);
    const { value } = await json(line.replace("--rate 3", "--rate 1e9"));
    expect(value).toMatchObject({ fits: false, exhausted: "range", ports: { total: 0 } });
    expect(value.refused).toBe(value.arrivals);
  });

  test("says what takes more files, once", async () => {
    const { code, out } = await run(
      `plan --sources 10.0.0.1 --destinations 1 --rate 2 --lifetime 10 --cooldown 60 --files 10`,
    );
    expect(code).toBe(1);
    expect(out).toContain("\n  - 1 connection/s instead of 2\n");
    expect(out).toMatch(/\n {2}- 20 open files instead of 10\n$/);
    const both = await run(
      `plan ${PLAN} --rate 150 --cooldown 60 --reserved 1 --files 1000 --for 1000`,
    );
    expect(both.out.replace(/\s+/g, " ")).toContain(
      "(none is needed where TCP timestamps are on at both ends), and 1,500 open files",
    );
  });

  test("says of plain Node what is true of one destination, and of several", async () => {
    const one = PLAN.replace("--destinations 3", "--destinations 1");
    const words = async (line: string) => (await run(line)).out.replace(/\s+/g, " ");
    expect(await words(`plan ${one} --rate 60 --cooldown 1 ${FILES}`)).toContain(
      "Plain Node with localAddress has the same 1,000 ports for one destination, " +
        "and none while it is in TIME_WAIT, 60 s long; there the first is refused after 16.",
    );
    expect(await words(`plan ${one} --rate 60 ${QUIET}`)).toContain(
      "Plain Node with localAddress has the same 1,000 ports for one destination, and this load fits",
    );
    expect(await words(`plan ${PLAN} --rate 60 ${QUIET}`)).toContain(
      "shares no port among destinations: 1,000 ports in all, and this load fits",
    );
  });

  test("takes numbers as it writes them, and writes no line beyond 100", async () => {
    const line = `plan ${PLAN.replace("--lifetime 10", "--lifetime 1,000")} --rate 10,000,000.5`;
    const { value } = await json(`${line} --files 20,000 --cooldown 1,000`);
    expect(value.load).toMatchObject({ rate: 10_000_000.5, files: 20_000, cooldown: 1000 });
    for (const cooldown of ["none", "timestamps", "60"]) {
      const { out } = await run(`${line} --cooldown ${cooldown}`);
      expect(Math.max(...out.split("\n").map((text) => text.length))).toBeLessThanOrEqual(100);
    }
  });

  test("knows cooldown, seconds, files and no limit at all", async () => {
    const line = `plan ${PLAN} --rate 10 --cooldown 1.5 --for 5 --files 7`;
    const { code, value } = await json(line);
    expect(code).toBe(1);
    expect(value).toMatchObject({
      exhausted: "files",
      seconds: 5,
      load: { cooldown: 1.5, whenCooling: "refuse", files: 7 },
    });
    const told = await json(`plan ${PLAN} --rate 10`);
    expect(told.value.load).toMatchObject({ cooldown: expect.any(Number) });
    if (isTold) expect([1, 60]).toContain((told.value.load as { cooldown: number }).cooldown);
  });

  test("takes blocks, lists and IPv6, and lifetimes that vary", async () => {
    const line =
      "plan --sources 10.0.0.0/30,2001:db8::1 --destinations 1 --rate 10 --lifetime exp:2";
    const { value } = await json(line);
    expect(value.load).toMatchObject({ sources: 3, lifetime: { kind: "exponential", mean: 2 } });
    const varied = await json(`plan ${PLAN.replace("10 --range", "5..20 --range")} --rate 10`);
    expect(varied.value.load).toMatchObject({ lifetime: { kind: "uniform", least: 5, most: 20 } });
  });

  test("says it in words, and what of it was simulated", async () => {
    const { code, out, errors } = await run(
      `plan --sources 10.0.0.1-10.0.0.4 --destinations 4 --rate 10000 --lifetime 10 --cooldown 60 ` +
        "--range 32768-60999 --reserved 1 --headroom 0 --files 200000",
    );
    expect({ code, errors }).toEqual({ code: 1, errors: "" });
    // 451,712 ports at 10,000 a second: none has cooled down by then.
    expect(out).toContain("It does not fit: the first connection is refused after 45.2 s.");
    expect(out).toContain("Simulated in part: ");
    expect(out.replace(/\s+/g, " ")).toContain(
      "112,928 ports in all; there the first is refused after 11.3 s",
    );
    // 10,000 x (10 + 67.5) / (4 x 28,232) = 6.9.
    expect(out).toContain("  - 7 sources instead of 4\n");
    const fits = await run(`plan ${PLAN} --rate 300 ${QUIET}`);
    expect(fits.out).toContain("It fits: 6,000 connections, and none was refused.");
    expect(fits.out).toContain("The highest rate that fits: 300 connections/s (simulated).");
  });

  test("plan is interrupted by SIGINT", async () => {
    const line = `plan --sources 10.0.0.1-10.0.3.200 --destinations 1000 --lifetime exp:10 --rate 1e8`;
    const child = spawn(process.execPath, [MAIN, ...line.split(" ")], { stdio: "ignore" });
    const timer = setInterval(() => child.kill("SIGINT"), 100);
    await once(child, "close");
    clearInterval(timer);
    // A signal that comes before the program listens ends it as a signal does.
    expect(child.exitCode === 130 || child.signalCode === "SIGINT").toBe(true);
  });
});

describe("portwarden show", () => {
  test("shows a connection, its program, and what is left for its destination", async () => {
    if (!isTold) {
      console.warn("not tested: ports in use are read on little-endian Linux only");
      return;
    }
    const server = createServer((socket) => void socket.on("error", () => undefined));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: "127.0.0.1", port });
    await once(socket, "connect");
    try {
      const { code, value } = await json(`show --destination 127.0.0.1:${port}`);
      expect(code).toBe(0);
      const { portRange, pairs } = value as unknown as {
        portRange: { available: number };
        pairs: { left: number }[];
      };
      expect(pairs).toEqual([
        {
          transport: "tcp",
          source: "127.0.0.1",
          destination: "127.0.0.1",
          destinationPort: port,
          sockets: 1,
          timeWait: 0,
          usedInRange: 1,
          ...{ left: expect.any(Number), leftToKernel: expect.any(Number) },
          programs: [{ pid: process.pid, name: expect.any(String), sockets: 1 }],
        },
      ]);
      expect(pairs[0]?.left).toBeLessThan(portRange.available);
      expect(value).toMatchObject({
        platform: "linux",
        unknown: [],
        files: { open: expect.any(Number) },
      });
      const words = await run(`show --destination localhost:${port}`);
      expect(words.out).toContain(`127.0.0.1:${port}`);
      expect(words.out).toContain(`(${process.pid})`);
    } finally {
      socket.destroy();
      server.close();
    }
  });

  test("has the names that programs read", async () => {
    const { code, value } = await json("show");
    expect(code).toBe(0);
    expect(Object.keys(value)).toEqual([
      ...["platform", "portRange", "leftToKernel", "reserved", "unprivilegedPortStart"],
      ...["tcp", "udp", "pairs"],
      ...["pairCount", "timeWait", "files", "limits", "remedies", "unknown"],
    ]);
  });

  test("shows what a destination has that no socket is connected to", async () => {
    if (!isTold) {
      console.warn("not tested: ports in use are read on little-endian Linux only");
      return;
    }
    const { value } = await json("show --destination 127.99.0.1:9 --destination [::1]:9");
    expect(value.pairs).toMatchObject([
      { source: "0.0.0.0", destination: "127.99.0.1", destinationPort: 9, sockets: 0 },
      { source: "::", destination: "::1", destinationPort: 9, sockets: 0 },
    ]);
  });

  test("cannot show a destination that has no address", async () => {
    const { code, out, errors } = await run("show --destination nowhere.invalid:80");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(errors).toMatch(/^portwarden: no address is found for "nowhere\.invalid" \(\w+\)\n$/);
  });
});
