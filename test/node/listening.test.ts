// listenOn and leasePort: servers listen on ports of a range, and ports are leased among all
// processes of the host. On loopback, on a few ports below the system's own range.

import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { PortGroups } from "../../bindings/index.ts";
import { type Listener, leasePort, listenOn, type PortLease } from "../../bindings/node/index.ts";
import { firstLine } from "../support/captured.ts";

const PACKAGE = new URL("../../build/lib/node.js", import.meta.url).href;
const HOST = "127.0.0.1";
const RANGE = { first: 12_000, last: 12_009 };
const COUNT = RANGE.last - RANGE.first + 1;
const isLinux = process.platform === "linux";
if (!isLinux) console.warn("not run: ports are leased on Linux alone");

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

function ended<T extends Listener>(listener: T): T {
  ending.push(() => new Promise<void>((done) => close(listener, done)));
  return listener;
}

function close(listener: Listener, done: () => void): void {
  try {
    listener.close(() => done());
  } catch {
    done(); // It has been closed.
  }
}

async function leased(options: Parameters<typeof leasePort>[0]): Promise<PortLease> {
  const lease = await leasePort(options);
  ending.push(() => lease.release());
  return lease;
}

/** What a process of its own prints. */
function inProcess(script: string) {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  ending.push(() => child.kill("SIGKILL"));
  return { child, line: firstLine(child.stdout) };
}

