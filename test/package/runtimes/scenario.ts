// What every runtime goes through: the same file everywhere, which imports nothing. It is handed
// the package as the runtime has loaded it, and whatever is not as it should be it throws.

/** The package, however it was loaded. */
export type Portwarden = typeof import("../../../bindings/index.ts");

/** Modules that the host has compiled; without them the package brings its own. */
export interface Modules {
  readonly module?: WebAssembly.Module | undefined;
  readonly linuxModule?: WebAssembly.Module | undefined;
  readonly cooldownModule?: WebAssembly.Module | undefined;
}

export interface Report {
  /** How many things were looked at. */
  readonly checks: number;
  /** From before the import to the first port. */
  readonly coldMs: number;
  /** To take one port and free it, in batches. */
  readonly pickNs: number;
}

const TCP = 6;
const RANGE = { first: 40000, last: 40063 };
const KEY = { networks: [4], transport: TCP, address: "10.0.0.1" } as const;
const BATCH = 256;
const ROUNDS = 15;
const BATCHES = 1000;

/**
 * Everything, timed.
 * @param startedAt when the runtime began to load the package, by `performance.now()`.
 */
export function run(portwarden: Portwarden, startedAt: number, modules: Modules = {}): Report {
  const pool = openPorts(portwarden, modules).pool(KEY);
  if (pool.take() <= 0) throw new Error("the first port was refused");
  const coldMs = performance.now() - startedAt;
  pool.close();
  return { checks: play(portwarden, modules), coldMs, pickNs: timePicks(portwarden, modules) };
}

/** Everything, once. How many things were looked at. */
export function play(portwarden: Portwarden, modules: Modules = {}): number {
  const checks = new Checks();
  for (const fixture of [reserve, exhaust, groups, batches, grow, rest, sockets, release]) {
    fixture(portwarden, modules, checks);
  }
  return checks.count;
}

/** Takes and frees that many batches: nanoseconds per port, by the host's own clock. */
export function pick(portwarden: Portwarden, modules: Modules, batches: number): number {
  const manager = openPorts(portwarden, modules);
  const pool = manager.pool({ ...KEY, destination: { address: "10.9.0.1", port: 443 } });
  const ports = new Uint16Array(BATCH);
  const before = performance.now();
  for (let batch = 0; batch < batches; batch++) {
    const taken = pool.takeMany(ports);
    if (taken !== BATCH || pool.freeMany(ports) !== BATCH) throw new Error("a batch fell short");
  }
  const ns = ((performance.now() - before) * 1e6) / (batches * BATCH);
  manager.close();
  return ns;
}

function timePicks(portwarden: Portwarden, modules: Modules): number {
  const times = Array.from({ length: ROUNDS }, () => pick(portwarden, modules, BATCHES));
  return times.sort((a, b) => a - b)[ROUNDS >> 1] as number;
}

// ── Moving ────────────────────────────────────────────────────────────────────────────────

/** What a manager answered in one place, and what it takes along, as text. */
export interface Leg {
  readonly ports: readonly number[];
  readonly snapshot: string;
}

/** In so many places. */
export const LEGS = 3;
const OFTEN = 40;
const COOLDOWN = 1000;

/** Goes on with a manager that is moved here; with none, opens it. */
export function goOn(portwarden: Portwarden, snapshot: string): Leg {
  const { PortManager } = portwarden;
  const manager = snapshot === "" ? openMoving(portwarden) : PortManager.restore(bytesOf(snapshot));
  const ports = operate(manager);
  const taken = textOf(manager.snapshot({ secrets: true }));
  manager.close();
  return { ports, snapshot: taken };
}

/** The same in one place. */
export function stay(portwarden: Portwarden): number[] {
  const manager = openMoving(portwarden);
  const ports = Array.from({ length: LEGS }, () => operate(manager)).flat();
  manager.close();
  return ports;
}

type Manager = ReturnType<Portwarden["PortManager"]["open"]>;
const poolsOf = new WeakMap<Manager, ReturnType<Manager["pool"]>>();

function openMoving({ PortManager }: Portwarden): Manager {
  const manager = PortManager.open({ seed: 5, portRange: RANGE, selection: "double-hash" });
  const destination = { address: "10.9.0.1", port: 443 };
  const cooldown = { period: COOLDOWN, whenCooling: "oldest" } as const;
  poolsOf.set(manager, manager.pool({ ...KEY, destination, cooldown }));
  return manager;
}

