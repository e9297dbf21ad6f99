// Exports: what the package exports, read from its built declarations: names, and what each has
// inside, such as the options of an interface and the methods of a class.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "./pages.ts";

export interface Exported {
  readonly name: string;
  /** Options, properties, methods; the texts of a union; the keys of a constant object. */
  readonly members: readonly string[];
}

/** What an entry point of the package exports: `index` or `node/index`. */
export function exportsOf(entry: string): Exported[] {
  const path = join(ROOT, "build/bindings", `${entry}.d.ts`);
  const statement = /export (?:type )?\{([^}]*)\} from "([^"]+)"/g;
  return [...readFileSync(path, "utf8").matchAll(statement)].flatMap(([, list = "", from = ""]) => {
    const file = join(dirname(path), from.replace(/\.(?:ts|js)$/, ".d.ts"));
    const text = readFileSync(file, "utf8");
    return namesIn(list).map((name) => ({ name, members: membersOf(name, text) }));
  });
}

function namesIn(list: string): string[] {
  const names = list.split(",").map((name) => name.trim().replace(/^type /, ""));
  return names.filter((name) => name !== "");
}

/** What the declaration of a name in a file has inside. */
export function membersOf(name: string, text: string): string[] {
  const start = new RegExp(
    `^(?:export )?(?:declare )?(?:class|interface|const|type) ${name}\\b`,
    "m",
  );
  const found = start.exec(text);
  if (found === null) return [];
  const rest = text.slice(found.index);
  const [first = ""] = rest.split("\n");
  if (/\btype /.test(first)) return textsIn(rest.slice(0, rest.indexOf(";")));
  if (!/\{$/.test(first)) return [];
  const body = withoutComments(rest.slice(0, rest.indexOf("\n}")));
  // In the declarations that tsc writes, what belongs to the outermost braces is indented by four.
  const member = /^ {4}(?:(?:readonly|static|get|set|override|abstract) )*(\w+)[?]?[(:<]/gm;
  const names = [...body.matchAll(member)].map(([, inner = ""]) => inner);
  return [...new Set(names)].filter((inner) => inner !== "constructor");
}

function withoutComments(text: string): string {
  return text.replace(/\/\*\*[\s\S]*?\*\//g, "");
}

function textsIn(union: string): string[] {
  return [...withoutComments(union).matchAll(/"([^"]+)"/g)].map(([, text = ""]) => text);
}
