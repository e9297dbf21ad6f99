// Uses: what the workers of a chaos run wrote down, and whether a block had two holders at one
// time.
//
//   holding 1   ├── use ── use ──── use ──┤
//   holding 2                      ├── use ─── …       the first use of it before the last of 1: two
//
// A use is written with two times: before the clocks were looked at, and after. A holding surely
// began before the end of its first use, and surely lasted to the beginning of its last one.

interface Holding {
  readonly block: string;
  readonly holder: string;
  /** When its first use was over. */
  from: number;
  /** When its last use began. */
  to: number;
}

export interface Outcome {
  readonly uses: number;
  readonly holdings: number;
  /** Pairs of holdings of one block that overlap, in words. */
  readonly twice: readonly string[];
}

/**
 * Lines of `block holder before after`; a `before` of 0 is not known. A connection is a use of its
 * port, from when it was open to when it was to be closed.
 */
export function judge(lines: Iterable<string>): Outcome {
  const byBlock = new Map<string, Map<string, Holding>>();
  let uses = 0;
  for (const line of lines) {
    const [block = "", holder = "", before, after] = line.split(" ");
    if (after === undefined) continue;
    uses++;
    const holdings = byBlock.get(block) ?? new Map<string, Holding>();
    byBlock.set(block, holdings);
    const known = holdings.get(holder) ?? { block, holder, from: Infinity, to: 0 };
    known.from = Math.min(known.from, Number(after));
    known.to = Math.max(known.to, Number(before));
    holdings.set(holder, known);
  }
  const all = [...byBlock.values()].map((holdings) => [...holdings.values()]);
  const sum = all.reduce((total, holdings) => total + holdings.length, 0);
  return { uses, holdings: sum, twice: all.flatMap(overlapsIn) };
}

function overlapsIn(holdings: Holding[]): string[] {
  const found: string[] = [];
  // Of those before, the one that lasted longest.
  let longest: Holding | undefined;
  for (const later of holdings.sort((a, b) => a.from - b.from)) {
    if (longest !== undefined && longest.to > later.from) {
      const ms = (longest.to - later.from).toFixed(1);
      found.push(`${later.block}: ${longest.holder} used it ${ms} ms after ${later.holder} had`);
    }
    if (longest === undefined || later.to > longest.to) longest = later;
  }
  return found;
}