/** What it answers: ports, negative refusals, and figures. */
function operate(manager: Manager): number[] {
  const pool = poolsOf.get(manager) ?? manager.restored?.pools[0];
  if (pool === undefined) throw new Error("the pool has not come along");
  const answers: number[] = [];
  for (let turn = 0; turn < OFTEN; turn++) {
    const port = pool.take();
    if (port > 0 && turn % 3 === 0) pool.coolDown(port, turn);
    answers.push(port);
  }
  const reserved = manager.tryReserve({ ...KEY, address: "10.0.0.2" });
  answers.push(typeof reserved === "number" ? reserved : reserved.port);
  answers.push(manager.stats().references, pool.held, pool.cooling);
  return answers;
}

function textOf(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
}

// ── Setups ────────────────────────────────────────────────────────────────────────────────

type Fixture = (portwarden: Portwarden, modules: Modules, checks: Checks) => void;

const reserve: Fixture = (portwarden, modules, checks) => {
  const ports = openPorts(portwarden, modules);
  const held = ports.reservePort({ ...KEY, port: 8080 });
  checks.same(held.port, 8080, "an explicit port");
  checks.same(ports.isAvailable({ ...KEY, port: 8080 }), false, "it is held");
  checks.same(ports.isAvailable({ ...KEY, address: "10.0.0.2", port: 8080 }), true, "there only");
  checks.refused(() => ports.reservePort({ ...KEY, port: 8080 }), "EADDRINUSE");
  checks.refused(() => ports.reservePort({ ...KEY, address: "", port: 8080 }), "EADDRINUSE");
  checks.refused(() => ports.reservePort({ ...KEY, port: 70000 }), "ERR_SOCKET_BAD_PORT");
  checks.refused(() => ports.reservePort({ ...KEY, address: "10.0.0" }), "ERR_INVALID_IP_ADDRESS");
  const any = ports.reservePort(KEY);
  checks.same(any.port >= 16000, true, "an ephemeral port");
  checks.same(any.release(), true, "released");
  checks.same(any.release(), false, "and once only");
  checks.same(held.release(), true, "released as well");
  checks.same(ports.stats().references, 0, "nothing is held");
};

const exhaust: Fixture = (portwarden, modules, checks) => {
  const { Refusal } = portwarden;
  const ports = openPorts(portwarden, { ...modules, portRange: RANGE, seed: 7 });
  const pools = [1, 2].map((last) =>
    ports.pool({ ...KEY, destination: { address: `10.9.0.${last}`, port: 443 } }),
  );
  for (const pool of pools) {
    const taken = new Set(Array.from({ length: 64 }, () => pool.take()));
    checks.same(taken.size, 64, "every port once, for each destination");
    checks.same(pool.take(), Refusal.EXHAUSTED, "and no more");
    checks.same(pool.takeAt(RANGE.first), Refusal.IN_USE, "none twice");
  }
  checks.refused(() => ports.reservePort(KEY), "EADDRINUSE", "no-port-available");
  checks.same(pools[0]?.free(RANGE.last), true, "freed");
  checks.same(pools[0]?.take(), RANGE.last, "the one that is free");
};

const groups: Fixture = (portwarden, modules, checks) => {
  const { PortGroups, ReservedPorts } = portwarden;
  const core = coreOf(modules);
  const tree = PortGroups.open(core);
  const api = tree.create("/web/api", { bindPortRange: { first: 20000, last: 20009 } });
  const ports = openPorts(portwarden, modules);
  const reserved = new ReservedPorts("20000-20008", core);
  const held = ports.reservePort({ ...KEY, group: api, reserved });
  checks.same(held.port, 20009, "the one that is not reserved");
  checks.refused(() => ports.reservePort({ ...KEY, group: api, port: 20010 }), "EACCES");
  checks.refused(() => api.remove(), "EBUSY");
  checks.same(tree.read("/web/api/net_cls.bind_port_range"), "20000 20009\n", "as a file");
  held.release();
  api.remove();
  checks.refused(() => tree.get("/web/api"), "ENOENT");
  tree.close();
};

const batches: Fixture = (portwarden, modules, checks) => {
  const ports = openPorts(portwarden, modules);
  const pool = ports.pool({ ...KEY, destination: { address: "10.9.0.1", port: 443 } });
  for (const count of [1, 33, 1000, 5000]) {
    const batch = new Uint16Array(count);
    checks.same(pool.takeMany(batch), count, `${count} at a time`);
    checks.same(new Set(batch).size, count, "all different");
    checks.same(pool.held, count, "all held");
    checks.same(pool.freeMany(batch), count, "all freed");
    checks.same(pool.held, 0, "and none is left");
  }
};

