// Systems: what the names of systems and rows on the page mean.

import type { Row, System } from "../harness/setup.ts";
import { table } from "./text.ts";

type About = readonly [what: string, without: string];

const ABOUT: Readonly<Record<System, About>> = {
  handles: ["`PortManager.pool`: single calls of its handle", ""],
  words: ["`reservePort` and `release`, with an object for each socket", ""],
  batch: [
    "`takeMany` and `freeMany` of a pool, up to 256 ports at a time",
    "holds a whole batch at a time",
  ],
  sockets: ["`LinuxPorts`: sockets by the rules of Linux", ""],
  reference: ["nested maps and a loop over the ports, with all rules", ""],
  "js-set": ["a Set and a loop with modulo", "one pool, exclusive ports: as for js-bitmap"],
  "js-bitmap": [
    "the core's own search in typed arrays; two bitmaps in rows with share-flags",
    "one pool, exclusive ports: no conflicts with other pools, addresses or wildcards, " +
      "no range that changes, no groups or reserved ports",
  ],
  "js-bitmap batch": ["js-bitmap, up to 256 ports at a time", "as for js-bitmap"],
  connector: ["portwarden's connector, `open`: real connections", ""],
  "connector promise": ["the same by `connect`, which answers a promise", ""],
  "net.connect": ["Node and the system alone", "no choice of the source"],
  localAddress: [
    "`net.connect` with `localAddress`",
    "a port serves one connection, whatever the destination",
  ],
  localPort: [
    "`net.connect` with `localAddress` and a `localPort` that is counted up",
    "does not know what is held",
  ],
  "get-port": [
    "npm package: opens a listening socket and closes it",
    "remembers a port for 30 s at most",
  ],
  portfinder: ["npm package: opens listening sockets from a port upwards", "remembers nothing"],
  "node listen(0)": ["the kernel, asked by a listening socket", "no range, no destination"],
  js: ["plain JavaScript, for what calls cost", "allocates no ports"],
  wasm: ["plain calls into WebAssembly, for what they cost", "allocates no ports"],
  "gvisor (recorded)": ["gVisor's own Go code, Go 1.19.8", "recorded on another machine"],
  "linux (recorded)": ["a kernel, Linux 6.18", "recorded on another machine"],
};

const TERMS: readonly (readonly [RegExp, string, string])[] = [
  [
    /share-flags/,
    "tcp-share-flags, udp-share-flags",
    "a pool with SO_REUSEADDR, among ports held without it",
  ],
  [/founder|last/, "founder, last", "the pool was opened first, or last, of all there are"],
  [/flags\d/, "flags0, flags4", "no reuse flags, or TupleOnly"],
  [
    /scattered|together/,
    "scattered, together",
    "how the free ports lie: anywhere, or in runs, as searches leave them",
  ],
  [/^batch-\d/, "batch-N", "N ports at a time"],
  [/dests/, "dests-N, N-dests", "N destinations"],
];

/** Those that are in the rows. */
export function systemTable(rows: readonly Row[]): string {
  const there = new Set(rows.map(({ system }) => system));
  const known = Object.entries(ABOUT).filter(([system]) => there.has(system as System));
  return table(
    ["system", "what it is", "what it leaves out"],
    known.map(([system, about]) => [system, ...about]),
  );
}

/** Words in the names of the rows, if there are any. */
export function glossary(rows: readonly Row[]): string[] {
  const terms = TERMS.filter(([pattern]) => rows.some(({ row }) => pattern.test(row)));
  if (terms.length === 0) return [];
  return [
    table(
      ["in names of rows", "meaning"],
      terms.map(([, term, meaning]) => [term, meaning]),
    ),
  ];
}
