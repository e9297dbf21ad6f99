// What vector files are made of: texts that are JSON, and what is said where they are not. Nothing
// here reads files, so that pages can replay as well.

/** What was given cannot be replayed. The message is for the caller that gave it. */
export class BadInput extends Error {
  override readonly name = "BadInput";
}

/** The text as JSON; `place` says where it stood. */
export function parse(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BadInput(`${place}: not JSON: ${error instanceof Error ? error.message : error}`);
  }
}

/** Are two answers the same, no key more and no key less, and each value of the same type? */
export function same(a: unknown, b: unknown): boolean {
  if (!isObject(a) || !isObject(b)) return Object.is(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => Object.hasOwn(b, name) && same(a[name], b[name]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