const grow: Fixture = (portwarden, modules, checks) => {
  const ports = openPorts(portwarden, modules);
  const early = ports.pool({ ...KEY, destination: { address: "10.9.0.1", port: 443 } });
  const batch = new Uint16Array(500);
  early.takeMany(batch);
  const { taken } = ports.stats().memory;
  let index = 0;
  for (; ports.stats().memory.taken < taken + 1_000_000; index++) {
    const destination = { address: `10.8.${index >> 8}.${index & 255}`, port: 443 };
    const pool = ports.pool({ ...KEY, destination });
    if (pool.takeMany(new Uint16Array(500)) !== 500) throw new Error("a batch fell short");
    if (index > 2000) throw new Error("the memory does not grow");
  }
  checks.same(ports.stats().references, (index + 1) * 500, "what was taken while it grew");
  checks.same(early.held, 500, "what was held before");
  checks.same(early.freeMany(batch), 500, "can be freed");
  checks.same(early.has(batch[0] as number), false, "and is free");
  checks.same(early.takeAt(batch[0] as number), batch[0], "to be taken again");
  ports.close();
};

const rest: Fixture = (portwarden, modules, checks) => {
  const ports = openPorts(portwarden, { ...modules, portRange: RANGE });
  const pool = ports.pool({ ...KEY, cooldown: 1000 });
  const port = pool.take();
  checks.same(pool.coolDown(port, 0), true, "put to rest");
  checks.same(pool.takeAt(port), portwarden.Refusal.COOLING, "coolsDown");
  checks.same(pool.expire(5000), 1, "has cooledDown");
  checks.same(pool.takeAt(port), port, "is back");
};

const sockets: Fixture = (portwarden, modules, checks) => {
  const { module, linuxModule } = modules;
  const options = module && linuxModule ? { module, linuxModule } : {};
  const linux = portwarden.LinuxPorts.open({ rules: "2.6.32", ...options });
  const server = linux.socket({ reuseAddr: true });
  checks.same(server.bind("", 8080), 8080, "bind()");
  server.listen();
  checks.refused(() => linux.socket().bind("10.0.0.1", 8080), "EADDRINUSE");
  const client = linux.socket();
  const port = client.connect("192.0.2.1", 443, { localAddress: "10.0.0.1" });
  checks.same(port >= 32768 && port <= 60999, true, "connect()");
  client.close({ timeWait: true });
  checks.same(linux.bindBucket(port)?.timeWait, 1, "TIME_WAIT");
  linux.setTime(61_000);
  checks.same(linux.expireTimeWait(), 1, "its end");
  server.close();
  checks.same(linux.stats().buckets, 0, "nothing is left");
  linux.close();
};

const release: Fixture = (portwarden, modules, checks) => {
  const ports = openPorts(portwarden, modules);
  const { used } = ports.stats().memory;
  const held = Array.from({ length: 3000 }, (_, index) =>
    ports.reservePort({ ...KEY, address: `10.0.${index >> 8}.${index & 255}` }),
  );
  checks.same(ports.stats().references, 3000, "all are held");
  checks.same(ports.stats().memory.used > used, true, "and take memory");
  for (const reservation of held) reservation.release();
  const { descriptors, counters, references, memory } = ports.stats();
  checks.same(descriptors + counters + references, 0, "nothing is held");
  checks.same(memory.used, used, "and nothing used");
  ports.close();
  checks.refused(() => ports.stats(), "EBADF");
};

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** What was looked at, and a check that fails throws. */
export class Checks {
  count = 0;

  same(got: unknown, expected: unknown, what: string): void {
    this.count += 1;
    if (Object.is(got, expected)) return;
    throw new Error(`${what}: expected ${String(expected)}, got ${String(got)}`);
  }

  refused(act: () => unknown, code: string, reason?: string): void {
    let got: unknown = "no error";
    try {
      act();
    } catch (error) {
      got = error;
    }
    const refusal = got as { name?: string; code?: string; reason?: string };
    this.same(refusal.name, "PortError", `${code}: ${String(got)}`);
    this.same(refusal.code, code, String(got));
    if (reason !== undefined) this.same(refusal.reason, reason, String(got));
  }
}

type Options = Modules & Parameters<Portwarden["PortManager"]["open"]>[0];

function openPorts({ PortManager }: Portwarden, options: Options) {
  const { linuxModule: _, ...others } = options;
  return PortManager.open(others);
}

function coreOf({ module }: Modules): { module?: WebAssembly.Module } {
  return module === undefined ? {} : { module };
}
