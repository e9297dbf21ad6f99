// Settings: what a visitor can choose, its bounds, and the scenarios that choose all of it at once.

/** The system that gives ports to connections. */
export type SystemName = "netstack" | "linux";
/** Whose rules a system of Linux has. */
export type RulesName = "6.18" | "2.6.32";

export interface Settings {
  readonly system: SystemName;
  readonly rules: RulesName;
  /** One of `selectionsOf`. */
  readonly selection: string;
  /** The range of automatic picks, both ends included. */
  readonly first: number;
  readonly last: number;
  /** As `ReservedPorts` takes it. */
  readonly reserved: string;
  /** How many control groups; 0: none. Destinations belong to them by turns. */
  readonly groups: number;
  /** How many remote ends, 1..DESTINATIONS_MAX. */
  readonly destinations: number;
  /** Connections that begin, per second. */
  readonly rate: number;
  /** Milliseconds that a connection lasts, on average. */
  readonly lifetime: number;
  /** Milliseconds that a port cools down after its release; 0: not at all. */
  readonly cooldown: number;
  /** Is each destination that of one worker, which leases blocks of ports? (netstack) */
  readonly leases: boolean;
}

export const DESTINATIONS_MAX = 16;
export const GROUP_NAMES: readonly string[] = ["/web", "/api", "/batch", "/mail"];

/** How each policy picks. */
export const POLICIES: Readonly<Record<string, string>> = {
  random: "The first free port from a random start on (RFC 6056, algorithm 1).",
  "random-retry": "Random ports, one by one, until one is free (algorithm 2).",
  hash: "From a hash of the destination and a counter (algorithm 3).",
  "double-hash": "The same, with many counters (algorithm 4).",
  "random-increments": "A random step behind the last port (algorithm 5).",
  sequential: "From behind the last port on. The next is easy to guess.",
  fifo: "The port that was released longest ago.",
};

/** The calls that get a port by the rules of 6.18, which has no other policies. */
export const CALLS: Readonly<Record<string, string>> = {
  "connect()": "Even ports first, from a hash of the destination on. Destinations share ports.",
  "bind(0)": "Odd ports first, from a random one on; then connect(). Each port is of one socket.",
  both: "connect() takes even ports first, and bind(0), before every fourth, odd ones.",
};

const POLICY_NAMES = Object.keys(POLICIES);
const OF_2632 = ["hash", ...POLICY_NAMES.filter((name) => name !== "hash" && name !== "fifo")];

/** The ways in which a system picks; the first is its own default. */
export function selectionsOf({
  system,
  rules,
}: Pick<Settings, "system" | "rules">): readonly string[] {
  if (system === "netstack") return POLICY_NAMES;
  return rules === "6.18" ? Object.keys(CALLS) : OF_2632;
}

const CALM: Settings = {
  system: "netstack",
  rules: "6.18",
  selection: "random",
  first: 32768,
  last: 60999,
  reserved: "40000-41023,50000",
  groups: 0,
  destinations: 4,
  rate: 500,
  lifetime: 20_000,
  cooldown: 10_000,
  leases: false,
};

const LINUX = { system: "linux", selection: "connect()", rate: 2000, lifetime: 4000 } as const;

export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly settings: Settings;
}

/** The first is what the page opens with. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "Calm",
    about: "A client with 10,000 connections to four servers. Released ports cool down for 10 s.",
    settings: CALM,
  },
  {
    name: "Million",
    about:
      "A million operations a second and more: 600,000 connections begin each second, as many end.",
    settings: { ...CALM, rate: 600_000, lifetime: 40, cooldown: 20 },
  },
  {
    name: "TIME_WAIT",
    about: "One server, short connections: most ports cool down, and in the end no other is left.",
    settings: { ...CALM, destinations: 1, rate: 10_000, lifetime: 200, cooldown: 4000 },
  },
  {
    name: "Full",
    about:
      "Two servers are asked for more connections than the range has ports: the rest is refused.",
    settings: { ...CALM, destinations: 2, rate: 40_000, lifetime: 2000, cooldown: 0 },
  },
  {
    name: "Groups",
    about: "Four control groups, a quarter of the range each. Look from each of them.",
    settings: { ...CALM, groups: 4, destinations: 8, rate: 5000, lifetime: 2000, cooldown: 1000 },
  },
  {
    name: "Workers",
    about:
      "Four workers lease blocks of 64 ports, one colour each. Every five seconds the load moves on.",
    settings: { ...CALM, leases: true, rate: 5000, lifetime: 3000, cooldown: 0 },
  },
  {
    name: "Linux",
    about:
      "The kernel's connect(): it takes every other port, and those between when those are used up.",
    settings: { ...CALM, ...LINUX },
  },
  {
    name: "Parity",
    about:
      "connect() takes even ports, which destinations share, bind(0) odd ones: two colours of stripes.",
    settings: { ...CALM, ...LINUX, selection: "both", rate: 12_000, cooldown: 0 },
  },
];

/** A change of these takes effect at once; a change of any other begins the scenario again. */
export function isLive(before: Settings, after: Settings): boolean {
  const same = (name: keyof Settings): boolean => before[name] === after[name];
  const names = ["system", "rules", "selection", "groups", "destinations"] as const;
  return [...names, "cooldown" as const, "leases" as const].every(same);
}
