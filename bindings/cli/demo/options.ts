// Options: what the demo's command line asks for.

import { parseOptions, valueIn, wholeOf, wrong } from "../args.ts";

/** The ways to open a connection that are compared. */
export type WayName = "kernel" | "localAddress" | "portwarden";

const WAY_NAMES: readonly WayName[] = ["kernel", "localAddress", "portwarden"];
const DESTINATIONS_MAX = 16;
const CONNECTIONS_MAX = 1_000_000;
/** Of a namespace's port range: what leaves room for the servers' own ports below it. */
const RANGE_MAX = 50_000;
const DESTINATIONS = 4;
const WARM_UP = 3000;
const WARM_UP_MAX = 100_000;

/** What is asked for. */
export interface DemoOptions {
  /** The most connections that one way may have open at once; as many as there is room for. */
  readonly connections?: number | undefined;
  /** Ports of the range. */
  readonly range?: number | undefined;
  readonly destinations: number;
  readonly ways: readonly WayName[];
  /** Connections that each way opens and closes before it is timed. */
  readonly warmUp: number;
  readonly json: boolean;
  /** Whether a network namespace may be made. */
  readonly namespace: boolean;
}

export const HELP: string = `usage: portwarden demo [options]

Opens real connections inside this machine in three ways, and compares how many it gets and what one
costs as the ports run out:

  kernel        net.connect({ host, port }): source and port are the kernel's choice
  localAddress  net.connect({ host, port, localAddress }): the source is chosen, the port is not
  portwarden    createConnector({ sources }).connect({ host, port }): both are chosen

It does so in a network namespace of its own where one can be made (Linux; no root is needed where
unprivileged user namespaces are allowed). Else it uses up this machine's own ports, as far as the limit
of open files allows; others may find none meanwhile, so think of --connections.

  --connections N   the most that one way may have open at once, 1..${CONNECTIONS_MAX}
  --range N         how many ports to use up, 2..${RANGE_MAX}; outside of a namespace portwarden's alone
  --destinations N  how many servers, 1..${DESTINATIONS_MAX}; ${DESTINATIONS} by default
  --ways LIST       some of ${WAY_NAMES.join(",")}; all by default
  --warm-up N       connections that each way opens and closes before it is timed, so that code is
                    compiled, 0..${WARM_UP_MAX}; ${WARM_UP} by default
  --json            figures as one JSON document instead of text
  --no-namespace    stay in this machine's own network
  --help            show this

Exit codes: 0 done, or it is said what this machine stood in the way of; 1 something went wrong;
2 command line not understood; 130 stopped by Ctrl-C and 143 by SIGTERM, with everything closed.`;

const KINDS = {
  connections: { type: "string" },
  range: { type: "string" },
  destinations: { type: "string" },
  ways: { type: "string" },
  "warm-up": { type: "string" },
  json: { type: "boolean" },
  "no-namespace": { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * The options given, or `undefined` if help is asked for.
 * @throws BadInput when the command line is not understood.
 */
export function understand(args: readonly string[]): DemoOptions | undefined {
  const given = parseOptions("demo", args, KINDS);
  if (given.has("help")) return undefined;
  const whole = (name: keyof typeof KINDS, least: number, most: number): number | undefined => {
    const text = valueIn(given, name);
    return text === undefined ? undefined : wholeOf(`--${name}`, text, least, most);
  };
  const connections = whole("connections", 1, CONNECTIONS_MAX);
  const range = whole("range", 2, RANGE_MAX);
  return {
    ...(connections !== undefined && { connections }),
    ...(range !== undefined && { range }),
    destinations: whole("destinations", 1, DESTINATIONS_MAX) ?? DESTINATIONS,
    ways: waysOf(valueIn(given, "ways")),
    warmUp: whole("warm-up", 0, WARM_UP_MAX) ?? WARM_UP,
    json: given.has("json"),
    namespace: !given.has("no-namespace"),
  };
}

function waysOf(text: string | undefined): readonly WayName[] {
  if (text === undefined) return WAY_NAMES;
  const names = text.split(",");
  const isKnown = names.every((name) => (WAY_NAMES as readonly string[]).includes(name));
  if (!isKnown) throw wrong("--ways", `some of ${WAY_NAMES.join(",")}`, text);
  return WAY_NAMES.filter((name) => names.includes(name));
}
