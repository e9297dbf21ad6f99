// Texts of kernel files: a table of what each means, or how it is refused, and what holds for any
// text. The sysctl rows are what Linux 6.18 answers, but for the two that say otherwise.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PortError } from "../../../bindings/errors.ts";
import {
  parseControl,
  parseLocalRange,
  parseReserved,
  parseTwReuse,
  parseUnprivilegedStart,
  printControl,
  printLocalRange,
  printNumber,
  printReserved,
} from "../../../bindings/groups/texts.ts";
import { type PortRange, showRange, unpackRange } from "../../../bindings/requests/range.ts";
import { caught } from "../../invalid-input/fixture.ts";

/** A text, and what is read after it has been written; a word with a colon is how it is refused. */
type Row = readonly [text: string, read: string];

const TEXT = "EINVAL: invalid-text";
const RANGE = "EINVAL: invalid-port-range";
const LONG = "E2BIG: text-too-long";

/** Texts that are read as one, or refused in one way. */
function all(read: string, ...texts: readonly string[]): Row[] {
  return texts.map((text) => [text, read]);
}

const CURRENT: PortRange = { first: 7000, last: 7999 };
const LOCAL: PortRange = { first: 32768, last: 60999 };

const control = (text: string): string => printControl(parseControl(text, CURRENT));
const localRange = (text: string): string => printLocalRange(parseLocalRange(text, LOCAL, 1024));
const reserved = (text: string): string => printReserved(parseReserved(text));
const start = (text: string): string => printNumber(parseUnprivilegedStart(text, 1024, LOCAL));
const twReuse = (text: string): string => printNumber(parseTwReuse(text, 0));

const CONTROL: readonly Row[] = [
  ...all("20000 20999\n", "20000 20999", "20000 20999\n", "20000\t20999", "20000 \t 20999"),
  ...all("20000 20999\n", "20000-20999", "20000-20999\n", "  20000 20999  \n", "\t20000-20999\t"),
  ["1 65535", "1 65535\n"],
  ["1 1", "1 1\n"],
  ["65535-65535\n", "65535 65535\n"],
  ["0080 0090", "80 90\n"],
  [`20000${" ".repeat(8)}20999\n`, "20000 20999\n"], // 19 bytes
  // Nothing is written: nothing changes.
  ["", "7000 7999\n"],
  // White space is not nothing.
  ["\n", TEXT],
  ...all(TEXT, " ", "20000", "20000 ", "20000-", "-20999", "20000- 20999", "20000 - 20999"),
  ...all(TEXT, "20000--20999", "20000,20999", "20000:20999", "20000\n20999", "\n20000 20999"),
  ...all(TEXT, "20000 20999\n\n", "20000 20999\n ", "20000 20999\r\n", "20000 20999\0"),
  ...all(TEXT, "20000\u00a020999", "20000\v20999", "20000 20999 3", "20000 20999x", "+20000 20999"),
  ...all(TEXT, "20000 -5", "0x4e20 0x5207", "2e4 20999", "20000.0 20999", "20_000 20999", "٢٠ ٣٠"),
  ...all(TEXT, "abc"),
  // A dash stands alone, or this could be read as a range or as two numbers.
  ["20000 -20999", TEXT],
  ...all(RANGE, "20999 20000", "20999-20000", "0 20999", "0 0", "20000 65536", "70000-70001"),
  ["1 99999999999999999", RANGE], // 19 bytes
  [`20000${" ".repeat(9)}20999\n`, LONG], // 20 bytes
  ["1 999999999999999999", LONG],
  ["                    ", LONG],
  ["ééééééééé1", TEXT], // 19 bytes in 10 characters
  ["éééééééééé", LONG], // 20 bytes in 10 characters
  ["\ud800\ud800\ud800\ud800\ud800\ud800\ud800", LONG], // each is replaced by three bytes
];

const LOCAL_RANGE: readonly Row[] = [
  ["", "32768\t60999\n"],
  ...all("40000\t50000\n", "40000 50000", "40000\t50000", " 40000\t50000 \n", "40000\n50000"),
  ...all("40000\t50000\n", "\r40000 50000", "40000 50000\n\n", "40000 50000 70000"),
  ...all("40000\t50000\n", "40000 50000 abc"),
  ["40000", "40000\t60999\n"],
  ["40000  ", "40000\t60999\n"],
  ["60999", "60999\t60999\n"],
  ["0x8000 0xffff", "32768\t65535\n"],
  ["0X8000 0XFFFF", "32768\t65535\n"],
  ["040000 50000", "16384\t50000\n"],
  ["65535 65535", "65535\t65535\n"],
  ["1024 50000", "1024\t50000\n"],
  ...all(RANGE, "1023 50000", "50000 40000", "61000", "70000", "40000 70000", "0 5", "40000 0"),
  ["000000000000000040000 50000", RANGE], // 21 digits
  ...all(TEXT, "\n", " ", "40000-50000", "40000,50000", "40000 50000,", "40000 50000abc"),
  ...all(TEXT, "40000 abc", "40000\r50000", "40000 50000\r", "40000\v50000", "40000\0 50000"),
  ...all(TEXT, "+40000 50000", "-5 50000", "40000 -5", "40000.5 5", "080 50000"),
];

