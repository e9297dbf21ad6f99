// Namespace: runs Node in a network namespace of its own, with loopback up and a port range of its
// own, so that ports can be used up without touching those of other programs. Linux only; no root
// is needed where unprivileged user namespaces are allowed.
//
//   this process ──spawn──▶ unshare ──exec──▶ sh: loopback up, settings ──exec──▶ node
//
// One process from `unshare` on, the leader of a group, which ends as a whole at the time limit.

import { type ChildProcess, type StdioOptions, spawn, spawnSync } from "node:child_process";
import { Socket } from "node:net";
import type { PortRange } from "../../index.ts";
import { exitOf, passSignals } from "./child.ts";

/** Whether a namespace can be made here and, if it cannot, why. */
type NamespaceAnswer = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** The options of a namespace. */
export interface NamespaceOptions {
  /** The namespace's `ip_local_port_range`, both ends included. */
  readonly portRange: PortRange;
  /** More of the namespace's settings, by their names below net.ipv4, such as `tcp_tw_reuse`. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds after which it is killed, with all processes of its group. */
  readonly timeoutMs: number;
  /**
   * `capture` returns what was written; `inherit` passes input and output on, and the signals that
   * a terminal or a supervisor sends (SIGINT, SIGTERM, SIGHUP), and lets {@link endWithParent}
   * work inside. `capture` by default.
   */
  readonly stdio?: "capture" | "inherit" | undefined;
}

/** The outcome of a run. */
export interface NamespaceResult {
  /** Its exit code; 128 and the number of the signal for a process that a signal ended. */
  readonly code: number;
  /** Was it killed at the time limit? */
  readonly timedOut: boolean;
  /** What was captured; empty for `inherit`. */
  readonly stdout: string;
  /** What was captured; empty for `inherit`. */
  readonly stderr: string;
}

const PROBE_MS_MAX = 10_000;
const PROBE_RANGE: PortRange = { first: 40_000, last: 40_001 };
/** The file that is open inside for as long as the process that made the namespace lives. */
const PARENT_FD = 3;
// As root no user namespace is needed; without, this user becomes the root of a new one.
const AS_ROOT = ["--net"];
const AS_USER = ["--map-root-user", "--net"];

// The script is constant; only its arguments vary, which the shell does not interpret.
const PREPARE = `
fail() { echo "$1" >&2; exit 125; }
command -v ip >/dev/null || fail "there is no ip command (package iproute2) to bring loopback up"
ip link set lo up || fail "loopback cannot be brought up"
while [ "$1" != -- ]; do
  { echo "$2" >"/proc/sys/net/ipv4/$1"; } 2>/dev/null || fail "net.ipv4.$1 cannot be set to $2"
  shift 2
done
shift
exec "$@"`;

type Way = { readonly flags: readonly string[] } | { readonly why: string };
let known: Way | undefined;

/**
 * Tells whether {@link runInNamespace} will work here, by making a namespace, once per process.
 * Takes some ten milliseconds.
 */
export function canMakeNamespace(): NamespaceAnswer {
  const way = wayIn();
  return "why" in way ? { ok: false, why: way.why } : { ok: true };
}

/**
 * Runs Node inside a new network namespace, which goes when its last process ends.
 *
 * @param nodeArgs the arguments of `node`: a script and its arguments.
 * @throws Error where {@link canMakeNamespace} says no, or if a setting's name is not one.
 */
export async function runInNamespace(
  nodeArgs: readonly string[],
  options: NamespaceOptions,
): Promise<NamespaceResult> {
  const way = wayIn();
  if ("why" in way) throw new Error(`No network namespace can be made: ${way.why}`);
  const [command, ...args] = commandLine(way.flags, options, [process.execPath, ...nodeArgs]);
  const stdio: StdioOptions =
    options.stdio === "inherit"
      ? ["inherit", "inherit", "inherit", "pipe"]
      : ["ignore", "pipe", "pipe"];
  // A group of its own, so that all of it can be killed.
  const child = spawn(command, args, { detached: true, stdio });
  return watch(child, options);
}

/**
 * Called inside of a namespace that was made with `stdio: "inherit"`: ends this process as soon as
 * the process that made the namespace is gone, even if it was killed and could not say so.
 */
export function endWithParent(): void {
  const parent = new Socket({ fd: PARENT_FD });
  parent.on("error", () => process.exit(1));
  parent.on("close", () => process.exit(1));
  parent.resume().unref();
}

async function watch(child: ChildProcess, options: NamespaceOptions): Promise<NamespaceResult> {
  const written = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      written[name] += text;
    });
  }
  // The socket only serves to be closed; it carries no data.
  child.stdio[PARENT_FD]?.on("error", () => {});
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup(child);
  }, options.timeoutMs);
  const stopPassing = options.stdio === "inherit" ? passSignals(child) : () => {};
  const end = (): void => killGroup(child);
  process.once("exit", end);
  try {
    const code = await exitOf(child);
    // Kills processes that it may have left behind.
    killGroup(child);
    return { code, timedOut, ...written };
  } finally {
    clearTimeout(timer);
    process.off("exit", end);
    stopPassing();
  }
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function wayIn(): Way {
  known ??= probe();
  return known;
}

/** Makes a namespace in which nothing is done. */
function probe(): Way {
  if (process.platform !== "linux") {
    return { why: `network namespaces are Linux's, and this is ${process.platform}` };
  }
  const ways = process.getuid?.() === 0 ? [AS_ROOT, AS_USER] : [AS_USER];
  let why = "";
  for (const flags of ways) {
    const [command, ...args] = commandLine(flags, { portRange: PROBE_RANGE }, ["true"]);
    const { status, stderr, error } = spawnSync(command, args, {
      encoding: "utf8",
      timeout: PROBE_MS_MAX,
    });
    if (status === 0) return { flags };
    if (error !== undefined) {
      const { code } = error as NodeJS.ErrnoException;
      return { why: code === "ENOENT" ? "there is no unshare command (util-linux)" : `${error}` };
    }
    why = stderr.trim().split("\n")[0] || `unshare ended with ${status}`;
  }
  return { why };
}

function commandLine(
  flags: readonly string[],
  { portRange, settings = {} }: Pick<NamespaceOptions, "portRange" | "settings">,
  command: readonly string[],
): [command: string, ...args: string[]] {
  const all = { ip_local_port_range: `${portRange.first} ${portRange.last}`, ...settings };
  for (const name of Object.keys(all)) {
    if (!/^\w+$/.test(name)) throw new Error(`No setting of net.ipv4 is named: ${name}`);
  }
  const script = ["sh", "-c", PREPARE, "sh"];
  return ["unshare", ...flags, "--", ...script, ...Object.entries(all).flat(), "--", ...command];
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // No process of the group is left.
  }
}
