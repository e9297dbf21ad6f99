// Report: what the demo says before and after, from what has been counted.

import type { PortRange } from "../index.ts";
import { ATTEMPTS_AT_ONCE } from "./connections.ts";
import type { Sighting } from "./loopback.ts";
import type { Plan } from "./plan.ts";
import { isForeign, type RefusalName, type Tally } from "./tally.ts";
import { faults, type Outcome, shortfall } from "./verdict.ts";
import { counted, duration, listed, type Row, some, table } from "./words.ts";

// ── Before ────────────────────────────────────────────────────────────────────────────────

export function introduction(plan: Plan): string {
  const { connections, sources, destinations, range } = plan;
  const scarcity = plan.sharing
    ? "Few are enough: one port can serve several destinations at the same time."
    : "Here no port serves two destinations at once, so each connection needs its own.";
  return [
    "A TCP connection has an address and a port at either end. The far port is the server's; the",
    "near one, the local port, is picked for each connection. Usually the system picks it. Here",
    "portwarden does, by where the connection comes from and where it goes to.",
    "",
    "What is going to happen, all of it inside this machine:",
    `  1. ${destinations.length} servers start in this process, on ${listed([...new Set(destinations)])}.`,
    `  2. ${some(connections, "real connection")} to them will be opened from ${listed(sources)}, and kept open.`,
    `     Portwarden may use ${some(range.last - range.first + 1, "local port")}, ${shown(range)}, ` +
      "for each source address.",
    `     ${scarcity}`,
    "  3. Everything is closed and counted, and every port must have come back.",
    "Ctrl-C closes everything at any time.",
    ...leftOut(plan),
    "",
  ].join("\n");
}

function leftOut({ leftOut }: Plan): string[] {
  if (leftOut.length === 0) return [];
  return ["", "Left out:", ...leftOut.map((sentence) => `  - ${sentence}`)];
}

// ── After ─────────────────────────────────────────────────────────────────────────────────

export function summary(outcome: Outcome): string {
  const { tally } = outcome;
  return [
    "",
    "Connections and ports",
    table(portRows(outcome)),
    "",
    "Refusals by reason",
    table(refusalRows(tally)),
    ...onPurpose(outcome),
    "",
    "Time",
    table(timeRows(tally)),
    "",
    "After closing",
    table(closingRows(outcome)),
    "",
    ...conclusion(outcome),
  ].join("\n");
}

function portRows({ plan, tally, range }: Outcome): Row[] {
  const uses = usesOf(tally.opened);
  const ports = new Set(tally.opened.map(({ from }) => from.port)).size;
  const destinations = spread([...uses.values()].map((served) => served.size));
  const sources = some(plan.sources.length, "source address", "source addresses");
  const more = tally.widenedBy > 0 ? ` (${tally.widenedBy} to make up for foreign ones)` : "";
  const reuse = tally.opened.length - uses.size;
  return [
    [
      "connections opened",
      counted(tally.opened.length),
      `of ${counted(plan.connections)}; each server saw the address and port picked`,
    ],
    ["open at the same time", counted(tally.openAtOnce), ""],
    ["distinct local ports", counted(ports), `of ${shown(range)}${more}, on ${sources}`],
    ["destinations per port", destinations, "at the same time, for each source address"],
    [
      "reuse across destinations",
      counted(reuse),
      "connections from an address and port in use already",
    ],
    [
      "without sharing",
      counted(uses.size),
      "connections on the same ports: one for each port and source address",
    ],
  ];
}

/** Which destinations each local address and port has served. */
function usesOf(sightings: readonly Sighting[]): Map<string, Set<string>> {
  const uses = new Map<string, Set<string>>();
  for (const { from, to } of sightings) {
    const local = `${from.address}:${from.port}`;
    const destinations = uses.get(local) ?? new Set();
    uses.set(local, destinations.add(`${to.address}:${to.port}`));
  }
  return uses;
}

