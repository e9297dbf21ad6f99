// Explaining: which holder or limit keeps a request from a port. Nothing changes, and a call costs
// no more unless its explanation is asked for.

import {
  GROUP_BIND,
  GROUP_CONNECT,
  LINE_BYTES,
  LOAD_BALANCED,
  MODE_BIND,
  MOST_RECENT,
  TUPLE_ONLY,
} from "../../assembly/abi.ts";
import { limitingPath, type PortGroup } from "../groups/group.ts";
import type { Kind } from "../groups/tree.ts";
import type { PoolRecord } from "../pool-record.ts";
import type { Key } from "../requests/parsing.ts";
import { showKey } from "../requests/printing.ts";
import type { PortRange } from "../requests/range.ts";
import { type Conflict, conflictOf, type Judged, judged, wantedOf } from "./conflicts.ts";
import type { ExplainRule, Explanation, Obstacle } from "./explanation.ts";
import { FlowList, keyAt, lineText } from "./flow-list.ts";
import { coolingOf, describe, type HeldSource } from "./held.ts";

/** The limits of a request, beside holders. */
interface Limits {
  readonly group: PortGroup | undefined;
  /** Which of the group's ranges applies. */
  readonly kind: Kind;
  /** The ephemeral range. */
  readonly range: PortRange;
  /** The port that a pool avoids. */
  readonly avoid?: number | undefined;
  /** Would a pool take one of its own cooling ports, if there is no other? */
  readonly takesCooling?: boolean | undefined;
}

const LINE = LINE_BYTES >> 2;
const PORTS = 65536;
const FLAG_NAMES: readonly (readonly [string, number])[] = [
  ["mostRecent", MOST_RECENT],
  ["loadBalanced", LOAD_BALANCED],
  ["tupleOnly", TUPLE_ONLY],
];

/** A holder in the way. */
interface InTheWay extends Conflict {
  readonly key: Key;
  readonly obstacle: Obstacle;
}

/** Why an explicit port can, or cannot, be had. */
export function explainPort(
  source: HeldSource,
  asked: Judged,
  port: number,
  limits: Limits,
): Explanation {
  const because: Obstacle[] = [];
  const { group, kind } = limits;
  if (group !== undefined && !allows(allowedBy(group, kind), port)) {
    because.push(outsideGroup(group, kind, port));
  }
  for (const holders of byAddress(source, asked, port)) because.push(...toRemove(asked, holders));
  return { allowed: because.length === 0, port, because };
}

/** The same for a pool; port 0: any. */
export function explainPool(
  source: HeldSource,
  { key, kind }: PoolRecord,
  port: number,
  range: PortRange,
): Explanation {
  const isBind = kind.mode === MODE_BIND;
  const limits = {
    group: key.group,
    kind: isBind ? GROUP_BIND : GROUP_CONNECT,
    range,
    avoid: kind.avoid,
    takesCooling: kind.cooldown.whenCooling === "oldest",
  } as const;
  const asked = judged(key, port === 0 && isBind, kind.isUnique);
  return port === 0 ? explainAny(source, asked, limits) : explainPort(source, asked, port, limits);
}

/** The holders at each local address of each network that are in the way at a port. */
function byAddress(source: HeldSource, asked: Judged, port: number): Iterable<InTheWay[]> {
  const list = flowsFor(source, asked, port);
  const cooling = coolingOf(source);
  const places = new Map<string, InTheWay[]>();
  for (let index = 0; index < list.count; index++) {
    const key = keyAt(list.words, index * LINE);
    const conflict = conflictOf(asked, key);
    const [held] = list.countsOf(index);
    if (conflict === undefined || held === undefined || held[1] <= 0) continue;
    const until = cooling?.(lineText(list.words, index * LINE), port);
    const holder = { ...describe(key), port, count: held[1], cooling: until !== undefined };
    const obstacle: Obstacle = {
      ...reasonOf(asked, key, conflict, port, until),
      holder,
      meets: conflict.meets,
    };
    const place = placeOf(key);
    const there = places.get(place);
    const one = { ...conflict, key, obstacle };
    if (there === undefined) places.set(place, [one]);
    else there.push(one);
  }
  return places.values();
}

/**
 * The fewest holders at one address without which the request is not blocked there: with several
 * wanted flags, those that lack the flag that the fewest lack.
 */
function toRemove(asked: Judged, holders: readonly InTheWay[]): Obstacle[] {
  const tuples = holders.filter(({ isTuple }) => isTuple);
  const others = holders.filter(({ isTuple }) => !isTuple);
  const wanted = wantedOf(asked);
  let fewest: readonly InTheWay[] | undefined;
  for (let flag = 1; flag <= wanted; flag <<= 1) {
    if ((wanted & flag) === 0) continue;
    const lacking = others.filter(({ lacks }) => (lacks & flag) !== 0);
    if (fewest === undefined || lacking.length < fewest.length) fewest = lacking;
  }
  return [...tuples, ...(fewest ?? [])].map(({ obstacle }) => obstacle);
}

function reasonOf(
  asked: Judged,
  key: Key,
  conflict: Conflict,
  port: number,
  until: number | undefined,
): Obstacle {
  const who = showKey(key, port);
  if (until !== undefined) {
    return { rule: "cooling", until, text: `${who} cools down until ${until}` };
  }
  if (conflict.isTuple) {
    return { rule: "tuple", text: `${who} is held, and the pool holds no tuple twice` };
  }
  if (asked.isExclusive) {
    return { rule: "held", text: `${who} is held, and an ephemeral TCP port is not shared` };
  }
  if (asked.key.flags === 0) {
    return { rule: "held", text: `${who} is held, and the request has no reuse flags` };
  }
  if (key.flags === 0) return { rule: "held", text: `${who} is held without reuse flags` };
  const lacks = FLAG_NAMES.filter(([, bit]) => (conflict.lacks & bit) !== 0).map(([name]) => name);
  return { rule: "flags", lacks, text: `${who} is held without ${lacks.join(", ")}` };
}

