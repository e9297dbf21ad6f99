// Port finder: a process that finds so many ports at once, and then listens on them.
//
// `node port-finder.js SYSTEM COUNT`: says "ready", and then, for each line of its input, the ports
// that it has named, and how many of them it could not listen on. It ends with its input.

import { createServer } from "node:net";
import { createInterface } from "node:readline";

type Finder = (count: number) => Promise<readonly number[]>;

const HOST = "127.0.0.1";
const FINDERS: Readonly<Record<string, () => Promise<Finder>>> = {
  async leasePort() {
    const { leasePort }: typeof import("../../bindings/node/index.ts") = await import(
      new URL("../../lib/node.js", import.meta.url).href
    );
    return async (count) => (await leasePort({ count })).ports;
  },
  async "get-port"() {
    const { default: getPort } = await import("get-port");
    return (count) => together(count, () => getPort({ host: HOST }));
  },
  async portfinder() {
    const { default: portfinder } = await import("portfinder");
    // Only this address is asked, where it would ask all that the machine has.
    Object.assign(portfinder, { _defaultHosts: [HOST] });
    return (count) => together(count, () => portfinder.getPortPromise({ host: HOST }));
  },
  async "detect-port"() {
    const { detect } = await import("detect-port");
    return (count) => together(count, () => detect({ port: 0, hostname: HOST }));
  },
};

function together(count: number, find: () => Promise<number>): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, find));
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: HOST }, () => resolve(true));
  });
}

const [, , system = "", count = ""] = process.argv;
const load = FINDERS[system];
if (load === undefined) throw new TypeError(`no system is called ${system}`);
const find = await load();
console.log("ready");
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
await lines.next();
const start = performance.now();
const ports = await find(Number(count));
console.log(JSON.stringify({ ms: performance.now() - start, ports }));
await lines.next();
const listening = await Promise.all(ports.map(canListen));
console.log(JSON.stringify({ refused: listening.filter((is) => !is).length }));
await lines.next();
process.exit();
