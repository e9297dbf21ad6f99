// `portwarden show --blocks`: which processes have leased which blocks of ports on this host
// (`hostBlocks`), as far as this user may read the kernel's list of Unix sockets and /proc.

import { readFileSync } from "node:fs";
import { BLOCK_PORTS, firstPortOf } from "../../node/blocks/block-store.ts";
import { parseNames } from "../../node/blocks/host-list.ts";
import { counted } from "../../node/connector/words.ts";
import { table, title } from "../output.ts";
import { nameOf, ownersOf } from "./programs.ts";

const PROC = "/proc";

/** The blocks that one process has of one address and transport. */
interface BlockHolder {
  /** `tcp` or `udp`. */
  readonly transport: string;
  readonly source: string;
  /**
   * Absent where this user may not see it: of other users' processes, and of other pid namespaces.
   */
  readonly pid: number | undefined;
  readonly program: string;
  /** Ascending. */
  readonly blocks: readonly number[];
  /** Their ports, `40000-40127,40192-40255`. */
  readonly ports: string;
}

/** All that is leased in this network namespace; by address, then by process. */
export function blockHolders(root: string = PROC): BlockHolder[] {
  const scopes = parseNames(textOf(`${root}/net/unix`));
  if (scopes.size === 0) return [];
  const owners = ownersOf(root);
  return [...scopes].sort(byName).flatMap(([scope, inodes]) => {
    const [transport = "", source = ""] = scope.split("/");
    const byPid = new Map<number | undefined, number[]>();
    for (const [block, inode] of inodes) {
      const pid = owners.get(`${inode}`);
      byPid.set(pid, [...(byPid.get(pid) ?? []), block]);
    }
    return [...byPid]
      .sort(([a = Infinity], [b = Infinity]) => a - b)
      .map(([pid, found]) => {
        const blocks = found.sort((a, b) => a - b);
        const program = pid === undefined ? "" : nameOf(pid, root);
        return { transport, source, pid, program, blocks, ports: portsOf(blocks) };
      });
  });
}

/** The same in words. */
export function blocksText(holders: readonly BlockHolder[]): string {
  if (holders.length === 0) return "No block of ports is leased in this network namespace.";
  const total = holders.reduce((sum, { blocks }) => sum + blocks.length, 0);
  const rows = holders.map(({ transport, source, pid, program, blocks, ports }) => [
    `${transport} ${source}`,
    pid === undefined ? "not known" : `${program} (${pid})`,
    blocks.length,
    ports,
  ]);
  return [
    title(`${counted(total, "block")} of ${BLOCK_PORTS} ports leased in this network namespace`),
    table(["source", "program", "blocks", "ports"], rows),
  ].join("\n");
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

function portsOf(blocks: readonly number[]): string {
  const spans: [first: number, last: number][] = [];
  for (const block of blocks) {
    const before = spans.at(-1);
    if (before?.[1] === block - 1) before[1] = block;
    else spans.push([block, block]);
  }
  return spans
    .map(([first, last]) => `${firstPortOf(first)}-${firstPortOf(last) + BLOCK_PORTS - 1}`)
    .join(",");
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
