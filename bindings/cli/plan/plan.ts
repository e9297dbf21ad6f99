// `portwarden plan`: will a load fit, when do the ports run out, and what to change. Simulated in
// the core, and said in words or as JSON.

import { TIME_WAIT_MS } from "../../node/connector/connector-options.ts";
import { type HostState, readHostState } from "../../node/host/host-state.ts";
import { LINUX_RANGE } from "../../node/host/use.ts";
import { parseOptions } from "../args.ts";
import { helpText, writeJson, writeText } from "../output.ts";
import { heldDocument, heldText, holds } from "./held.ts";
import { type Load, reservedIn, withoutHeadroom } from "./load.ts";
import { leftToOthers } from "./others.ts";
import { kindOf, loadOf, OPTIONS } from "./plan-options.ts";
import { planText } from "./plan-text.ts";
import { rateDocument, rateOf, rateText } from "./rate.ts";
import { highestRate, type Remedy, remediesFor } from "./remedies.ts";
import { type Forecast, simulate } from "./simulation.ts";

/** The findings. */
export interface Answer {
  readonly load: Load;
  readonly host: HostState;
  readonly forecast: Forecast;
  /** The same load in plain Node with `localAddress`. */
  readonly plain: Forecast;
  /** The same load where the kernel's connect() picks each port. */
  readonly kernel: Forecast;
  /** Changes that would make it fit. */
  readonly remedies: readonly Remedy[];
  /** The highest rate that fits, where the load does; `undefined` if it is far above. */
  readonly highestRate: number | undefined;
}

const HELP = `usage: portwarden plan --sources LIST --destinations N [load] [options]

Says whether connections from some source addresses to some destinations all find a local port, and what
to change. The load is one of these:

  --rate R --lifetime S   connections that come and go, simulated port by port
  --connections N         connections that are all open at once
  neither                 the highest rate that the ports carry, in one line

  --sources LIST       local addresses: 10.0.0.1-10.0.0.4, 10.0.0.0/28, or several with commas
  --destinations N     how many remote ends, each an address and a port
  --rate R             connections per second, of all together
  --lifetime S         seconds that each is open: 10; 5..20 (any in between, as likely as another);
                       exp:10 (exponential, 10 on average)
  --connections N      how many are open at once
  --cooldown C         how a port cools down after its connection has ended on this side:
                       timestamps (default: 1 s where TCP timestamps are on, and the port that has
                       cooled down longest is taken rather than none; else 60 s), none, or seconds
  --range F-L          local ports, also as sysctl prints them, "1024 65535"; by default this host's
                       range, or ${LINUX_RANGE.first}-${LINUX_RANGE.last}; outside: those below it, where
                       no socket listens
  --reserved LIST      ports that are passed over, 8080,9000-9010; by default this host's
  --headroom N         ports of this host's range that are kept free for other programs; by default
                       a tenth of it, and those outside of --range count
  --files N            connections that may be open at once, as each takes a file; by default what
                       this process may have
  --for SECONDS        how long it goes on; by default until it has settled, twice over
  --seed N             for lifetimes that vary; 1 by default
  --json               one JSON document
  --help               show this

Exit codes: 0 it fits; 1 it does not, as where every port is reserved; 2 the command line is not
understood; 130 interrupted.`;

/** How long Linux keeps a port in TIME_WAIT. */
export const TIME_WAIT_S: number = TIME_WAIT_MS / 1000;

/** Answers the exit code. */
export async function runPlan(args: readonly string[]): Promise<number> {
  const given = parseOptions("plan", args, OPTIONS);
  if (given.has("help")) {
    writeText(helpText(HELP));
    return 0;
  }
  const host = readHostState();
  const load = loadOf(given, host);
  const isJson = given.has("json");
  const kind = kindOf(given);
  if (kind === "connections") {
    const answer = holds(load, host);
    if (isJson) writeJson(heldDocument(answer));
    else writeText(heldText(answer));
    return answer.fits ? 0 : 1;
  }
  if (kind === "highest rate") {
    const answer = rateOf(load, host);
    if (isJson) writeJson(rateDocument(answer));
    else writeText(rateText(answer));
    return answer.ports > 0 ? 0 : 1;
  }
  const answer = await answerTo(load, host);
  if (isJson) writeJson(document(answer));
  else writeText(planText(answer));
  return answer.forecast.fits ? 0 : 1;
}

async function answerTo(load: Load, host: HostState): Promise<Answer> {
  const forecast = simulate(load);
  const plain = simulate(inPlainNode(load));
  const kernel = simulate(byKernel(load));
  const known = { load, host, forecast, plain, kernel };
  if (forecast.fits) {
    const rate = highestRate(load)?.rate;
    return { ...known, remedies: [], highestRate: rate };
  }
  const remedies: Remedy[] = [];
  for await (const remedy of remediesFor(load)) remedies.push(remedy);
  return { ...known, remedies, highestRate: undefined };
}

/**
 * With `localAddress`, Node binds to port 0 before it connects. The kernel then gives each port of
 * a source to one connection, whatever its destination, and not while a former one is in TIME_WAIT.
 */
function inPlainNode(load: Load): Load {
  const cooldown = load.cooldown === 0 ? 0 : TIME_WAIT_S;
  return {
    ...withoutHeadroom(load),
    destinations: 1,
    cooldown,
    isExact: true,
    whenCooling: "refuse",
  };
}

/**
 * Without a port of its own, connect() shares ports among destinations, and keeps those of a
 * destination in TIME_WAIT for the kernel's time.
 */
function byKernel(load: Load): Load {
  return { ...inPlainNode(load), destinations: load.destinations };
}

/**
 * How many ports connect() looks at, at least, where so many are in use for its tuple: it tries
 * those at even offsets first, so that beyond half of the range each call goes past all of them
 * (Linux 6.18).
 */
export function leastLooks({ ports, perPool }: Forecast): number {
  const even = Math.ceil(ports / 2);
  return perPool.open + perPool.cooling < even ? 1 : even + 1;
}

/** Names that stay as they are: programs read them. */
function document(answer: Answer): object {
  const { load, host, forecast, plain, kernel, remedies, highestRate } = answer;
  const { share } = forecast;
  return {
    fits: forecast.fits,
    exhausted: forecast.exhausted,
    firstRefusal: forecast.firstRefusal,
    arrivals: forecast.arrivals,
    refused: forecast.refused,
    seconds: forecast.seconds,
    ports: {
      perPair: forecast.ports,
      total: forecast.ports * load.sources * load.destinations,
      reserved: reservedIn(load),
    },
    leftToOthers: leftToOthers(load, host),
    open: forecast.open,
    perPair: forecast.perPool,
    load: { ...load, keptFree: load.keptFree.length },
    simulated: { ...share, whole: isWhole(load, forecast) },
    plainNode: {
      fits: plain.fits,
      ports: plain.ports * load.sources,
      firstRefusal: plain.firstRefusal,
      refused: plain.refused,
      arrivals: plain.arrivals,
    },
    kernel: {
      fits: kernel.fits,
      ports: kernel.ports * load.sources * load.destinations,
      firstRefusal: kernel.firstRefusal,
      refused: kernel.refused,
      arrivals: kernel.arrivals,
      leastLooks: leastLooks(kernel),
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
