// First port: a process that begins with nothing and ends with one port, and tells how long that
// took.
//
// `node first-port.js SYSTEM`: prints the milliseconds of each part as one JSON object. Nothing is
// imported before the clock runs; Node's module loader is up already, because this is a module.

/** Milliseconds. */
export interface FirstPort {
  readonly import: number;
  /** Until a port can be asked for. */
  readonly open: number;
  /** Until it is there. */
  readonly port: number;
}

type Begin = () => Promise<FirstPort>;

const ADDRESS = "127.0.0.1";

const SYSTEMS: Readonly<Record<string, Begin>> = {
  async handles() {
    const start = performance.now();
    const { IPV4, PortManager, TCP } = await import("../bindings/index.ts");
    const imported = performance.now();
    const manager = PortManager.open();
    const opened = performance.now();
    const port = manager.flow({ networks: [IPV4], transport: TCP, address: ADDRESS }).take();
    return partsOf(start, imported, opened, port);
  },
  async "js-bitmap"() {
    const start = performance.now();
    const { JsBitmap } = await import("./baselines/js-bitmap.ts");
    const imported = performance.now();
    const bitmap = new JsBitmap(16000, 65535);
    const opened = performance.now();
    const offset = crypto.getRandomValues(new Uint32Array(1))[0] as number;
    return partsOf(start, imported, opened, bitmap.take(offset));
  },
  async "get-port"() {
    const start = performance.now();
    const { default: getPort } = await import("get-port");
    const imported = performance.now();
    return partsOf(start, imported, imported, await getPort({ host: ADDRESS }));
  },
  async portfinder() {
    const start = performance.now();
    const { default: portfinder } = await import("portfinder");
    const imported = performance.now();
    // Only this address is asked, where it would ask all that the machine has.
    Object.assign(portfinder, { _defaultHosts: [ADDRESS] });
    return partsOf(start, imported, imported, await portfinder.getPortPromise({ host: ADDRESS }));
  },
};

function partsOf(start: number, imported: number, opened: number, port: number): FirstPort {
  const end = performance.now();
  if (!(port > 0)) throw new Error(`no port: ${port}`);
  return { import: imported - start, open: opened - imported, port: end - opened };
}

const begin = SYSTEMS[process.argv[2] ?? ""];
if (begin === undefined) throw new TypeError(`no system is called ${process.argv[2]}`);
console.log(JSON.stringify(await begin()));