const RESERVED: readonly Row[] = [
  ...all("\n", "", "\n", "\n\n"),
  ...all("8080,9000-9010\n", "8080,9000-9010", "8080,9000-9010\n", "9000-9010,8080"),
  ["1,2,3-5,4-8", "1-8\n"],
  ["10-10", "10\n"],
  ...all("5\n", "5,5,5", "5,", "5\n", "\n5", "5,\n\n"),
  ["5,7,6", "5-7\n"],
  ["1-100,50", "1-100\n"],
  ["5-6,", "5-6\n"],
  ["1\n3", "1,3\n"],
  ["1,\n3", "1,3\n"],
  ["0", "0\n"],
  ["65535", "65535\n"],
  ["0,65535", "0,65535\n"],
  ["0-65535", "0-65535\n"],
  ["65534,65535", "65534-65535\n"],
  ["0x10", "16\n"],
  ["0xa-0xF", "10-15\n"],
  ["010", "8\n"],
  ["00000000000000000005", "5\n"], // 20 digits
  ...all(RANGE, "000000000000000000005", "9010-9000", "65536", "70000", "1,70000", "1-70000"),
  ...all(RANGE, "99999999999999999999999"),
  ...all(TEXT, ",5", ",", "5,,6", "5, 6", "5-", "5-,6", "-5", "-0", "+5", "1-2-3", "1--2", "1-\n2"),
  ...all(TEXT, "5,\n,6", " ", " 5", "5 ", "5\t", "5\n ", "5 6", "5;6", "5,6\r\n", "5\0", "a", "5a"),
  ...all(TEXT, "08", "0x", "0xg", "1.5"),
];

const START: readonly Row[] = [
  ["", "1024\n"],
  ["0", "0\n"],
  ...all("80\n", "80", " 80 \n", "80 90", "80 abc", "0x50"),
  ["010", "8\n"],
  ["32768", "32768\n"],
  ["32769", RANGE],
  ["65535", RANGE],
  ...all(TEXT, "65536", "-1", "\n", "80,", "80abc", "a"),
  ["-0", TEXT], // 0 to the kernel
];

const TW_REUSE: readonly Row[] = [
  ["", "0\n"],
  ["0", "0\n"],
  ...all("1\n", "1", "1\n", " 1 \n", "01", "0x1", "1 0"),
  ["2", TEXT], // taken since Linux 4.19
  ...all(TEXT, "3", "-1", "-0", "\n", "1,", "1abc", "on"),
];

const FILES: readonly (readonly [string, (text: string) => string, readonly Row[]])[] = [
  ["a control file", control, CONTROL],
  ["ip_local_port_range", localRange, LOCAL_RANGE],
  ["ip_local_reserved_ports", reserved, RESERVED],
  ["ip_unprivileged_port_start", start, START],
  ["tcp_tw_reuse", twReuse, TW_REUSE],
];

describe.each(FILES)("%s", (_name, write, rows) => {
  test.each(rows.map(([text, read]) => [JSON.stringify(text), text, read] as const))(
    "answers %s as the kernel does",
    (_shown, text, read) => {
      expect(answerTo(write, text)).toBe(read);
      // What is read is written back without any change.
      if (read.endsWith("\n")) expect(write(read)).toBe(read);
    },
  );

  test("answers any text with a canonical one or a refusal that shows it", () => {
    fc.assert(
      fc.property(anyText(rows), (text) => {
        const read = answerTo(write, text);
        if (/^E\w+: [\w-]+$/.test(read)) return;
        expect(read).toMatch(/^[0-9\t ,-]*\n$/);
        expect(write(read)).toBe(read);
      }),
      { numRuns: 3000 },
    );
  });
});

// ── Values ────────────────────────────────────────────────────────────────────────────────

const RANGES = fc
  .tuple(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 1, max: 65535 }))
  .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));

