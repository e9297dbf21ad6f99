// `npm run test:runtimes`: the packed package in every runtime and bundler that is available, each
// with a row.
//
//   npm run test:runtimes              all of them
//   npm run test:runtimes -- deno vite   those whose row has one of the words
//
// Exit code 0: none failed; what this machine does not have is named, and counted as skipped. 1:
// one failed.

import { BUNDLES } from "./bundles.ts";
import { HOSTS } from "./hosts.ts";
import { MOVES } from "./moves.ts";
import { PAGES } from "./pages.ts";
import { type Case, headline, lineOf, type Row, rowOf } from "./rows.ts";
import { SHELLS } from "./shells.ts";
import { TYPES } from "./types.ts";
import { WORKERS } from "./workers.ts";

const CASE_MS_MAX = 420_000;
const AT_A_TIME = 3;
const CASES: readonly Case[] = [
  ...[...SHELLS, ...HOSTS, ...TYPES, ...MOVES],
  ...[...WORKERS, ...PAGES, ...BUNDLES],
];

const words = process.argv.slice(2).map((word) => word.toLowerCase());
const wanted = CASES.filter(({ runtime, how }) => {
  const text = `${runtime} ${how}`.toLowerCase();
  return words.length === 0 || words.some((word) => text.includes(word));
});

if (wanted.length === 0) {
  console.error(`no row has any of these words: ${words.join(" ")}`);
  process.exit(1);
}

const rows: Row[] = [];
console.log(headline());
const waiting = wanted.values();
// Each waits for npm, a browser or a server part of its time, so two at a time are done sooner.
await Promise.all(Array.from({ length: AT_A_TIME }, runAll));

async function runAll(): Promise<void> {
  for (const one of waiting) {
    const row = await rowOf(one, CASE_MS_MAX);
    rows.push(row);
    console.log(lineOf(row));
  }
}

const count = (state: Row["state"]): number => rows.filter((row) => row.state === state).length;
const skipped = rows.filter(({ state }) => state === "skipped");
console.log(`\n${count("passed")} passed, ${count("failed")} failed, ${skipped.length} skipped`);
for (const { runtime, how } of skipped) console.log(`skipped: ${runtime}, ${how}`);
// Whatever has been given up may still be under way.
process.exit(count("failed") === 0 ? 0 : 1);
