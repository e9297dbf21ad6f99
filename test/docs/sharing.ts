// Which sockets may share a port, by LinuxPorts: the table of docs/guide/linux.md. `node
// build/test/docs/sharing.js` writes it.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { LinuxPorts, type LinuxSocketOptions, PortError } from "../../bindings/index.ts";

export const PAGE: string = fileURLToPath(
  new URL("../../docs/guide/linux.md", import.meta.url),
).replace("/build/docs/", "/docs/");
const [BEGIN, END] = ["<!-- who shares: generated -->\n", "<!-- end -->\n"];
const PORT = 8080;
const PEER = "192.0.2.1";
const OTHER_PEER = "192.0.2.2";

/** What a socket is, and what it does with the port. */
interface Side extends LinuxSocketOptions {
  readonly told: string;
  readonly address: string;
  readonly does?: "listen" | "wait" | "connect" | "connect, with a guest";
}

interface Rule {
  readonly owner: Side;
  readonly newcomer: Side;
  readonly since: string;
}

const ALWAYS = "before 2.6";
const SEEN = "2.6.32 at the latest";
const plain = { told: "127.0.0.1", address: "127.0.0.1" };
const any = { told: "0.0.0.0", address: "" };
const reuse = { ...plain, reuseAddr: true, told: "SO_REUSEADDR" };
const group = { ...plain, reusePort: true, told: "SO_REUSEPORT" };
const any6 = { told: "::", address: "::", type: "tcp6" } as const;
const picking = { told: "connect() picks it", address: "", does: "connect" } as const;
const only6 = { ...any6, v6only: true, told: ":: with IPV6_V6ONLY" };

/**
 * SO_REUSEPORT: commit c617f398edd4, Linux 3.9. Buckets that open again for connect(): commit
 * d57f4b874946, Linux 6.18. Device, family and TIME_WAIT are older than the sources' history.
 */
const RULES: readonly Rule[] = [
  { owner: plain, newcomer: plain, since: ALWAYS },
  { owner: plain, newcomer: { ...plain, told: "127.0.0.2", address: "127.0.0.2" }, since: ALWAYS },
  { owner: any, newcomer: plain, since: ALWAYS },
  { owner: any6, newcomer: any, since: ALWAYS },
  { owner: only6, newcomer: any, since: "2.4.21, 2003" },
  {
    owner: plain,
    newcomer: { told: "::ffff:127.0.0.1", address: "::ffff:127.0.0.1", type: "tcp6" },
    since: ALWAYS,
  },
  {
    owner: { ...plain, told: "device 2", bindToDevice: 2 },
    newcomer: { ...plain, told: "device 3", bindToDevice: 3 },
    since: ALWAYS,
  },
  { owner: { ...plain, told: "device 2", bindToDevice: 2 }, newcomer: plain, since: ALWAYS },
  { owner: reuse, newcomer: reuse, since: ALWAYS },
  { owner: reuse, newcomer: plain, since: ALWAYS },
  {
    owner: { ...reuse, does: "listen", told: "SO_REUSEADDR, listens" },
    newcomer: reuse,
    since: ALWAYS,
  },
  { owner: group, newcomer: group, since: "3.9, 2013" },
  {
    owner: { ...group, does: "listen", told: "SO_REUSEPORT, listens" },
    newcomer: group,
    since: "3.9, 2013",
  },
  {
    owner: group,
    newcomer: { ...group, uid: 1000, told: "SO_REUSEPORT of another user" },
    since: "3.9, 2013",
  },
  { owner: { ...plain, does: "wait", told: "TIME_WAIT" }, newcomer: plain, since: ALWAYS },
  { owner: { ...plain, does: "wait", told: "TIME_WAIT" }, newcomer: reuse, since: ALWAYS },
  {
    owner: { ...reuse, does: "wait", told: "TIME_WAIT of SO_REUSEADDR" },
    newcomer: reuse,
    since: ALWAYS,
  },
  {
    owner: { ...group, does: "wait", told: "TIME_WAIT of SO_REUSEPORT" },
    newcomer: { ...group, uid: 1000, told: "SO_REUSEPORT of another user" },
    since: "3.9, 2013",
  },
  {
    owner: { told: "UDP, SO_REUSEADDR", address: "", type: "udp4", reuseAddr: true },
    newcomer: { told: "UDP, SO_REUSEADDR", address: "", type: "udp4", reuseAddr: true },
    since: ALWAYS,
  },
  { owner: plain, newcomer: picking, since: SEEN },
  { owner: reuse, newcomer: picking, since: SEEN },
  { owner: { ...picking, told: "connect() picked it" }, newcomer: picking, since: SEEN },
  {
    owner: {
      ...picking,
      told: "the same, and bind() had it for a while",
      does: "connect, with a guest",
    },
    newcomer: picking,
    since: "6.18, 2025",
  },
];

/** The table, generated from the model. */
export function sharingTable(): string {
  const rows = RULES.map(({ owner, newcomer, since }) => {
    const [bind, listen] = answers(owner, newcomer);
    return `| ${owner.told} | ${newcomer.told} | ${bind} | ${listen} | ${since} |`;
  });
  const head = ["| the port has | a new socket: | bind(), connect() | then listen() | since |"];
  return `${[...head, "| --- | --- | --- | --- | --- |", ...rows].join("\n")}\n`;
}

/** What bind() to the owner's port answers a newcomer, and then listen(). */
function answers(owner: Side, newcomer: Side): readonly [bind: string, listen: string] {
  using linux = LinuxPorts.open({ portRange: { first: PORT, last: PORT } });
  own(linux, owner);
  const { told: _told, address, does, ...options } = newcomer;
  const socket = linux.socket(options);
  if (does === "connect") return [answerOf(() => socket.connect(OTHER_PEER, 443)), ""];
  const bind = answerOf(() => socket.bind(address, PORT));
  if (bind !== "ok") return [bind, ""];
  return [bind, options.type?.startsWith("udp") ? "" : answerOf(() => socket.listen())];
}

function own(linux: LinuxPorts, { told: _told, address, does, ...options }: Side): void {
  const socket = linux.socket(options);
  if (does?.startsWith("connect")) {
    socket.connect(PEER, 443);
    if (does === "connect") return;
    const guest = linux.socket();
    guest.bind("127.0.0.1", PORT);
    guest.close();
    return;
  }
  socket.bind(address, PORT);
  if (does === "listen") socket.listen();
  if (does !== "wait") return;
  socket.connect(PEER, 443);
  socket.shutdown();
  socket.receive("fin");
  socket.close();
}

function answerOf(call: () => unknown): string {
  try {
    call();
    return "ok";
  } catch (error) {
    if (error instanceof PortError) return error.code;
    throw error;
  }
}

/** The page with the table as it is now. */
export function renewed(page: string): string {
  const [before, rest = ""] = page.split(BEGIN);
  return `${before}${BEGIN}\n${sharingTable()}\n${END}${rest.split(END)[1]}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, renewed(readFileSync(PAGE, "utf8")));
}