test("any range is read and written back as it was, in each of its forms", () => {
  fc.assert(
    fc.property(RANGES, (range) => {
      const { first, last } = range;
      expect(parseControl(printControl(range), CURRENT)).toEqual(range);
      expect(parseControl(`${first}-${last}`, CURRENT)).toEqual(range);
      expect(parseLocalRange(printLocalRange(range), LOCAL, first)).toEqual(range);
      expect(unpackRange(first | (last << 16))).toEqual(range);
      expect(unpackRange((first | (last << 16)) >>> 0)).toEqual(range);
    }),
  );
  expect(unpackRange(1)).toBe(undefined); // 1..0, as the core has it
  expect(printControl(undefined)).toBe("\n");
  expect([showRange(LOCAL), showRange({ first: 80, last: 80 })]).toEqual(["32768..60999", "80"]);
});

test("an effective range without ports is a newline, and cannot be written back", () => {
  expect(answerTo(control, printControl(undefined))).toBe(TEXT);
});

test("any list of reserved ports is printed merged and sorted, as a list of bits would be", () => {
  const port = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 65500, max: 65535 }));
  const span = fc.tuple(port, port).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  fc.assert(
    fc.property(fc.array(span, { maxLength: 8 }), (spans) => {
      const text = spans.map(([first, last]) => `${first}-${last}`).join(",");
      expect(reserved(text)).toBe(`${runsOf(spans)}\n`);
    }),
  );
});

test("the start of unprivileged ports and the low of the range keep their order", () => {
  const ports = fc.integer({ min: 1, max: 65535 });
  fc.assert(
    fc.property(ports, ports, (low, wanted) => {
      const range = { first: low, last: 65535 };
      const set = (): number => parseUnprivilegedStart(`${wanted}`, 0, range);
      if (wanted <= low) expect(set()).toBe(wanted);
      else expect(caught(set)).toMatchObject({ code: "EINVAL", reason: "invalid-port-range" });
      const move = (): PortRange => parseLocalRange(`${low} 65535`, LOCAL, wanted);
      if (wanted <= low) expect(move()).toEqual(range);
      else expect(caught(move)).toMatchObject({ code: "EINVAL", reason: "invalid-port-range" });
    }),
  );
});

test.each([
  [() => control("20999 20000"), 'expected 1 <= low <= high <= 65535, got "20999 20000"'],
  [() => control("x"), 'such as "20000 20999" or "20000-20999", got "x"'],
  [() => control(`20000${" ".repeat(9)}20999\n`), "takes less than 20 bytes, got 20"],
  [() => localRange("80 90"), "a low of at least 1024 (ip_unprivileged_port_start)"],
  [
    () => localRange("1,2"),
    'two numbers apart by white space, low and high, such as "32768 60999"',
  ],
  [() => reserved("80,443,,8080"), 'got "80,443,,8080", at ",8080"'],
  [() => reserved("80,9-8"), "ports in 0..65535, the lower one first"],
  [() => start("40000"), "up to 32768, the low of ip_local_port_range 32768..60999"],
  [() => twReuse("2"), 'expected 0 or 1, got "2"'],
])("a refusal says what was given and what would be valid, %#", (act, says) => {
  expect((caught(act) as Error).message).toContain(says);
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** The text that is read then, or the refusal; other errors are passed on. */
function answerTo(write: (text: string) => string, text: string): string {
  try {
    return write(text);
  } catch (error) {
    if (!(error instanceof PortError)) throw error;
    expect(error.message).toContain(`${error.code}: `);
    return `${error.code}: ${error.reason}`;
  }
}

/** Texts from anywhere, those of the rows with a change or two, and what looks like numbers. */
function anyText(rows: readonly Row[]): fc.Arbitrary<string> {
  const symbols = "0123456789xXaf-,. \t\n\r\0é".split("");
  const alike = fc.array(fc.constantFrom(...symbols), { maxLength: 24 }).map((all) => all.join(""));
  const known = fc.constantFrom(...rows.map(([text]) => text));
  const changed = fc
    .tuple(known, fc.nat(30), fc.constantFrom("", ...symbols))
    .map(([text, at, symbol]) => text.slice(0, at) + symbol + text.slice(at + 1));
  return fc.oneof(fc.string({ unit: "binary" }), alike, changed);
}

/** What `ip_local_reserved_ports` prints for these ports, port by port. */
function runsOf(spans: readonly (readonly [number, number])[]): string {
  const runs: string[] = [];
  const has = (port: number): boolean => spans.some(([a, b]) => a <= port && port <= b);
  for (let first = 0; first <= 65535; first++) {
    if (!has(first)) continue;
    let last = first;
    while (last < 65535 && has(last + 1)) last++;
    runs.push(first === last ? `${first}` : `${first}-${last}`);
    first = last;
  }
  return runs.join(",");
}
