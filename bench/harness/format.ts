// Format: figures as people read them, and the machine that they come from.

import { execFileSync, type StdioOptions } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

/** Nanoseconds. */
export function time(ns: number): string {
  if (ns < 1000) return `${ns.toFixed(1)} ns`;
  if (ns < 1e6) return `${(ns / 1000).toFixed(2)} us`;
  return `${(ns / 1e6).toFixed(2)} ms`;
}

export function format(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  return value > 0 && value < 0.1 ? value.toPrecision(2) : value.toFixed(2);
}

/** What a run was made on. */
export interface RunOn {
  readonly cpu: string;
  readonly cores: number;
  /** In GiB. */
  readonly memory: number;
  /** When the run began, in ISO 8601. */
  readonly date: string;
  readonly node: string;
  readonly v8: string;
  readonly system: string;
  readonly commit: string;
}

export function runOn(): RunOn {
  const cpu = cpus();
  return {
    cpu: cpu[0]?.model.trim() ?? "unknown CPU",
    cores: cpu.length,
    memory: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    date: new Date().toISOString(),
    node: process.versions.node,
    v8: process.versions.v8,
    system: `${process.platform} ${process.arch}`,
    commit: commit(),
  };
}

/** In one line. */
export function machineLine({ cpu, cores, node, v8, system, commit }: RunOn): string {
  return `${cpu}, ${cores} cores, Node ${node} (V8 ${v8}), ${system}, commit ${commit}`;
}

const HERE = fileURLToPath(new URL(".", import.meta.url));
const QUIET: StdioOptions = ["ignore", "pipe", "ignore"];

/** The commit that is checked out; with a plus if files have been changed since. */
function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: HERE, encoding: "utf8", stdio: QUIET }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
    return `${git("rev-parse", "--short", "HEAD")}${changed ? "+" : ""}`;
  } catch {
    return "unknown";
  }
}
