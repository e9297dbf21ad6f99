// The load that the command line of `portwarden plan` describes.

import {
  type ConnectorOptions,
  cooldownOf,
  hasTimestamps,
  portsToUse,
} from "../../node/connector/connector-options.ts";
import { HEADROOM_MOST } from "../../node/connector/headroom.ts";
import type { HostState } from "../../node/host/host-state.ts";
import { parseReservedList } from "../../node/host/proc.ts";
import { rangeUse } from "../../node/host/use.ts";
import { parseSources } from "../../node/sources/sources.ts";
import {
  BadInput,
  type Given,
  neededIn,
  numberOf,
  parsedBy,
  rangeOf,
  valueIn,
  wholeOf,
  wrong,
} from "../args.ts";
import { type Lifetime, type Load, settledAfter } from "./load.ts";

export const OPTIONS = {
  sources: { type: "string" },
  destinations: { type: "string" },
  rate: { type: "string" },
  lifetime: { type: "string" },
  connections: { type: "string" },
  cooldown: { type: "string" },
  range: { type: "string" },
  reserved: { type: "string" },
  headroom: { type: "string" },
  files: { type: "string" },
  for: { type: "string" },
  seed: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** The question: a load of a rate, of connections that stay open, or the highest rate. */
type Kind = "rate" | "connections" | "highest rate";

const DESTINATIONS_MAX = 1_000_000;
const RATE_LEAST = 0.001;
const RATE_MOST = 1e9;
const MOMENT = 0.001;
const DAY = 86_400;
const UINT32_MAX = 0xffffffff;
/** The options that say how connections come and go. */
const OF_A_RATE = ["rate", "lifetime", "cooldown", "for", "seed"];

/**
 * Which question is it?
 * @throws BadInput for options that answer different ones.
 */
export function kindOf(given: Given): Kind {
  if (!given.has("connections")) return given.has("rate") ? "rate" : "highest rate";
  const more = OF_A_RATE.find((name) => given.has(name));
  if (more === undefined) return "connections";
  throw new BadInput(`--connections are all open at once: leave --${more} out`);
}

/**
 * The load. One of connections that stay open comes within one second; the highest rate is asked of
 * a load of one connection per second.
 * @throws BadInput when the command line is not understood.
 */
export function loadOf(given: Given, host: HostState): Load {
  const kind = kindOf(given);
  const sources = neededIn(given, "sources", "10.0.0.1-10.0.0.4");
  const destinations = wholeOf(
    "--destinations",
    neededIn(given, "destinations", "4"),
    1,
    DESTINATIONS_MAX,
  );
  const rate = rateIn(given);
  const lifetime =
    kind === "rate" ? lifetimeOf(neededIn(given, "lifetime", "10")) : lifetimeIn(given);
  const cooldown = cooldownIn(given);
  const isByTimestamps = cooldown === "timestamps" && hasTimestamps(host);
  const cooldownSeconds = cooldownOf(cooldown, host) / 1000;
  const seed = valueIn(given, "seed") ?? "1";
  return {
    sources: parsedBy(() => parseSources(sources)).length,
    destinations,
    rate,
    lifetime,
    cooldown: cooldownSeconds,
    whenCooling: isByTimestamps ? "oldest" : "refuse",
    ...portsIn(given, host),
    files: filesIn(given, host),
    seconds: secondsIn(given, { lifetime, cooldown: cooldownSeconds }),
    seed: wholeOf("--seed", seed, 0, UINT32_MAX),
  };
}

function rateIn(given: Given): number {
  const connections = valueIn(given, "connections");
  if (connections !== undefined) return wholeOf("--connections", connections, 1, RATE_MOST);
  const rate = valueIn(given, "rate");
  return rate === undefined ? 1 : numberOf("--rate", rate, RATE_LEAST, RATE_MOST);
}

/** No time at all, unless it is said. */
function lifetimeIn(given: Given): Lifetime {
  const text = valueIn(given, "lifetime");
  return text === undefined ? { kind: "fixed", seconds: 0 } : lifetimeOf(text);
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

function portsIn(given: Given, host: HostState): Pick<Load, "range" | "reserved" | "keptFree"> {
  const range = valueIn(given, "range");
  const text = valueIn(given, "headroom");
  const most = Math.floor(rangeUse(host).available * HEADROOM_MOST);
  const { portRange, keptFree, reserved } = parsedBy(() =>
    portsToUse(
      {
        portRange: range === undefined || range === "outside" ? range : rangeOf("--range", range),
        reserved: reservedIn(given),
        headroom: text === undefined ? undefined : wholeOf("--headroom", text, 0, most),
      },
      host,
    ),
  );
  for (const port of keptFree) reserved.delete(port);
  return { range: portRange, reserved: reserved.text, keptFree };
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
