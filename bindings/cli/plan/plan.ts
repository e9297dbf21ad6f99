// `portwarden plan`: will a load fit, when do the ports run out, and what to change. Simulated in the
// core, and said in words or as JSON.

import type { ConnectorOptions } from "../../node/connector/connector-options.ts";
import {
  cooldownOf,
  isStamped,
  LINUX_RANGE,
  TIME_WAIT_MS,
} from "../../node/connector/connector-options.ts";
import { type HostState, readHostState } from "../../node/host/host-state.ts";
import { parseReservedList } from "../../node/host/proc.ts";
import { parseSources } from "../../node/sources/sources.ts";
import {
  type Given,
  neededIn,
  numberOf,
  parsedBy,
  parseOptions,
  rangeOf,
  valueIn,
  wholeOf,
  wrong,
} from "../args.ts";
import { writeJson, writeText } from "../output.ts";
import { type Lifetime, type Load, settledAfter } from "./load.ts";
import { planText } from "./plan-text.ts";
import { highestRate, type Remedy, remediesFor } from "./remedies.ts";
import { type Forecast, simulate } from "./simulation.ts";

/** What has been found out. */
export interface Answer {
  readonly load: Load;
  readonly forecast: Forecast;
  /** The same load in plain Node with `localAddress`. */
  readonly plain: Forecast;
  /** What would make it fit. */
  readonly remedies: readonly Remedy[];
  /** The highest rate that fits, where the load does; `undefined` if it is far above. */
  readonly highestRate: number | undefined;
}

const HELP = `usage: portwarden plan --sources LIST --destinations N --rate R --lifetime S [options]

Simulates connections from some source addresses to some destinations, port by port, and says whether
all find a local port, when the first does not, and what to change.

  --sources LIST       local addresses: 10.0.0.1-10.0.0.4, 10.0.0.0/28, or several with commas
  --destinations N     how many remote ends, each an address and a port
  --rate R             connections per second, of all together
  --lifetime S         seconds that each is open: 10; 5..20 (any in between, as likely as another);
                       exp:10 (exponential, 10 on average)
  --cooldown C         how a port cools down after its connection has ended on this side:
                       timestamps (default: 1 s where TCP timestamps are on, and the port that has
                       cooled longest is taken rather than none; else 60 s), none, or seconds
  --range F-L          local ports; by default this machine's range, or ${LINUX_RANGE.first}-${LINUX_RANGE.last}
  --reserved LIST      ports that are passed over, 8080,9000-9010; by default this machine's
  --files N            connections that may be open at once, as each takes a file; by default what
                       this process may have
  --for SECONDS        how long it goes on; by default until it has settled, twice over
  --seed N             for lifetimes that vary; 1 by default
  --json               one JSON document
  --help               show this

Exit codes: 0 it fits; 1 it does not, as where every port is reserved; 2 the command line is not
understood; 130 interrupted.`;

