// Main: the page. It sends the worker a frame whenever the screen wants one, and shows what comes
// back.

import { Controls } from "./controls.ts";
import { CostChart, OCCUPANCIES } from "./cost-chart.ts";
import { makeLegend, makeParity, showPort, summaryOf } from "./inspector.ts";
import { PortMap } from "./map.ts";
import type { FromWorker, Picture, ToWorker } from "./protocol.ts";
import { Rates } from "./rates.ts";
import { isLive, SCENARIOS, type Scenario, type Settings } from "./settings.ts";
import { milliseconds, rate, the, whole } from "./show.ts";
import { PORTS } from "./states.ts";

/** Operations before the first picture, so that there is something to see. */
const PREFILL = 60_000;
const STEP = 1000;
const FIRST_PORT = 45_430;
/** How often text changes while the scenario runs, and how often it is read out. */
const TEXT_MS = 200;
const ALOUD_MS = 6000;
/** Pictures with reduced motion. */
const CALM_MS = 500;

const opening = (SCENARIOS[0] as Scenario).settings;
const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const rates = new Rates();
const chart = new CostChart();
const writeLegend = makeLegend();
const writeParity = makeParity();

let isRunning = false;
/** Something has changed that no picture shows yet. */
let isStale = true;
/** Buffers for pictures that the page has, and the picture that it has not painted yet. */
const buffers: ArrayBuffer[] = [new ArrayBuffer(PORTS), new ArrayBuffer(PORTS)];
let picture: Picture | undefined;
/** Milliseconds that the scenario has yet to go on. */
let elapsed = 0;
let operations = 0;
let lastFrame = 0;
let lastText = 0;
let lastAloud = 0;
let lastPaint = 0;
let isByKey = false;
let isPortNew = true;
let isAsked = false;
let measurer: Worker | undefined;

const map = new PortMap(the<HTMLCanvasElement>("map"), the("mark"), (port, byKey) => {
  isStale = isPortNew = true;
  isByKey = byKey;
  the<HTMLInputElement>("port").value = `${port}`;
});

const controls = new Controls(opening, {
  onSettings: (settings, before) => {
    if (isLive(before, settings)) send({ kind: "change", settings });
    else reopen(settings);
  },
  onScenario: (settings) => reopen(settings),
  onRange: (of, range) => send({ kind: "range", of, ...range }),
  onPlace: (from) => send({ kind: "look", from }),
});

function send(message: ToWorker): void {
  the("trouble").hidden = true;
  worker.postMessage(message);
  isStale = true;
}

/** Everything from the beginning. */
function reopen(settings: Settings): void {
  send({ kind: "open", settings, operations: PREFILL });
  rates.restart();
}

// ── Frames ────────────────────────────────────────────────────────────────────────────────

function onFrame(at: number): void {
  requestAnimationFrame(onFrame);
  elapsed += isRunning ? at - lastFrame : 0;
  lastFrame = at;
  const painted = picture;
  if (painted !== undefined) show(painted, at);
  if (isRunning) rates.add(at, operations, painted !== undefined);
  if (!(isRunning || isStale)) return;
  const buffer = buffers.pop();
  if (buffer === undefined) return;
  const isTextDue = isPortNew || at - lastText >= TEXT_MS;
  const frame: ToWorker = {
    kind: "frame",
    codes: buffer,
    elapsed,
    port: isTextDue || isStale ? map.port : undefined,
  };
  worker.postMessage(frame, [buffer]);
  // The picture that it is compared with has been drawn just before.
  if (isAsked) worker.postMessage({ kind: "ask" } satisfies ToWorker);
  elapsed = 0;
  isStale = isPortNew = isAsked = false;
}

function show(shown: Picture, at: number): void {
  picture = undefined;
  operations = shown.figures.operations;
  if (!isRunning || !calm.matches || at - lastPaint >= CALM_MS) {
    map.paint(new Uint8Array(shown.codes));
    lastPaint = at;
  }
  buffers.push(shown.codes);
  const { details } = shown;
  if (details !== undefined) {
    const isAloud = isByKey && details.port === map.port;
    showPort(details, isAloud);
    if (isAloud) isByKey = false;
  }
  if (isRunning && at - lastText < TEXT_MS) return;
  lastText = at;
  writeLegend(shown.counts);
  writeParity(shown.parity);
  writeFigures(shown);
  if (isRunning && at - lastAloud < ALOUD_MS) return;
  lastAloud = at;
  the("summary").textContent = summaryOf(shown.counts);
}

