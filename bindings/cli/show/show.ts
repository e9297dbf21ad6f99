// `portwarden show`: the ports of this machine, and how many of them are left.

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { PORT_MAX } from "../../../assembly/abi.ts";
import { show } from "../../errors.ts";
import { type HostState, type HostTransport, readHostState } from "../../node/host/host-state.ts";
import {
  freshPair,
  type LimitUse,
  limitsOf,
  type PairUse,
  pairsOf,
  type Remote,
  rangeUse,
  statesOf,
  untouchedIn,
} from "../../node/host/use.ts";
import { parseAddress } from "../../requests/address.ts";
import { CannotRun, type Given, parsedBy, parseOptions, valueIn, wholeOf, wrong } from "../args.ts";
import { helpText, writeJson, writeText } from "../output.ts";
import { blockHolders, blocksText } from "./blocks.ts";
import { lookAtPort, portText } from "./port.ts";
import { type Program, programsOf } from "./programs.ts";
import { type Remedies, remediesFor } from "./remedies.ts";
import { showText } from "./show-text.ts";

export interface Shown {
  readonly host: HostState;
  /** By source and destination, the busiest first; those of the destinations asked for. */
  readonly pairs: readonly PairUse[];
  /** The programs of those pairs that are listed. */
  readonly programs: readonly (readonly Program[])[];
  /** How many of the pairs to list. */
  readonly top: number;
  /** The nearest first. */
  readonly limits: readonly LimitUse[];
  /** For limits that are reached, or nearly. */
  readonly remedies: readonly Remedies[];
}

const TOP = 10;
const TOP_MAX = 100_000;
const HELP = `usage: portwarden show [options]

Shows this machine's ephemeral range, reserved ports, ports in use by source and destination, TIME_WAIT,
which programs have them, which limit would be met first, and what to do where one is reached.
On Linux; elsewhere it says what is not known.

  --destination HOST:PORT  only connections to there, and what is left for it, by a connector and by
                           the kernel's own choice; may be repeated. IPv6 as [::1]:443
  --port N                 instead, which sockets and programs have this port, and what may share it
  --blocks                 instead, which processes have leased which blocks (hostBlocks)
  --top N                  how many sources and destinations to list; ${TOP} by default
  --json                   one JSON document, with all of them unless --top is given
  --help                   show this

Exit codes: 0 shown, 1 a name is not found, 2 the command line is not understood, 130 interrupted.`;