function spread(counts: readonly number[]): string {
  if (counts.length === 0) return "0";
  const least = Math.min(...counts);
  const most = Math.max(...counts);
  return least === most ? `${most}` : `${least} to ${most}`;
}

const REFUSAL_NOTES: Record<RefusalName, string> = {
  EXHAUSTED: "no port is left for this source and destination",
  IN_USE: "the port that was asked for is held",
  OUTSIDE: "the group does not allow the port",
  NO_RANGE: "the group leaves nothing of the range",
  NO_MEMORY: "no memory for one more record",
};

function refusalRows({ refused, refusedOnPurpose, systemRefused }: Tally): Row[] {
  const rows: Row[] = [["", "while opening", "on purpose *", ""]];
  for (const [name, note] of Object.entries(REFUSAL_NOTES) as [RefusalName, string][]) {
    const figures = [counted(refused[name]), counted(refusedOnPurpose[name])];
    rows.push([`portwarden ${name}`, ...figures, note]);
  }
  if (systemRefused.size === 0) {
    rows.push(["the system", "0", "", "such as a port that another program has"]);
  }
  for (const [reason, count] of systemRefused) {
    const note = isForeign(reason) ? "another program has the port: the next one was tried" : "";
    rows.push([`the system: ${reason}`, counted(count), "", note]);
  }
  return rows;
}

function onPurpose({ plan, stop }: Outcome): string[] {
  if (stop !== undefined) return ["  * not asked, because the run was cut short"];
  const pairs = some(plan.sources.length * plan.destinations.length, "pair");
  return [
    `  * with everything open, each of the ${pairs} of source and destination was asked for more ports`,
    "    than there are, and for a port that it has already",
  ];
}

function timeRows({ opened, pickMs, connectMs, phaseMs }: Tally): Row[] {
  const sorted = [...pickMs].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1] ?? 0;
  const slowest = sorted.at(-1) ?? 0;
  const total = pickMs.reduce((sum, ms) => sum + ms, 0);
  const share = `${((100 * total) / phaseMs).toFixed(2)} % of the time for connecting`;
  const clock = `${duration(clockMs())} of that to read the clock`;
  return [
    ["picking", duration(total), `${some(pickMs.length, "pick")}, ${share}`],
    [
      "one pick",
      duration(median),
      `half are quicker, ${clock}; the slowest, with pauses, ${duration(slowest)}`,
    ],
    ["connecting", duration(phaseMs), `from first to last, up to ${ATTEMPTS_AT_ONCE} at once`],
    [
      "one connection",
      duration(connectMs / Math.max(1, opened.length)),
      "on average, from connect() to open",
    ],
    [
      "all of them",
      duration(connectMs),
      "the same added up: more than the whole, because they overlap",
    ],
  ];
}

function closingRows({ held, stats, usedAtOpen }: Outcome): Row[] {
  const { descriptors, counters, references, memory } = stats;
  return [
    ["ports still held", counted(held), ""],
    ["records left", `${descriptors} / ${counters} / ${references}`, "ports / tuples / references"],
    ["bytes in use", counted(memory.used), `${counted(usedAtOpen)} before the first connection`],
  ];
}

function conclusion(outcome: Outcome): string[] {
  const { plan, tally } = outcome;
  const missing = shortfall(outcome);
  const wrong = faults(outcome);
  const opened = `${counted(tally.opened.length)} of ${some(plan.connections, "planned connection")}`;
  return [
    wrong.length === 0 ? `${opened} opened, and every port has come back.` : `${opened} opened.`,
    ...(plan.leftOut.length > 0 ? ["What was left out is listed above."] : []),
    ...missing.map((reason) => `  - missing ${reason}.`),
    ...wrong.map((fault) => `  - WRONG: ${fault}.`),
  ];
}

function shown({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}..${last}`;
}

/** What it costs to read the clock once, which is what measuring adds to a pick. */
function clockMs(): number {
  const readings = 20_000;
  const start = performance.now();
  for (let index = 0; index < readings; index++) performance.now();
  return (performance.now() - start) / readings;
}