describe("listenOn", () => {
  test.each<[string, () => Listener]>([
    ["net", () => net.createServer()],
    ["tls", () => tls.createServer()],
    ["http", () => http.createServer()],
    ["https", () => https.createServer()],
    ["http2", () => http2.createServer()],
    ["http2, secure", () => http2.createSecureServer()],
    ["dgram", () => createSocket("udp4")],
  ])("a server of %s listens on the one port of its range that is left", async (_name, make) => {
    const isUdp = make() instanceof net.Server === false;
    const others = Array.from({ length: 3 }, () =>
      ended(isUdp ? createSocket("udp4") : net.createServer()),
    );
    const range = { first: RANGE.first, last: RANGE.first + 3 };
    for (const other of others) await listenOn(other, { range, address: HOST });
    const server = ended(make());
    const seen: string[] = [];
    server.on("error", () => seen.push("error")).on("listening", () => seen.push("listening"));
    const port = await listenOn(server, { range, address: HOST });
    expect(server.address()).toMatchObject({ address: HOST, port });
    expect(seen).toEqual(["listening"]);
    const ports = others.map((other) => (other.address() as net.AddressInfo).port);
    expect(new Set([...ports, port]).size).toBe(4);
  });

  test("a port that another socket has is passed over, and the server hears no error", async () => {
    const stranger = ended(net.createServer());
    stranger.listen(RANGE.first, HOST);
    await once(stranger, "listening");
    const server = ended(net.createServer());
    server.on("error", () => expect.unreachable());
    const range = { first: RANGE.first, last: RANGE.first + 1 };
    expect(await listenOn(server, { range, address: HOST })).toBe(RANGE.first + 1);
    const next = ended(net.createServer());
    await expect(listenOn(next, { range, address: HOST })).rejects.toMatchObject({
      code: "EADDRINUSE",
      reason: "no-port-available",
      searched: range,
    });
    // It can be used all the same.
    expect(await listenOn(next, { range: RANGE, address: HOST })).toBeGreaterThan(range.last);
  });

  test("the port can be had again when the server has closed", async () => {
    const range = { first: RANGE.first, last: RANGE.first };
    for (let turn = 0; turn < 3; turn++) {
      const server = net.createServer();
      expect(await listenOn(server, { range })).toBe(RANGE.first);
      await new Promise((done) => server.close(done));
    }
  });

  test("a group says which ports, and no port where it allows none", async () => {
    const groups = PortGroups.open();
    const group = groups.create("/web", { bindPortRange: { first: 12_004, last: 12_004 } });
    expect(await listenOn(ended(net.createServer()), { group, address: HOST })).toBe(12_004);
    await expect(listenOn(net.createServer(), { group, address: HOST })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
    const none = groups.create("/web/none", { bindPortRange: { first: 1, last: 9 } });
    await expect(listenOn(net.createServer(), { group: none })).rejects.toMatchObject({
      code: "EACCES",
      reason: "empty-range",
    });
  });

  test("without a range the port is below the system's own range", async () => {
    const port = await listenOn(ended(net.createServer()), { address: HOST });
    expect(port).toBeGreaterThanOrEqual(10_000);
    if (isLinux) expect(port).toBeLessThan(32_768);
  });

  test("an error other than a port in use rejects, and keeps nothing", async () => {
    const server = net.createServer();
    const range = { first: RANGE.first, last: RANGE.first };
    const refused = listenOn(server, { range, address: "203.0.113.7" });
    await expect(refused).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
    expect(await listenOn(ended(server), { range, address: HOST })).toBe(RANGE.first);
    await expect(listenOn(server, { range: RANGE })).rejects.toMatchObject({
      code: "ERR_SERVER_ALREADY_LISTEN",
    });
  });
});

describe.runIf(isLinux)("leasePort", () => {
  test("leased ports are free, differ, and can be listened on by a program that is told", async () => {
    const lease = await leased({ range: RANGE, count: 4 });
    expect(new Set(lease.ports).size).toBe(4);
    expect(lease.port).toBe(lease.ports[0]);
    for (const port of lease.ports) {
      ended(net.createServer().listen(port));
      const udp = ended(createSocket("udp4"));
      udp.bind(port);
      await once(udp, "listening");
    }
  });

  test.each(["tcp", "udp"])("a port that another %s socket has is not leased", async (how) => {
    const stranger = ended(how === "tcp" ? net.createServer() : createSocket("udp4"));
    if (how === "tcp") (stranger as net.Server).listen(RANGE.first, HOST);
    else (stranger as ReturnType<typeof createSocket>).bind(RANGE.first, HOST);
    await once(stranger, "listening");
    const range = { first: RANGE.first, last: RANGE.first + 1 };
    expect((await leased({ range })).ports).toEqual([RANGE.first + 1]);
    await expect(leasePort({ range })).rejects.toMatchObject({
      code: "EADDRINUSE",
      reason: "no-port-available",
    });
  });

  test("contiguous ports follow each other, wherever the free ones lie", async () => {
    // Of ten ports the fourth and the eighth are taken: three follow each other at the beginning.
    for (const offset of [3, 7])
      await leased({ range: { first: 12_000 + offset, last: 12_000 + offset } });
    for (let turn = 0; turn < 20; turn++) {
      const lease = await leasePort({ range: RANGE, count: 3, contiguous: true });
      expect([
        [12_000, 12_001, 12_002],
        [12_004, 12_005, 12_006],
      ]).toContainEqual(lease.ports);
      lease.release();
    }
    const four = leasePort({ range: RANGE, count: 4, contiguous: true });
    await expect(four).rejects.toThrow("no 4 contiguous ports of 12000..12009 can be had");
    // Nothing has been kept of what did not suffice.
    expect((await leased({ range: RANGE, count: COUNT - 2 })).ports.length).toBe(COUNT - 2);
  });

  test("a lease that is released twice gives back once", async () => {
    const range = { first: RANGE.first, last: RANGE.first };
    const lease = await leasePort({ range });
    lease.release();
    const next = await leased({ range });
    lease.release();
    await expect(leasePort({ range })).rejects.toMatchObject({ code: "EADDRINUSE" });
    expect(next.port).toBe(RANGE.first);
  });

  test("a leased port is not leased again, by this thread, a worker or another process", async () => {
    const range = { first: RANGE.first, last: RANGE.first };
    await leased({ range });
    for (const server of [net.createServer(), createSocket("udp4")]) {
      await expect(listenOn(server, { range })).rejects.toMatchObject({ code: "EADDRINUSE" });
    }
    const script = `
      import { leasePort, listenOn } from ${JSON.stringify(PACKAGE)};
      import net from "node:net";
      const range = ${JSON.stringify(range)};
      const codeOf = (error) => error.code;
      const leased = await leasePort({ range }).catch(codeOf);
      const listening = await listenOn(net.createServer(), { range }).catch(codeOf);
      console.log(leased + "," + listening);`;
    expect(await inProcess(script).line).toBe("EADDRINUSE,EADDRINUSE");
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), {
      stdout: true,
    });
    expect(await firstLine(worker.stdout)).toBe("EADDRINUSE,EADDRINUSE");
  });

  test("the ports of a process that is killed, and of a thread that is ended, can be had again", async () => {
    const range = { first: RANGE.first, last: RANGE.first };
    const script = `
      import { leasePort } from ${JSON.stringify(PACKAGE)};
      await leasePort(${JSON.stringify({ range })});
      console.log("leased");
      setInterval(() => {}, 1000);`;
    const { child, line } = inProcess(script);
    expect(await line).toBe("leased");
    await expect(leasePort({ range })).rejects.toMatchObject({ code: "EADDRINUSE" });
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
    (await leasePort({ range })).release();
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), {
      stdout: true,
    });
    expect(await firstLine(worker.stdout)).toBe("leased");
    await expect(leasePort({ range })).rejects.toMatchObject({ code: "EADDRINUSE" });
    await worker.terminate();
    (await leasePort({ range })).release();
  });

  /** The ports that processes name which all do the same at once, and then wait. */
  async function portsOfProcesses(count: number, script: string): Promise<string[]> {
    const whole = `${script}\n console.log(ports.join()); process.stdin.resume();`;
    const lines = await Promise.all(Array.from({ length: count }, () => inProcess(whole).line));
    return lines.flatMap((line) => line.split(","));
  }

  test("four processes that lease ten ports each of forty have forty different ones", async () => {
    const wanted = { range: { first: 12_100, last: 12_139 }, count: 10 };
    const ports = await portsOfProcesses(
      4,
      `import { leasePort } from ${JSON.stringify(PACKAGE)};
      const { ports } = await leasePort(${JSON.stringify(wanted)});`,
    );
    expect(ports).toHaveLength(40);
    expect(new Set(ports).size).toBe(40);
  });

  test("two processes that only try which ports are free name the same ones", async () => {
    const ports = await portsOfProcesses(
      2,
      `import { once } from "node:events";
      import net from "node:net";
      const ports = [];
      for (let port = 12_200; ports.length < 10; port++) {
        const server = net.createServer().listen(port, "127.0.0.1");
        const isFree = await once(server, "listening").then(() => true, () => false);
        if (isFree) ports.push(port);
        await new Promise((done) => server.close(done));
      }`,
    );
    expect(new Set(ports).size).toBeLessThan(20);
  });
});

