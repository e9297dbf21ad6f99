// Texts: what the kernel's files hold, from text to numbers and back. Nothing here has state.
//
//   net_cls.bind_port_range, net_cls.connect_port_range     "20000 20999\n"
//   net.ipv4.ip_local_port_range                            "32768\t60999\n"
//   net.ipv4.ip_local_reserved_ports                        "8080,9000-9010\n"
//   net.ipv4.ip_unprivileged_port_start                     "1024\n"
//   net.ipv4.tcp_tw_reuse                                   "0\n"
//
// Each pair of functions is such that parsing what was printed gives the same value. A text that is
// refused throws an error with the kernel's code that says what was given and what would be valid.
//
// The sysctl forms are those of Linux 6.18, measured: numbers may be hexadecimal (0x...) or octal
// (0...), at most 20 characters long. A minus sign is refused everywhere; the kernel takes one in
// "-0" for some of the files.

import { PORT_MAX } from "../../assembly/abi.ts";
import { PortError, type Reason, show, wrongType } from "../errors.ts";
import { isRange, type PortRange, showRange } from "../requests/range.ts";

/** A text that a caller gives. */
export function checkText(name: string, text: unknown): string {
  if (typeof text === "string") return text;
  throw wrongType(name, "a string", text);
}

// ── Control files of a group ──────────────────────────────────────────────────────────────

/** Bytes of a text that a control file refuses: `max_write_len` of cgroup files, Linux 2.6.32. */
const CONTROL_BYTES = 20;

/** Two ports apart by blanks or by one dash, in blanks, with one newline at the end. */
const CONTROL = /^[ \t]*([0-9]+)(?:[ \t]+|-)([0-9]+)[ \t]*\n?$/;

/**
 * The text of `net_cls.bind_port_range` or `net_cls.connect_port_range`: two decimal ports, apart
 * by blanks (spaces or tabs) or by one dash, as in "20000 20999" and "20000-20999". Blanks around
 * the whole and one newline at its end are passed over. A dash has no blanks beside it, so that
 * "20000 -20999" is not read as a range. Leading zeros are zeros: the numbers are always decimal.
 *
 * The empty text changes nothing, as writing no bytes to a cgroup file does (Linux
 * `cgroup_file_write`). White space alone is not empty, and is refused.
 * @param text the text that is written; up to 19 bytes of UTF-8 (Linux 2.6.32
 * `cgroup_write_string`).
 * @param current the range that holds now, which the empty text keeps.
 * @throws PortError `E2BIG` (`text-too-long`), `EINVAL` (`invalid-text`, `invalid-port-range`).
 */
export function parseControl(text: string, current: PortRange): PortRange {
  if (text === "") return current;
  const bytes = byteLength(text);
  if (bytes >= CONTROL_BYTES) {
    const message = `a control file takes less than ${CONTROL_BYTES} bytes, got ${bytes}: ${show(text)}`;
    throw new PortError("E2BIG", "text-too-long", message);
  }
  const form = 'two ports, first and last, such as "20000 20999" or "20000-20999"';
  const [, first, last] = CONTROL.exec(text) ?? [];
  if (first === undefined || last === undefined) throw refused("invalid-text", form, text);
  return rangeOf(Number(first), Number(last), text);
}

/** Bytes of a text in UTF-8. Not every host that runs JavaScript has a TextEncoder. */
export function byteLength(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const point = character.codePointAt(0) as number;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/** The range of a control file, as it is read: `low high\n`; one newline if it is empty. */
export function printControl(range: PortRange | undefined): string {
  return range === undefined ? "\n" : `${range.first} ${range.last}\n`;
}

// ── net.ipv4.ip_local_port_range ──────────────────────────────────────────────────────────

/**
 * The text of `ip_local_port_range` (Linux `ipv4_local_port_range`): low and high, apart by white
 * space. One number changes only low; what follows the second is not looked at. The empty text
 * changes nothing; white space alone is refused.
 * @param current the range that holds now.
 * @param unprivilegedPortStart `ip_unprivileged_port_start`, 0..65535: low may not be below it.
 * @throws PortError `EINVAL` (`invalid-text`, `invalid-port-range`).
 */
export function parseLocalRange(
  text: string,
  current: PortRange,
  unprivilegedPortStart: number,
): PortRange {
  if (text === "") return current;
  const form = 'one or two numbers apart by white space, low and high, such as "32768 60999"';
  const [first, last = current.last] = numbersOf(text, 2) ?? [];
  if (first === undefined) throw refused("invalid-text", form, text);
  const range = rangeOf(first, last, text);
  if (first >= unprivilegedPortStart) return range;
  const valid = `a low of at least ${unprivilegedPortStart} (ip_unprivileged_port_start)`;
  throw refused("invalid-port-range", valid, text);
}

/** The text of `ip_local_port_range`: `low\thigh\n`. */
export function printLocalRange({ first, last }: PortRange): string {
  return `${first}\t${last}\n`;
}

// ── net.ipv4.ip_local_reserved_ports ──────────────────────────────────────────────────────

const NUMBER = "0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*";

/** A port, or two apart by a dash; a comma or a newline ends it, and newlines may follow. */
const SPAN = new RegExp(`(${NUMBER})(?:-(${NUMBER}))?(?:[,\\n]\\n*|$)`, "iy");

/**
 * The text of `ip_local_reserved_ports` (Linux `proc_do_large_bitmap`): ports and ranges apart by
 * one comma, such as "8080,9000-9010", in any order; they may overlap. A comma may end it, newlines
 * may stand between and around, blanks nowhere. Newlines alone are the empty list, and so is the
 * empty text, although the kernel does nothing when no bytes are written.
 * @returns the spans in the order given; here a port may be 0.
 * @throws PortError `EINVAL` (`invalid-text`, `invalid-port-range`).
 */
export function parseReserved(text: string): PortRange[] {
  const spans: PortRange[] = [];
  let at = text.search(/[^\n]|$/);
  while (at < text.length) {
    SPAN.lastIndex = at;
    const match = SPAN.exec(text);
    if (match === null) {
      const form = 'ports and ranges apart by one comma and no blanks, such as "8080,9000-9010"';
      throw refused("invalid-text", form, text, at);
    }
    spans.push(spanOf(match, text, at));
    at = SPAN.lastIndex;
  }
  return spans;
}

/** The text of `ip_local_reserved_ports`: merged, sorted, with a newline at the end. */
export function printReserved(spans: readonly PortRange[]): string {
  return `${mergeSpans(spans).map(printSpan).join(",")}\n`;
}

/** The same ports in ascending spans with at least one port between them. */
export function mergeSpans(spans: readonly PortRange[]): PortRange[] {
  const merged: { first: number; last: number }[] = [];
  for (const { first, last } of [...spans].sort((a, b) => a.first - b.first)) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last);
    else merged.push({ first, last });
  }
  return merged;
}

