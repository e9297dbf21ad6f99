// Answers: owns the ports, runs the scenario in slices that a frame has time for, draws the
// picture, and measures what a port costs; each when the page asks for it.

import { PortError } from "../../bindings/index.ts";
import { measureCosts } from "./cost.ts";
import { Drawing, parityOf, stateOf } from "./drawing.ts";
import { LinuxSockets } from "./linux.ts";
import { NetstackPorts } from "./netstack.ts";
import type { Ports } from "./ports.ts";
import type {
  ChangeRange,
  Frame,
  FromWorker,
  Place,
  PortDetails,
  Ranges,
  ToWorker,
} from "./protocol.ts";
import type { Settings } from "./settings.ts";
import { Simulation } from "./simulation.ts";
import { OUTSIDE, PORTS } from "./states.ts";

/** What a dedicated worker has of its own; the DOM's types do not know it. */
interface Scope {
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
}

const scope = globalThis as unknown as Scope;
const now = (): number => performance.now();

/** A frame at 60 Hz has 16.7 ms; the picture and the way to the page need some of it. */
const SLICE_MS = 11;
/** After a tab has slept, the scenario does not make up for it. */
const ELAPSED_MAX = 50;

let simulation: Simulation | undefined;
/**
 * Why there is none: a host that may not compile. The page shows that, whatever it asks for later.
 */
let unopened: PortError | undefined;
let place: Place = "system";
let running = 0;
let drawing = 0;
const sheet = new Drawing();

/** Does what the page asks for, and answers. */
export function receive(message: ToWorker): void {
  try {
    obey(message);
  } catch (error) {
    if (!(error instanceof PortError)) throw error;
    if (simulation === undefined) unopened = error;
    const settings = simulation === undefined ? undefined : settingsOf(simulation);
    scope.postMessage({ kind: "failed", message: error.message, settings });
  }
}

function obey(message: ToWorker): void {
  if (message.kind === "measure") measureOn(measureCosts(message.occupancies, now));
  else if (message.kind === "open") open(message.settings, message.operations);
  else if (simulation !== undefined) obeyWith(simulation, message);
  else if (message.kind !== "frame") throw unopened;
}

function obeyWith(current: Simulation, message: ToWorker): void {
  if (message.kind === "frame") frame(current, message);
  else if (message.kind === "step") current.step(message.operations);
  else if (message.kind === "change") change(current, message.settings);
  else if (message.kind === "range") changeRange(current.ports, message);
  else if (message.kind === "look") place = message.from;
  else if (message.kind === "ask") askAll(current.ports);
}

function open(settings: Settings, operations: number): void {
  const ports = portsOf(settings);
  simulation?.ports.close();
  simulation = new Simulation(ports, settings);
  place = "system";
  running = drawing = 0;
  tellRanges(ports);
  simulation.step(operations);
}

function portsOf(settings: Settings): Ports {
  return settings.system === "linux" ? new LinuxSockets(settings) : new NetstackPorts(settings);
}

function change(current: Simulation, settings: Settings): void {
  current.ports.limits.reserved.text = settings.reserved;
  current.settings = settings;
}

/** The settings as they are, after a change that was refused, too. */
function settingsOf({ settings, ports }: Simulation): Settings {
  return { ...settings, ...ports.range, reserved: ports.limits.reserved.text };
}

function changeRange(ports: Ports, { of, first, last }: ChangeRange): void {
  if (of === "system") ports.setRange({ first, last });
  else ports.limits.setRange(of, { first, last });
  tellRanges(ports);
}

function tellRanges({ limits, range }: Ports): void {
  const groups = limits.groups.map((group) => group.effective.connect);
  const ranges: Ranges = { system: range, groups };
  scope.postMessage({ kind: "opened", ranges });
}

// ── Frames ────────────────────────────────────────────────────────────────────────────────

function frame(current: Simulation, { codes, elapsed, port }: Frame): void {
  const start = now();
  if (elapsed > 0) current.run(Math.min(elapsed, ELAPSED_MAX), start + SLICE_MS, now);
  const between = now();
  const bytes = new Uint8Array(codes);
  const { ports } = current;
  ports.read(sheet);
  const range = ports.limits.rangeFrom(place, ports.range);
  const counts = sheet.finish(bytes, range);
  const parity = parityOf(bytes, range);
  running += between - start;
  drawing += now() - between;
  const { time, operations, refused } = current;
  const figures = { time, operations, refused, live: ports.live, running, drawing };
  const details = port === undefined ? undefined : detailsOf(ports, port, bytes[port] as number);
  scope.postMessage({ kind: "picture", codes, counts, parity, figures, details }, [codes]);
}

function detailsOf(ports: Ports, port: number, state: number): PortDetails {
  if (port === 0) return { port, state: OUTSIDE, holders: [], cooling: [], requests: [] };
  const requests = ports.requests(port, place);
  return { port, state, ...ports.holdersOf(port), requests };
}

/** Asks the facade about each port, one by one. */
function askAll(ports: Ports): void {
  const start = now();
  const { limits } = ports;
  const range = limits.rangeFrom(place, ports.range);
  const codes = new Uint8Array(PORTS).fill(OUTSIDE);
  for (let port = 1; port < PORTS; port++) {
    const { holders, isCooling } = ports.ask(port);
    const isInside = range !== undefined && range.first <= port && port <= range.last;
    const owner = ports.ownerOf?.(port) ?? 0;
    codes[port] = stateOf(holders, isCooling, limits.reserved.has(port), isInside, owner);
  }
  scope.postMessage({ kind: "answers", codes, milliseconds: now() - start });
}

// ── What a port costs ─────────────────────────────────────────────────────────────────────

/** Lets the page have each figure before the next batch begins. */
function measureOn(costs: ReturnType<typeof measureCosts>): void {
  const { value, done } = costs.next();
  scope.postMessage(done === true ? { kind: "measured" } : value);
  if (done !== true) setTimeout(measureOn, 0, costs);
}