const OPTIONS = {
  destination: { type: "string", multiple: true },
  port: { type: "string" },
  blocks: { type: "boolean" },
  top: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** Refuses options of the overview beside one that replaces it. */
function checkAlone(given: Given): void {
  const view = ["blocks", "port"].find((name) => given.has(name));
  if (view === undefined) return;
  const other = ["port", "destination", "top"].find((name) => name !== view && given.has(name));
  if (other === undefined) return;
  throw wrong(`--${other}`, `left out beside --${view}`, `${given.get(other)}`);
}

/** Answers the exit code. */
export async function runShow(args: readonly string[]): Promise<number> {
  const given = parseOptions("show", args, OPTIONS);
  if (given.has("help")) {
    writeText(helpText(HELP));
    return 0;
  }
  checkAlone(given);
  if (given.has("blocks")) {
    const holders = blockHolders();
    if (given.has("json")) writeJson({ blocks: holders });
    else writeText(blocksText(holders));
    return 0;
  }
  const portAsked = valueIn(given, "port");
  if (portAsked !== undefined) {
    const found = lookAtPort(wholeOf("--port", portAsked, 1, PORT_MAX));
    if (given.has("json")) writeJson(found);
    else writeText(portText(found));
    return 0;
  }
  const shown = await look(given);
  if (given.has("json")) writeJson(document(shown));
  else writeText(showText(shown));
  return 0;
}

async function look(given: Given): Promise<Shown> {
  const byDefault = given.has("json") ? TOP_MAX : TOP;
  const topText = valueIn(given, "top");
  const top = topText === undefined ? byDefault : wholeOf("--top", topText, 1, TOP_MAX);
  const remotes = given.get("destination")?.map(remoteOf);
  const host = readHostState();
  const pairs = [...pairsOf(host, "tcp"), ...pairsOf(host, "udp")];
  if (remotes === undefined) {
    return shownOf(host, pairs, top);
  }
  const found = (await Promise.all(remotes.map(addressesOf))).flat();
  const chosen = found.flatMap((remote) => pairsTo(host, pairs, remote));
  return shownOf(host, chosen, top);
}

function shownOf(host: HostState, pairs: readonly PairUse[], top: number): Shown {
  const limits = limitsOf(host, tcpOf(pairs));
  const programs = host.tcp === undefined ? [] : programsOf(pairs.slice(0, top));
  return { host, pairs, programs, top, limits, remedies: remediesFor(host, limits) };
}

function tcpOf(pairs: readonly PairUse[]): PairUse[] {
  return pairs.filter(({ transport }) => transport === "tcp");
}

/**
 * The pairs to a destination; where nothing is connected to it, what any address of this machine
 * would have.
 */
function pairsTo(host: HostState, pairs: readonly PairUse[], remote: Remote): PairUse[] {
  const isTo = (pair: PairUse): boolean =>
    pair.destination === remote.address && pair.destinationPort === remote.port;
  const found = pairs.filter(isTo);
  if (found.length > 0 || host.tcp === undefined) return found;
  return [freshPair(host, "tcp", remote.address.includes(":") ? "::" : "0.0.0.0", remote)];
}

interface Asked {
  readonly host: string;
  readonly port: number;
}

function remoteOf(text: string): Asked {
  const match = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d+)$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined) {
    throw wrong("--destination", "HOST:PORT, such as 10.9.0.1:443 or [::1]:443", text);
  }
  if (port >= 1 && port <= PORT_MAX) return { host, port };
  throw wrong("the port of --destination", `in 1..${PORT_MAX}`, text);
}

/** A name may stand for several addresses. */
async function addressesOf({ host, port }: Asked): Promise<Remote[]> {
  if (isIP(host) !== 0)
    return [{ address: parsedBy(() => parseAddress("destination", host)).text, port }];
  try {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => ({ address: parseAddress("address", address).text, port }));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? error;
    throw new CannotRun(`no address is found for ${show(host)} (${code})`);
  }
}

/** Names that stay as they are: programs read them. */
function document({ host, pairs, programs, top, limits, remedies }: Shown): object {
  const { range, reserved, available } = rangeUse(host);
  const isKnown = host.portRange !== undefined;
  return {
    platform: process.platform,
    portRange: isKnown ? { ...range, available } : null,
    leftToKernel: isKnown && host.tcp !== undefined ? untouchedIn(host, "tcp") : null,
    reserved:
      host.reserved === undefined
        ? null
        : {
            list: reserved.text,
            count: reserved.size,
            inRange: range.last - range.first + 1 - available,
          },
    unprivilegedPortStart: host.unprivilegedPortStart,
    tcp: socketsIn(host, "tcp"),
    udp: socketsIn(host, "udp"),
    pairs: pairs.slice(0, top).map((pair, index) => ({ ...pair, programs: programs[index] ?? [] })),
    pairCount: pairs.length,
    timeWait: {
      count: host.tcp && (statesOf(host.tcp).TIME_WAIT ?? 0),
      limit: host.tcpMaxTwBuckets,
      tcpTimestamps: host.tcpTimestamps,
      tcpTwReuse: host.tcpTwReuse,
      tcpFinTimeout: host.tcpFinTimeout,
    },
    files: {
      open: host.openFiles,
      soft: host.fileLimits?.soft,
      hard: host.fileLimits?.hard,
    },
    limits,
    remedies,
    unknown: host.unknown,
  };
}

function socketsIn(host: HostState, transport: HostTransport): object | null {
  const rows = host[transport];
  return rows === undefined ? null : { sockets: rows.length, states: statesOf(rows) };
}