function writeFigures({ figures }: Picture): void {
  const { time, operations, refused, live, running, drawing } = figures;
  const measured = isRunning ? rates.rate : undefined;
  the("live-shown").textContent = whole(live);
  the("refused-shown").textContent = rate(refused);
  the("clock-shown").textContent =
    `${whole(operations)} operations in ${milliseconds(time)} of the scenario’s time. ` +
    `Worker: ${milliseconds(running)} at work, ${milliseconds(drawing)} drawing.`;
  if (measured === undefined) return;
  the("rate-shown").textContent = rate(measured.operations);
  the("frames-shown").textContent = measured.frames.toFixed(0);
  const missed = Math.round(measured.missed);
  the("missed-shown").textContent = missed === 0 ? "none missed" : `${missed} missed`;
}

worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
  if (data.kind === "picture") take(data);
  if (data.kind === "opened") controls.showRanges(data.ranges);
  if (data.kind === "failed") {
    complain(data.message);
    if (data.settings !== undefined) controls.showSettings(data.settings);
  }
  if (data.kind === "answers") compare(data.codes, data.milliseconds);
});

/**
 * A newer picture makes one that has not been painted needless, but not its details of a port.
 */
function take(newer: Picture): void {
  const older = picture;
  picture =
    older?.details !== undefined && newer.details === undefined
      ? { ...newer, details: older.details }
      : newer;
  if (older !== undefined) buffers.push(older.codes);
}

worker.addEventListener("error", ({ message }) => complain(message || "the worker did not start"));

function complain(message: string): void {
  the("trouble").textContent = message;
  the("trouble").hidden = false;
}

// ── Run, step, reset ──────────────────────────────────────────────────────────────────────

function setRunning(running: boolean): void {
  // Two at work would slow each other down.
  if (running && measurer !== undefined) endMeasuring("Stopped, since the scenario runs.");
  isRunning = running;
  elapsed = 0;
  isStale = true;
  rates.restart();
  const button = the("run");
  button.textContent = running ? "Pause" : "Run";
  button.setAttribute("aria-pressed", `${running}`);
}

the("run").addEventListener("click", () => setRunning(!isRunning));
the("step").addEventListener("click", () => {
  setRunning(false);
  send({ kind: "step", operations: STEP });
});
the("reset").addEventListener("click", () => {
  setRunning(false);
  the("rate-shown").textContent = the("frames-shown").textContent = "0";
  the("missed-shown").textContent = "";
  reopen(controls.settings);
});

the<HTMLInputElement>("port").addEventListener("input", ({ target }) => {
  const { valueAsNumber, validity } = target as HTMLInputElement;
  if (validity.valid && valueAsNumber > 0) map.choose(valueAsNumber, true);
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  map.refreshColours();
  isStale = true;
});

// ── Checking the picture ──────────────────────────────────────────────────────────────────

the("check").addEventListener("click", () => {
  setRunning(false);
  the("checked").textContent = "asking …";
  isAsked = true;
});

/** The pixels against what the manager has answered for each port. */
function compare(answers: Uint8Array, took: number): void {
  if (picture !== undefined) show(picture, lastFrame);
  const pixels = map.readBack();
  const wrong = answers.findIndex((state, port) => state !== pixels[port]);
  const verdict = wrong < 0 ? "every pixel agrees" : `port ${wrong} is drawn wrongly`;
  the("checked").textContent = `65,536 ports asked in ${milliseconds(took)}: ${verdict}.`;
  document.dispatchEvent(new CustomEvent("answers", { detail: answers }));
}

// ── What a port costs ─────────────────────────────────────────────────────────────────────

the("measure").addEventListener("click", () => {
  if (measurer !== undefined) return endMeasuring("Stopped.");
  setRunning(false);
  chart.clear();
  the("results").hidden = false;
  the("measure").textContent = "Stop";
  the("measure-status").textContent = "Measuring …";
  measurer = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  measurer.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
    if (data.kind === "cost") chart.add(data);
    if (data.kind === "measured")
      endMeasuring("Done: at each occupancy all three found the same ports.");
  });
  measurer.addEventListener("error", ({ message }) =>
    endMeasuring(`The measurement was ended: ${message}`),
  );
  measurer.postMessage({ kind: "measure", occupancies: OCCUPANCIES } satisfies ToWorker);
});

function endMeasuring(status: string): void {
  measurer?.terminate();
  measurer = undefined;
  the("measure").textContent = "Measure";
  the("measure-status").textContent = status;
}

reopen(opening);
map.choose(FIRST_PORT, false);
requestAnimationFrame(onFrame);