function printSpan({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

function spanOf([, low = "", high = low]: RegExpExecArray, text: string, at: number): PortRange {
  const first = numberOf(low);
  const last = numberOf(high);
  if (first <= last && last <= PORT_MAX) return { first, last };
  throw refused("invalid-port-range", `ports in 0..${PORT_MAX}, the lower one first`, text, at);
}

// ── net.ipv4.ip_unprivileged_port_start ───────────────────────────────────────────────────

/**
 * The text of `ip_unprivileged_port_start` (Linux `ipv4_privileged_ports`): a number. What follows
 * it after white space is not looked at. The empty text changes nothing; white space alone is
 * refused.
 * @param current the start that holds now.
 * @param localRange `ip_local_port_range`, whose low may not be below the start.
 * @throws PortError `EINVAL` (`invalid-text`, `invalid-port-range`).
 */
export function parseUnprivilegedStart(
  text: string,
  current: number,
  localRange: PortRange,
): number {
  if (text === "") return current;
  const [start] = numbersOf(text, 1) ?? [];
  if (start === undefined || start > PORT_MAX) {
    throw refused("invalid-text", `a number in 0..${PORT_MAX}`, text);
  }
  if (start <= localRange.first) return start;
  const low = `${localRange.first}, the low of ip_local_port_range ${showRange(localRange)}`;
  throw refused("invalid-port-range", `a number up to ${low}`, text);
}

// ── net.ipv4.tcp_tw_reuse ─────────────────────────────────────────────────────────────────

/**
 * The text of `tcp_tw_reuse`: 0 or 1. 2, "for loopback only", came with Linux 4.19 and is refused
 * here. What follows the number after white space is not looked at. The empty text changes nothing.
 * @param current the value that holds now.
 * @throws PortError `EINVAL` (`invalid-text`).
 */
export function parseTwReuse(text: string, current: number): number {
  if (text === "") return current;
  const [value] = numbersOf(text, 1) ?? [];
  if (value === 0 || value === 1) return value;
  throw refused("invalid-text", "0 or 1", text);
}

/**
 * The text of a file that holds one number (Linux `proc_dointvec_minmax`). What follows it after
 * white space is not looked at. The empty text changes nothing.
 * @param current the value that holds now.
 * @throws PortError `EINVAL` (`invalid-text`).
 */
export function parseNumber(text: string, current: number, least: number, most: number): number {
  if (text === "") return current;
  const [value] = numbersOf(text, 1) ?? [];
  if (value !== undefined && value >= least && value <= most) return value;
  throw refused("invalid-text", `a number in ${least}..${most}`, text);
}

/** The text of a file that holds one number: the number and a newline. */
export function printNumber(value: number): string {
  return `${value}\n`;
}

// ── Numbers ───────────────────────────────────────────────────────────────────────────────

/** The most characters that Linux's `proc_get_long` reads, and those that may follow a number. */
const LENGTH_MAX = 20;
const WORD = new RegExp(`^(${NUMBER})(?:[ \\t\\n]|$)`, "i");
const WHITE = /^[ \t\n\v\f\r]+/;

/**
 * Up to `most` numbers in front of a text (Linux `do_proc_dointvec`); `undefined`: something else
 * is there.
 */
function numbersOf(text: string, most: number): number[] | undefined {
  const numbers: number[] = [];
  let rest = text.replace(WHITE, "");
  while (rest !== "" && numbers.length < most) {
    const [, word] = WORD.exec(rest) ?? [];
    if (word === undefined) return undefined;
    numbers.push(numberOf(word));
    rest = rest.slice(word.length).replace(WHITE, "");
  }
  return numbers;
}

/**
 * A number as the kernel writes them: hexadecimal, octal or decimal; too long is beyond any limit.
 */
function numberOf(word: string): number {
  if (word.length > LENGTH_MAX) return Number.POSITIVE_INFINITY;
  return /^0[0-7]/.test(word) ? Number.parseInt(word, 8) : Number(word);
}

// ── Refusals ──────────────────────────────────────────────────────────────────────────────

function rangeOf(first: number, last: number, text: string): PortRange {
  if (isRange(first, last)) return { first, last };
  throw refused("invalid-port-range", `1 <= low <= high <= ${PORT_MAX}`, text);
}

/** `at`: where in the text the error is, if the message should show it. */
function refused(reason: Reason, valid: string, text: string, at = 0): PortError {
  const where = at > 0 ? `, at ${show(text.slice(at))}` : "";
  return new PortError("EINVAL", reason, `expected ${valid}, got ${show(text)}${where}`);
}
