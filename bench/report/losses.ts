// Losses: where another system takes less than the fastest of ours that did the same work.

import { format } from "../harness/format.ts";
import type { Row } from "../harness/setup.ts";
import {
  heldAt,
  isCompared,
  isOurs,
  isRecorded,
  isSameWork,
  type Line,
  linesOf,
  show,
} from "./lines.ts";
import { folded, table } from "./text.ts";

/** Less than that is noise. */
const NOISE = 1.05;

/** Ours and a rival at one place. */
interface Match {
  readonly our: Row;
  readonly rival: Row;
  /** How many times as much ours takes. */
  readonly factor: number;
}

export function losses(rows: readonly Row[]): string {
  const matches = linesOf(rows).flatMap(matchesOf);
  const lost = matches.filter(({ factor }) => factor >= NOISE);
  const told = [
    "Each rival against the fastest of handles, batch, sockets and connector that did the same work in the same",
    "line, or against words where none of those is there: with equal digests, or none on either side.",
    `Factors say how many times as much ours takes; those below ${NOISE} count as noise.`,
    "What rivals leave out is in the table of systems.",
  ].join(" ");
  if (lost.length === 0) return `${told}\n\nIn none of ${matches.length} comparisons.`;
  const list = table(["", "held", "ours", "took less"], lost.map(listed));
  return [told, summary(matches), folded(`all ${lost.length} of them`, list)].join("\n\n");
}

function matchesOf(line: Line): Match[] {
  const rivals = line.filter((row) => !isOurs(row) && !isRecorded(row));
  return rivals.flatMap((rival) => {
    const ours = line.filter((row) => isOurs(row) && isSameWork(row, rival));
    const quick = ours.filter(({ system }) => system !== "words");
    const our = least(quick.length > 0 ? quick : ours);
    // A figure below what the clock costs is 0.
    if (our === undefined || our.median <= 0 || rival.median <= 0) return [];
    return [{ our, rival, factor: our.median / rival.median }];
  });
}

function least(rows: readonly Row[]): Row | undefined {
  return [...rows].sort((a, b) => a.median - b.median)[0];
}

/** For each benchmark, unit and rival that is ahead somewhere, with equal digests and with none. */
function summary(matches: readonly Match[]): string {
  const groups = new Map<string, Match[]>();
  for (const match of matches) {
    const { bench, unit, system, digest } = match.rival;
    const key = JSON.stringify([bench, unit, system, digest === null]);
    groups.set(key, [...(groups.get(key) ?? []), match]);
  }
  const lines = [...groups.values()].flatMap((group) => {
    const lost = group.filter(({ factor }) => factor >= NOISE);
    lost.sort((a, b) => a.factor - b.factor);
    const worst = lost.at(-1);
    if (worst === undefined) return [];
    const { bench, system, unit, digest } = worst.rival;
    const place = `${worst.rival.row} ${heldAt(worst.rival)}`.trim();
    return [
      [
        unit === "bytes" ? `${bench}, bytes` : bench,
        system,
        digest === null ? "none" : "equal",
        `${lost.length} of ${group.length}`,
        `${format(median(lost))} x`,
        `${format(worst.factor)} x: ${place}, ${worst.our.system}`,
      ],
    ];
  });
  return table(
    ["benchmark", "rival", "digests", "ahead in lines", "median factor", "worst factor"],
    lines,
  );
}

/** Of factors in order. */
function median(sorted: readonly Match[]): number {
  const at = (index: number): number => sorted[Math.floor(index)]?.factor ?? Number.NaN;
  return (at((sorted.length - 1) / 2) + at(sorted.length / 2)) / 2;
}

function listed({ our, rival, factor }: Match): string[] {
  const took = `${rival.system} ${show(rival)} (${format(factor)} x)`;
  return [`${our.bench}/${our.row}`, heldAt(our), `${our.system} ${show(our)}`, took];
}

/** In how many lines results were compared, and which benchmarks have no such line. */
export function comparedLines(rows: readonly Row[]): string {
  const lines = linesOf(rows);
  const compared = lines.filter(isCompared);
  const benches = new Set(compared.map((line) => line[0]?.bench));
  const without = [...new Set(rows.map(({ bench }) => bench))].filter((name) => !benches.has(name));
  const none =
    without.length === 0 ? "" : ` Benchmarks without such a line: ${without.join(", ")}.`;
  return (
    `In ${compared.length} of ${lines.length} lines, systems have digests of their results that ` +
    `were compared and are equal.${none}`
  );
}