// ── Any port ──────────────────────────────────────────────────────────────────────────────

/** A port that several rules take away is counted for the first of them in this order. */
const RULES: readonly Rule[] = [
  ...(["outside-group", "reserved", "avoided"] as const),
  ...(["cooling", "tuple", "held", "flags"] as const),
];
const [OUTSIDE, RESERVED, AVOIDED, COOLING, TUPLE, HELD, LACKED] = [1, 2, 3, 4, 5, 6, 7];

/** How many ports of the ephemeral range each rule takes away, and how many are left. */
export function explainAny(source: HeldSource, asked: Judged, limits: Limits): Explanation {
  const { range, group, kind, avoid } = limits;
  const { reserved } = asked.key;
  const rules = new Uint8Array(PORTS);
  markHeld(source, asked, rules);
  const allowed = group === undefined ? range : allowedBy(group, kind);
  for (let port = range.first; port <= range.last; port++) {
    if (port === avoid) rules[port] = AVOIDED as number;
    if (reserved?.has(port)) rules[port] = RESERVED as number;
    if (!allows(allowed, port)) rules[port] = OUTSIDE as number;
  }
  const counts = new Uint32Array(RULES.length + 1);
  for (let port = range.first; port <= range.last; port++) count(counts, rules[port] as number);
  const because: Obstacle[] = [];
  for (const [index, rule] of RULES.entries()) {
    const ports = counts[index + 1] as number;
    if (ports > 0) because.push(takenAway(rule, ports, group, kind, range));
  }
  const free = counts[0] as number;
  const takesCooling = limits.takesCooling === true && (counts[COOLING as number] as number) > 0;
  return { allowed: free > 0 || takesCooling, port: 0, because, searched: range, free };
}

function count(counts: Uint32Array, at: number): void {
  counts[at] = (counts[at] as number) + 1;
}

/** Marks each port that holders keep the request from by a rule. */
function markHeld(source: HeldSource, asked: Judged, rules: Uint8Array): void {
  const list = flowsFor(source, asked, 0);
  const cooling = coolingOf(source);
  const wanted = wantedOf(asked);
  const places = new Map<string, number[]>();
  for (let index = 0; index < list.count; index++) {
    const place = placeOf(keyAt(list.words, index * LINE));
    const there = places.get(place);
    if (there === undefined) places.set(place, [index]);
    else there.push(index);
  }
  const lacked = new Uint8Array(PORTS);
  const isCooling = new Uint8Array(PORTS);
  for (const flows of places.values()) {
    lacked.fill(0);
    for (const index of flows) {
      const key = keyAt(list.words, index * LINE);
      const conflict = conflictOf(asked, key);
      if (conflict === undefined) continue;
      const text = cooling === undefined ? "" : lineText(list.words, index * LINE);
      const rule = conflict.isTuple ? TUPLE : key.flags === 0 ? HELD : LACKED;
      for (const port of Array.from(list.portsOf(index))) {
        lacked[port] = (lacked[port] as number) | conflict.lacks;
        if (cooling?.(text, port) !== undefined) isCooling[port] = 1;
        const isBlocked = conflict.isTuple || ((lacked[port] as number) & wanted) === wanted;
        if (isBlocked) rules[port] = ruleOf(asked, rule as number, isCooling[port] === 1);
      }
    }
  }
}

function ruleOf(asked: Judged, rule: number, isCooling: boolean): number {
  if (isCooling) return COOLING as number;
  if (rule === TUPLE) return rule;
  return asked.isExclusive || asked.key.flags === 0 ? (HELD as number) : rule;
}

function takenAway(
  rule: Rule,
  ports: number,
  group: PortGroup | undefined,
  kind: Kind,
  { first, last }: PortRange,
): Obstacle {
  const [some, are] = ports === 1 ? ["port", "is"] : ["ports", "are"];
  const text = `${ports} ${some} of ${last - first + 1} ${are} ${WORDS[rule]}`;
  return rule === "outside-group" && group !== undefined
    ? { ...outsideGroup(group, kind, first), ports, text }
    : { rule, ports, text };
}

const WORDS = {
  "outside-group": "outside of the group's range",
  reserved: "reserved",
  avoided: "avoided",
  cooling: "cooling down",
  tuple: "held by the pool itself",
  held: "held",
  flags: "held without flags that the request wants",
} as const satisfies Partial<Record<ExplainRule, string>>;

/** The rules of a manager. */
type Rule = keyof typeof WORDS;

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** The held ports in the networks and the transport of a request. */
function flowsFor({ core, manager }: HeldSource, { key }: Judged, port: number): FlowList {
  const { networks, transport } = key;
  return FlowList.of(
    core,
    manager,
    port,
    (words, at) => words[at + 2] === transport && networks.includes(words[at + 1] as number),
  );
}

/** Holders are judged together where these are the same. */
function placeOf({ networks, address }: Key): string {
  return `${networks[0]} ${address.words}`;
}

function allowedBy(group: PortGroup, kind: Kind): PortRange | undefined {
  const { bind, connect } = group.effective;
  return kind === GROUP_BIND ? bind : connect;
}

function allows(range: PortRange | undefined, port: number): boolean {
  return range !== undefined && port >= range.first && port <= range.last;
}

function outsideGroup(group: PortGroup, kind: Kind, port: number): Obstacle {
  const path = limitingPath(group, kind, port);
  const text = `port ${port} lies outside of what group ${group.path} allows, as ${path} sets it`;
  return { rule: "outside-group", group: path, text };
}
