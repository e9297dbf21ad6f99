// The answer of `portwarden plan` in words.

import { counted, figure } from "../../node/connector/words.ts";
import { showRange } from "../../requests/range.ts";
import { bullet, paint, percent, seconds, table, title, titled, wrapped } from "../output.ts";
import { COOLDOWN_MOST, type Lifetime, type Load, passedOverText, reduced } from "./load.ts";
import { othersText } from "./others.ts";
import { type Answer, isWhole, leastLooks, TIME_WAIT_S } from "./plan.ts";
import type { Remedy } from "./remedies.ts";
import type { Exhausted, Forecast } from "./simulation.ts";

// A limit of fewer does not divide well.
const FILES_FEW = 100;
const UNLESS_TIMESTAMPS = " (none is needed where TCP timestamps are on at both ends)";

/** The answer, for people. */
export function planText(answer: Answer): string {
  const { load, forecast } = answer;
  // Where there is no port, there are no figures.
  const figures = [
    use(forecast),
    "",
    bullet(plainNode(answer)),
    bullet(kernelText(answer)),
    bullet(othersText(answer)),
    ...share(load, forecast).map((text) => bullet(text)),
    "",
  ];
  return [
    introduction(load, forecast),
    "",
    cause(load, forecast),
    "",
    ...(forecast.ports === 0 ? [] : figures),
    ...changes(answer),
  ].join("\n");
}

function introduction(load: Load, { ports }: Forecast): string {
  const pairs = load.sources * load.destinations;
  const range = showRange(load.range);
  const files = load.files === Number.POSITIVE_INFINITY ? "no limit known" : figure(load.files);
  return [
    titled(
      "Load",
      `${counted(load.sources, "source")} to ${counted(load.destinations, "destination")}, ` +
        `${rateText(load.rate)}, each open ${lifetimeText(load.lifetime)}, for ${seconds(load.seconds)}`,
    ),
    titled(
      "Ports",
      `${range}${passedOverText(load)}: ${figure(ports)} for each source and destination, ` +
        `${figure(ports * pairs)} in all`,
    ),
    titled("Cooldown", cooldown(load)),
    titled("Files", files),
  ].join("\n");
}

function cooldown({ cooldown: period, whenCooling }: Load): string {
  if (period === 0) return "none: a port is free as soon as its connection has ended";
  const more = seconds(period * (COOLDOWN_MOST - 1));
  const most = `${seconds(period)}, up to ${more} more, after the connection has ended on this side`;
  return whenCooling === "oldest" ? `${most}; the oldest is taken rather than none` : most;
}

function cause({ range }: Load, forecast: Forecast): string {
  const { fits, arrivals, refused, firstRefusal = 0, exhausted, ports } = forecast;
  if (fits) {
    return paint("green", `It fits: ${counted(arrivals, "connection")}, and none was refused.`);
  }
  if (ports === 0) {
    return paint(
      "red",
      `It does not fit: no port is left of ${showRange(range)}, all are reserved.`,
    );
  }
  return [
    paint(
      "red",
      `It does not fit: the first connection is refused after ${seconds(firstRefusal)}.`,
    ),
    wrapped(
      `Refused are ${figure(refused)} of ${counted(arrivals, "connection")} ` +
        `(${percent(refused, arrivals)}), because ${reason(exhausted)}.`,
    ),
  ].join("\n");
}

function reason(exhausted: Exhausted | undefined): string {
  if (exhausted === "files") return "no more files may be open";
  if (exhausted === "cooling") return "the ports that are not in use are cooling";
  return "every port of the range that it may use is in use for its source and destination";
}

function use({ open, perPool, ports, seconds: span }: Forecast): string {
  const heading = ["of each source and destination", "steady", "at most", "of"];
  const rows = [
    ["connections open", Math.round(perPool.open), "", ""],
    ["ports cooling", Math.round(perPool.cooling), "", ""],
    ["ports in use", Math.round(perPool.open + perPool.cooling), perPool.peak, ports],
  ];
  return [
    table(heading, rows),
    wrapped(
      `All together ${counted(Math.round(open.steady), "connection")} open, at most ${figure(open.peak)}. ` +
        `Steady is the last quarter of ${seconds(span)}.`,
      "  ",
    ),
  ].join("\n");
}

function plainNode({ load, plain }: Answer): string {
  const what = `Plain Node with localAddress ${plainPorts(load, plain)}`;
  if (plain.fits) return `${what}, and this load fits, too.`;
  const { firstRefusal = 0, refused, arrivals } = plain;
  const part = percent(refused, arrivals);
  return `${what}; there the first is refused after ${seconds(firstRefusal)}, and ${part} of all.`;
}

