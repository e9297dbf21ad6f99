// Examples: the blocks of TypeScript in the pages as programs. Each is compiled against the built
// package, as a user's program would be, and run in a process of its own.
//
//   value; // => expected      the value is compared with what the comment says
//   call; // throws CODE       the call must throw an error of that code
//   ```ts server=8080          the block serves on that port; here it gets one of its own
//   ```ts page                 it runs in a page alone (page-blocks.ts)
//   ```ts tls=8443             a TLS server is there on that port, for localhost

import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Block } from "./pages.ts";
import { ROOT } from "./pages.ts";

const TSC = join(ROOT, "node_modules/typescript/bin/tsc");
/** Below the ephemeral range of a namespace, and where few programs listen. */
const FIRST_PORT = 21_000;

/** A block as a program. */
export interface Example {
  /** Where it stands: `README.md:29`. */
  readonly name: string;
  /** Its source and the program made of it. */
  readonly source: string;
  readonly program: string;
  /** The port on which it wants a TLS server; 0: none. */
  readonly tlsPort: number;
}

/** Writes blocks as programs into a folder below build/, and compiles them. */
export async function compile(
  folder: string,
  blocks: readonly Block[],
): Promise<{ examples: Example[]; errors: string[] }> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(ROOT, "test/docs/checks.ts"), join(folder, "checks.ts"));
  const config = {
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions: {
      outDir: "js",
      rootDir: ".",
      declaration: false,
      isolatedDeclarations: false,
    },
    include: ["*.ts"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const examples = blocks.map((block, index) => write(folder, block, FIRST_PORT + index));
  return { examples, errors: await errorsOf(folder) };
}

function write(folder: string, block: Block, port: number): Example {
  const { path, line, attributes } = block;
  const stem = `${path.replace(/\.md$/, "").replaceAll("/", "-")}-${line}`;
  const named = attributes.get("server") ?? attributes.get("tls");
  const text = named === undefined ? sourceOf(block) : withPort(sourceOf(block), named, port);
  writeFileSync(join(folder, `${stem}.ts`), text);
  return {
    name: `${path}:${line}`,
    source: `${stem}.ts`,
    program: join(folder, "js", `${stem}.js`),
    tlsPort: attributes.has("tls") ? port : 0,
  };
}

function withPort(text: string, named: string, port: number): string {
  return text.replace(new RegExp(`\\b${named}\\b`, "g"), String(port));
}

/** The block with its comments as checks, line by line, so that errors name the page's lines. */
export function sourceOf({ line, code }: Block): string {
  let checks = 0;
  const lines = code.split("\n").map((text, index) => {
    const checked = checkOf(text, line + index);
    if (checked === text) return text;
    checks += 1;
    return checked;
  });
  const imports = `import * as page from "./checks.js";`;
  return `${lines.join("\n")}\n${imports}\npage.end(${checks});\n`;
}

function checkOf(text: string, line: number): string {
  const [, start = "", statement = "", sign = "", what = ""] =
    /^(\s*)(.+);\s+\/\/ (=>|throws) (.+)$/.exec(text) ?? [];
  if (statement === "") return text;
  if (/^(?:const|let|return|if|for)\b/.test(statement)) {
    throw new Error(`line ${line}: only the value of an expression can be compared`);
  }
  if (sign === "=>") return `${start}page.same(${line}, ${statement}, ${what});`;
  return `${start}await page.throws(${line}, async () => (${statement}), "${what}");`;
}

function errorsOf(folder: string): Promise<string[]> {
  return new Promise((resolve) => {
    const args = [TSC, "-p", folder, "--pretty", "false"];
    execFile(process.execPath, args, { cwd: folder }, (_error, out, errors) => {
      resolve(`${out}${errors}`.split("\n").filter((line) => line !== ""));
    });
  });
}