describe("bad input", () => {
  const group = PortGroups.open().root;

  test.each<[string, object, string]>([
    ["a range that is none", { range: { first: 9, last: 1 } }, "EINVAL"],
    ["a range and a group", { range: RANGE, group }, "ERR_INVALID_ARG_VALUE"],
    ["a group that is none", { group: {} }, "ERR_INVALID_ARG_TYPE"],
    ["null as group", { group: null }, "ERR_INVALID_ARG_TYPE"],
    ["an option that is not known", { ports: 1 }, "ERR_INVALID_ARG_VALUE"],
  ])("%s is refused by both", async (_name, options, code) => {
    await expect(listenOn(net.createServer(), options)).rejects.toMatchObject({ code });
    await expect(leasePort(options)).rejects.toMatchObject({ code });
  });

  test.each<[string, object, string]>([
    ["count 0", { count: 0 }, "ERR_OUT_OF_RANGE"],
    ["a count that is no number", { count: "2" }, "ERR_INVALID_ARG_TYPE"],
    ["more than the range has", { range: RANGE, count: COUNT + 1 }, "ERR_OUT_OF_RANGE"],
    ["contiguous that is no boolean", { contiguous: 1 }, "ERR_INVALID_ARG_TYPE"],
  ])("leasePort refuses %s", async (_name, options, code) => {
    await expect(leasePort(options)).rejects.toMatchObject({ code });
  });

  test.each<[string, unknown, object, string]>([
    ["something that is no server", {}, {}, "ERR_INVALID_ARG_TYPE"],
    ["a name as address", net.createServer(), { address: "localhost" }, "ERR_INVALID_IP_ADDRESS"],
    ["exclusive that is no boolean", net.createServer(), { exclusive: 1 }, "ERR_INVALID_ARG_TYPE"],
  ])("listenOn refuses %s", async (_name, server, options, code) => {
    await expect(listenOn(server as net.Server, options)).rejects.toMatchObject({ code });
  });
});