const OPTIONS = {
  sources: { type: "string" },
  destinations: { type: "string" },
  rate: { type: "string" },
  lifetime: { type: "string" },
  cooldown: { type: "string" },
  range: { type: "string" },
  reserved: { type: "string" },
  files: { type: "string" },
  for: { type: "string" },
  seed: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** How long Linux keeps a port in TIME_WAIT. */
export const TIME_WAIT_S: number = TIME_WAIT_MS / 1000;
const DESTINATIONS_MAX = 1_000_000;
const RATE_LEAST = 0.001;
const RATE_MOST = 1e9;
const MOMENT = 0.001;
const DAY = 86_400;
const UINT32_MAX = 0xffffffff;

/** Answers the exit code. */
export async function runPlan(args: readonly string[]): Promise<number> {
  const given = parseOptions("plan", args, OPTIONS);
  if (given.has("help")) {
    writeText(HELP);
    return 0;
  }
  const answer = await answerTo(loadOf(given, readHostState()));
  if (given.has("json")) writeJson(document(answer));
  else writeText(planText(answer));
  return answer.forecast.fits ? 0 : 1;
}

async function answerTo(load: Load): Promise<Answer> {
  const forecast = simulate(load);
  const plain = simulate(inPlainNode(load));
  if (forecast.fits) {
    return { load, forecast, plain, remedies: [], highestRate: highestRate(load)?.rate };
  }
  const remedies: Remedy[] = [];
  for await (const remedy of remediesFor(load)) remedies.push(remedy);
  return { load, forecast, plain, remedies, highestRate: undefined };
}

/**
 * With `localAddress`, Node binds to port 0 before it connects. The kernel then gives each port of a source to
 * one connection, whatever its destination, and not while a former one is in TIME_WAIT.
 */
function inPlainNode(load: Load): Load {
  const cooldown = load.cooldown === 0 ? 0 : TIME_WAIT_S;
  return { ...load, destinations: 1, cooldown, whenCooling: "refuse" };
}

/** Names that stay as they are: programs read them. */
function document({ load, forecast, plain, remedies, highestRate }: Answer): object {
  const { share } = forecast;
  return {
    fits: forecast.fits,
    exhausted: forecast.exhausted,
    firstRefusal: forecast.firstRefusal,
    arrivals: forecast.arrivals,
    refused: forecast.refused,
    seconds: forecast.seconds,
    ports: { perPair: forecast.ports, total: forecast.ports * load.sources * load.destinations },
    open: forecast.open,
    perPair: forecast.perPool,
    load,
    simulated: { ...share, whole: isWhole(load, forecast) },
    plainNode: {
      fits: plain.fits,
      ports: plain.ports * load.sources,
      firstRefusal: plain.firstRefusal,
      refused: plain.refused,
      arrivals: plain.arrivals,
    },
    changes: remedies.map(({ change, value, forecast: then }) => ({
      change,
      value,
      open: then.open.peak,
      perPair: then.perPool.peak,
    })),
    highestRate,
  };
}

/** Was all of the load simulated? */
export function isWhole(load: Load, { share }: Forecast): boolean {
  return (
    share.sources === load.sources &&
    share.destinations === load.destinations &&
    share.ports === 1 &&
    share.seconds === load.seconds
  );
}

// ── The command line ──────────────────────────────────────────────────────────────────────

function loadOf(given: Given, machine: HostState): Load {
  const sources = neededIn(given, "sources", "10.0.0.1-10.0.0.4");
  const destinations = wholeOf(
    "--destinations",
    neededIn(given, "destinations", "4"),
    1,
    DESTINATIONS_MAX,
  );
  const rate = numberOf("--rate", neededIn(given, "rate", "1000"), RATE_LEAST, RATE_MOST);
  const lifetime = lifetimeOf(neededIn(given, "lifetime", "10"));
  const cooldown = cooldownIn(given);
  const isByTimestamps = cooldown === "timestamps" && isStamped(machine);
  const cooldownSeconds = cooldownOf(cooldown, machine) / 1000;
  const seed = valueIn(given, "seed") ?? "1";
  const range = valueIn(given, "range");
  return {
    sources: parsedBy(() => parseSources(sources)).length,
    destinations,
    rate,
    lifetime,
    cooldown: cooldownSeconds,
    whenCooling: isByTimestamps ? "oldest" : "refuse",
    range: range === undefined ? (machine.portRange ?? LINUX_RANGE) : rangeOf("--range", range),
    reserved: reservedIn(given) ?? machine.reserved ?? "",
    files: filesIn(given, machine),
    seconds: secondsIn(given, { lifetime, cooldown: cooldownSeconds }),
    seed: wholeOf("--seed", seed, 0, UINT32_MAX),
  };
}

function lifetimeOf(text: string): Lifetime {
  const name = "--lifetime";
  const number = (part: string | undefined): number => numberOf(name, part ?? "", MOMENT, DAY);
  if (text.startsWith("exp:")) return { kind: "exponential", mean: number(text.slice(4)) };
  const ends = text.split("..");
  if (ends.length > 2) throw wrong(name, "seconds, 5..20 or exp:10", text);
  if (ends.length === 1) return { kind: "fixed", seconds: number(text) };
  const [least, most] = [number(ends[0]), number(ends[1])];
  if (least > most) throw wrong(name, "a low and a high, such as 5..20", text);
  return { kind: "uniform", least, most };
}

function cooldownIn(given: Given): NonNullable<ConnectorOptions["cooldown"]> {
  const text = valueIn(given, "cooldown") ?? "timestamps";
  if (text === "none" || text === "timestamps") return text;
  const valid = `none, timestamps or seconds in 0..${DAY}`;
  return Math.round(numberOf("--cooldown", text, 0, DAY, valid) * 1000);
}

function reservedIn(given: Given): string | undefined {
  const text = valueIn(given, "reserved");
  if (text === undefined) return undefined;
  const list = parseReservedList(text);
  if (list !== undefined) return list;
  throw wrong("--reserved", "ports and ranges with commas, such as 8080,9000-9010", text);
}

function filesIn(given: Given, { fileLimits, openFiles }: HostState): number {
  const text = valueIn(given, "files");
  if (text !== undefined) return wholeOf("--files", text, 1, UINT32_MAX);
  if (fileLimits === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(1, fileLimits.soft - (openFiles ?? 0));
}

function secondsIn(given: Given, load: Pick<Load, "lifetime" | "cooldown">): number {
  const text = valueIn(given, "for");
  if (text !== undefined) return numberOf("--for", text, MOMENT, 365 * DAY);
  return Math.max(1, Math.ceil(2 * settledAfter(load)));
}
