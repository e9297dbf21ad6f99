// First port: a process that begins with nothing and ends with one port, and prints how long that
// took.
//
// `node first-port.js SYSTEM`: prints the milliseconds of each part as one JSON object, and those of
// CPU time in all. Nothing that is measured is imported before the clock runs; Node's module loader
// is up already, because this is a module.

/** Milliseconds, by part, in their order. */
export type FirstPort = Readonly<Record<string, number>>;

/** What a process prints. */
export interface Start {
  readonly parts: FirstPort;
  readonly cpu: number;
}

type Begin = () => Promise<FirstPort>;

type Main = typeof import("../../bindings/index.ts");
type ForNode = typeof import("../../bindings/node/index.ts");

/** As it is published. */
const LIB = new URL("../../lib/", import.meta.url).href;
const ADDRESS = "127.0.0.1";

const SYSTEMS: Readonly<Record<string, Begin>> = {
  async pool() {
    const start = performance.now();
    const { IPV4, PortManager, TCP }: Main = await import(`${LIB}index.js`);
    const imported = performance.now();
    const manager = PortManager.open();
    const opened = performance.now();
    const port = manager.pool({ networks: [IPV4], transport: TCP, address: ADDRESS }).take();
    return partsOf(start, imported, opened, port);
  },
  async connector() {
    const start = performance.now();
    const { createConnector }: ForNode = await import(`${LIB}node.js`);
    const imported = performance.now();
    const connector = createConnector({ sources: ADDRESS });
    const opened = performance.now();
    connector.close();
    return { import: imported - start, open: opened - imported };
  },
  async bitmap() {
    const start = performance.now();
    const { JsBitmap } = await import("../baselines/js-bitmap.ts");
    const imported = performance.now();
    const bitmap = new JsBitmap(16000, 65535);
    const opened = performance.now();
    const offset = crypto.getRandomValues(new Uint32Array(1))[0] as number;
    return partsOf(start, imported, opened, bitmap.take(offset));
  },
  /** What Node takes for any module, and with the one of its own that sockets need. */
  async node() {
    const start = performance.now();
    await import("../baselines/empty.ts");
    return { import: performance.now() - start };
  },
  async "node:net"() {
    const start = performance.now();
    await import("../baselines/empty.ts");
    process.getBuiltinModule("node:net");
    return { import: performance.now() - start };
  },
  /** What of `open` is WebAssembly's part. */
  async wasm() {
    // An import of it would load Node's streams, which sockets need, for all systems.
    const { readFileSync } = process.getBuiltinModule("node:fs");
    const bytes = readFileSync(new URL("../../core.wasm", import.meta.url));
    const start = performance.now();
    const module = new WebAssembly.Module(bytes);
    const compiled = performance.now();
    const { exports } = new WebAssembly.Instance(module);
    const instantiated = performance.now();
    const manager = (exports.openManager as (...seeds: number[]) => number)(1, 2, -1);
    const end = performance.now();
    if (!(manager > 0)) throw new Error(`no manager: ${manager}`);
    return {
      compile: compiled - start,
      instantiate: instantiated - compiled,
      "first call": end - instantiated,
    };
  },
  async "get-port"() {
    const start = performance.now();
    const { default: getPort } = await import("get-port");
    const imported = performance.now();
    return withoutOpening(start, imported, await getPort({ host: ADDRESS }));
  },
  async portfinder() {
    const start = performance.now();
    const { default: portfinder } = await import("portfinder");
    const imported = performance.now();
    // Only this address is asked, where it would ask all that the machine has.
    Object.assign(portfinder, { _defaultHosts: [ADDRESS] });
    return withoutOpening(start, imported, await portfinder.getPortPromise({ host: ADDRESS }));
  },
};

function partsOf(start: number, imported: number, opened: number, port: number): FirstPort {
  const end = performance.now();
  if (!(port > 0)) throw new Error(`no port: ${port}`);
  return { import: imported - start, open: opened - imported, "first port": end - opened };
}

function withoutOpening(start: number, imported: number, port: number): FirstPort {
  const { open, ...parts } = partsOf(start, imported, imported, port);
  return parts;
}

const begin = SYSTEMS[process.argv[2] ?? ""];
if (begin === undefined) throw new TypeError(`no system is called ${process.argv[2]}`);
const used = process.cpuUsage();
const parts = await begin();
const { user, system } = process.cpuUsage(used);
console.log(JSON.stringify({ parts, cpu: (user + system) / 1000 }));
