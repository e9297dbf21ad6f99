// Arguments of the commands: options by Node's `parseArgs`, and the messages about wrong ones.
// Every error of a command line becomes a BadInput, which ends in exit code 2.

import { type ParseArgsConfig, parseArgs } from "node:util";
import { PortError, show } from "../errors.ts";
import { isRange, type PortRange } from "../requests/range.ts";

/** The command line is not understood; the message says what is valid. Exit code 2. */
export class BadInput extends Error {}

/** The command line is understood, but the command cannot be carried out. Exit code 1. */
export class CannotRun extends Error {}

/** An option of a command: a value, several, or a switch. */
interface OptionKind {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly multiple?: boolean;
}

/** The options of a command line: every value in the order given, "" for a switch. */
export type Given = ReadonlyMap<string, readonly string[]>;

/**
 * The options of a command.
 * @throws BadInput for a name that is not known; a value that is missing or too much; and anything that is no
 * option.
 */
export function parseOptions(
  command: string,
  args: readonly string[],
  kinds: Record<string, OptionKind>,
): Given {
  const options = kinds as NonNullable<ParseArgsConfig["options"]>;
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true });
  const given = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") throw unexpected(command, token.value);
    if (token.kind !== "option") continue;
    const kind = Object.hasOwn(kinds, token.name) ? kinds[token.name] : undefined;
    if (kind === undefined) throw unknown(command, token.rawName, Object.keys(kinds));
    const value = checkedValue(token.rawName, kind, token.value, token.inlineValue === true);
    const before = given.get(token.name);
    if (before !== undefined && kind.type === "string" && !kind.multiple) {
      throw new BadInput(`${token.rawName} is given twice: give it once`);
    }
    given.set(token.name, [...(before ?? []), value]);
  }
  return given;
}

/** The one value of an option, or `undefined` where it is not given. */
export function valueIn(given: Given, name: string): string | undefined {
  return given.get(name)?.[0];
}

/** The one value of an option that must be given. */
export function neededIn(given: Given, name: string, example: string): string {
  const value = valueIn(given, name);
  if (value !== undefined) return value;
  throw new BadInput(`--${name} is needed, for instance --${name} ${example}`);
}

/**
 * A number, perhaps with a fraction, also as output shows it: 10,000.
 * @param valid the valid values, if they are more than a number in a range.
 */
export function numberOf(
  name: string,
  text: string,
  least: number,
  most: number,
  valid: string = `a number in ${least}..${most}`,
): number {
  const digits = withoutCommas(text);
  const value = Number(digits);
  const isNumber = /^(?:\d+\.?\d*|\.\d+)(?:e\d+)?$/i.test(digits);
  if (isNumber && value >= least && value <= most) return value;
  throw wrong(name, valid, text);
}

/** A whole number, also as output shows it: 10,000. */
export function wholeOf(name: string, text: string, least: number, most: number): number {
  const digits = withoutCommas(text);
  const value = Number(digits);
  if (/^\d+$/.test(digits) && value >= least && value <= most) return value;
  throw wrong(name, `a whole number in ${least}..${most}`, text);
}

/** Where commas stand before every three digits they go; elsewhere they stay, and are refused. */
function withoutCommas(text: string): string {
  return /^\d{1,3}(?:,\d{3})+(?:\.\d+)?$/.test(text) ? text.replaceAll(",", "") : text;
}

/** A range of ports: `32768-60999`, or as sysctl prints it, apart by blanks or tabs. */
export function rangeOf(name: string, text: string): PortRange {
  const match = /^\s*(\d{1,5})(?:\s*(?:-|\.\.)\s*|\s+)(\d{1,5})\s*$/.exec(text);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (isRange(first, last)) return { first, last };
  throw wrong(name, "two ports in 1..65535, low and high, such as 32768-60999", text);
}

/**
 * Parses an option's value by `parse`. A PortError of it becomes an error of the command line,
 * without the code, which is for programs.
 * @param parse names the option, without dashes, where it says what is wrong.
 */
export function parsedBy<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof PortError)) throw error;
    throw new BadInput(`--${error.message.slice(error.code.length + 2)}`);
  }
}

/** The error of a wrong option `name`. */
export function wrong(name: string, valid: string, got: string): BadInput {
  return new BadInput(`${name} must be ${valid}, got ${show(got)}`);
}

/** Do the arguments ask for a document, whatever else is wrong with them? */
export function wantsJson(args: readonly string[]): boolean {
  // Arguments behind -- belong to another command.
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  return own.some((arg) => arg === "--json" || arg.startsWith("--json="));
}

function checkedValue(
  name: string,
  kind: OptionKind,
  value: string | undefined,
  isInline: boolean,
): string {
  if (kind.type === "boolean") {
    if (value === undefined) return "";
    throw new BadInput(`${name} takes no value, got ${show(value)}`);
  }
  if (value === undefined || value === "") throw new BadInput(`${name} needs a value`);
  if (isInline || !/^-\D/.test(value)) return value;
  throw new BadInput(`${name} needs a value, and ${show(value)} is an option`);
}

function unknown(command: string, rawName: string, names: readonly string[]): BadInput {
  const known = names.map((name) => `--${name}`).join(", ");
  return new BadInput(`portwarden ${command} has no option ${show(rawName)}; known are ${known}`);
}

function unexpected(command: string, value: string): BadInput {
  return new BadInput(`portwarden ${command} takes options only, and ${show(value)} is none`);
}
