// Nodes: the same suites under several versions of Node, each suite under all of them before the
// next one begins, so that what slows the machine down for a while slows all of them.

import { execFileSync } from "node:child_process";
import { runOn } from "./format.ts";
import { runInOwnProcess } from "./own-process.ts";
import type { Results } from "./results.ts";

/**
 * The version of the Node at a path.
 *
 * @throws Error if there is no Node.
 */
export function versionOf(node: string): string {
  const args = ["--print", "process.versions.node"];
  try {
    return execFileSync(node, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    throw new Error(`${node} is not a Node that can be run`);
  }
}

/** The results under each Node, in the order of their paths. */
export function withEachNode(
  names: readonly string[],
  nodes: readonly string[],
  smoke: boolean,
): Results[] {
  const options = smoke ? ["--smoke"] : [];
  const { date } = runOn();
  const found = nodes.map(() => [] as Results[]);
  for (const name of names) {
    for (const [index, node] of nodes.entries()) {
      found[index]?.push(runInOwnProcess(name, node, options));
    }
  }
  return found.map((parts) => ({
    machine: { ...(parts[0] as Results).machine, date },
    smoke,
    rows: parts.flatMap(({ rows }) => rows),
    thresholds: parts.flatMap(({ thresholds }) => thresholds),
  }));
}