function kernelText({ kernel }: Answer): string {
  const { ports, fits, firstRefusal = 0, refused, arrivals } = kernel;
  const looks = leastLooks(kernel);
  const looked =
    looks === 1
      ? "each looks at one port or a few, as the first half of the range is not used up"
      : `each looks at ${figure(looks)} ports or more, as the first half of the range is used up`;
  const outcome = fits
    ? "this load fits"
    : `the first is refused after ${seconds(firstRefusal)}, and ${percent(refused, arrivals)} of all`;
  const what = `The kernel's own connect(), ${figure(ports)} ports for each source and destination`;
  return `${what}: ${outcome}; ${looked}.`;
}

/**
 * The resources that it has less of: ports that several destinations could share, and their time.
 */
function plainPorts(load: Load, plain: Forecast): string {
  const ports = counted(plain.ports * load.sources, "port");
  if (load.destinations > 1) return `shares no port among destinations: ${ports} in all`;
  if (load.cooldown === 0) return `has the same ${ports} for one destination`;
  const waiting = `none while it is in TIME_WAIT, ${seconds(TIME_WAIT_S)} long`;
  return `has the same ${ports} for one destination, and ${waiting}`;
}

/** The part that was not simulated, and why it behaves the same. */
function share(load: Load, forecast: Forecast): string[] {
  if (isWhole(load, forecast)) return [];
  const { sources, destinations, ports, seconds: span } = forecast.share;
  const texts = [];
  if (sources * destinations < load.sources * load.destinations) {
    texts.push(
      `${figure(sources)} of ${counted(load.sources, "source")} and ` +
        `${figure(destinations)} of ${counted(load.destinations, "destination")}, since all are alike`,
    );
  }
  if (ports !== 1) texts.push(`ports and rate of each divided by ${figure(ports)}`);
  if (span < load.seconds) {
    texts.push(`the first ${seconds(span)}, by the end of which it has long settled`);
  }
  const over = span < load.seconds ? ` Connections are counted over those ${seconds(span)}.` : "";
  const figures = `${over === "" ? "Figures" : "Other figures"} are for the whole.`;
  const part = `Simulated in part: ${texts.join("; ")}.${over} ${figures}`;
  const { files } = reduced(load, forecast.share);
  if (files >= FILES_FEW) return [part];
  return [`${part} They are rough, since that part has only ${figure(files)} open files.`];
}

function changes({ load, forecast, remedies, highestRate }: Answer): string[] {
  if (forecast.fits) {
    if (highestRate === undefined) return ["There is room for a thousand times the rate."];
    return [`The highest rate that fits: ${rateText(highestRate)} (simulated).`];
  }
  if (remedies.length === 0) return ["No change of one thing alone was found that makes it fit."];
  return [
    title("Any one of these makes it fit (each simulated):"),
    ...remedies.map((remedy) => bullet(changeText(remedy, load))),
  ];
}

function changeText(remedy: Remedy, load: Load): string {
  const peak = remedy.forecast.open.peak;
  const needsFiles = remedy.change !== "files" && peak > load.files;
  return `${what(remedy, load)}${needsFiles ? `, and ${counted(peak, "open file")}` : ""}`;
}

function what(remedy: Remedy, load: Load): string {
  switch (remedy.change) {
    case "sources":
      return `${counted(remedy.value, "source")} instead of ${figure(load.sources)}`;
    case "range":
      return `ports ${showRange(remedy.value)} instead of ${showRange(load.range)}`;
    case "headroom":
      return `headroom 0 instead of ${figure(load.keptFree.length)}`;
    case "cooldown":
      return remedy.value === 0
        ? "no cooldown"
        : `a cooldown of ${seconds(remedy.value)} instead of ${seconds(load.cooldown)}${UNLESS_TIMESTAMPS}`;
    case "lifetime":
      return `connections open ${lifetimeText(remedy.value)} instead of ${lifetimeText(load.lifetime)}`;
    case "rate":
      return `${rateText(remedy.value)} instead of ${figure(load.rate)}`;
    default:
      return `${counted(remedy.value, "open file")} instead of ${figure(load.files)}`;
  }
}

function rateText(rate: number): string {
  return counted(rate, "connection/s", "connections/s");
}

function lifetimeText(lifetime: Lifetime): string {
  if (lifetime.kind === "fixed") return seconds(lifetime.seconds);
  if (lifetime.kind === "exponential") return `${seconds(lifetime.mean)} on average (exponential)`;
  return `${seconds(lifetime.least)} to ${seconds(lifetime.most)}`;
}
