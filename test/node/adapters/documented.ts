// Documented: the options that tools document in their types, and the tables of what becomes of
// them in adapters.

import { readFileSync } from "node:fs";

const ROOT = new URL("../../../", import.meta.url);
const PAGE = "docs/reference/adapter-options.md";

/** What becomes of an option: the rows of a table. */
export interface Fate {
  readonly connector: readonly string[];
  readonly refused: readonly string[];
  readonly tool: readonly string[];
  /** Options that the tool does not pass to the adapter. */
  readonly unseen: readonly string[];
}

const NODE = "node_modules/@types/node";
const NET = [`${NODE}/net.d.ts TcpSocketConnectOpts`, `${NODE}/net.d.ts ConnectOpts`];
const SOCKET = `${NODE}/net.d.ts SocketConstructorOpts`;
const TLS = [`${NODE}/tls.d.ts ConnectionOptions`, `${NODE}/tls.d.ts CommonConnectionOptions`];
const HTTP = [`${NODE}/http.d.ts ClientRequestArgs`, `${NODE}/http.d.ts AgentOptions`];

/** By the heading of an adapter: where its tool documents options, as file and interface. */
export const SOURCES: Readonly<Record<string, readonly string[]>> = {
  "http agents": [...HTTP, ...NET],
  "https agents": [...HTTP, ...NET, ...TLS, `${NODE}/https.d.ts RequestOptions`],
  undici: [
    ...["node_modules/undici/types/client.d.ts Options", ...NET, SOCKET, ...TLS],
    "node_modules/undici/types/connector.d.ts BuildOptions",
  ],
  ws: ["node_modules/@types/ws/index.d.ts ClientOptions"],
  autocannon: ["node_modules/@types/autocannon/index.d.ts Options", ...TLS],
  UDP: [`${NODE}/dgram.d.ts SocketOptions`, `${NODE}/dgram.d.ts BindOptions`],
  PortSocket: [...NET, SOCKET],
};

/** The names of the options in one interface, or in the object of a type. */
export function optionsIn(source: string): string[] {
  const [file = "", name = ""] = source.split(" ");
  const lines = readFileSync(new URL(file, ROOT), "utf8").split("\n");
  const start = lines.findIndex((line) =>
    new RegExp(`(interface|type) ${name}\\b.*\\{$`).test(line),
  );
  const indent = /^ */.exec(lines[start] ?? "")?.[0] ?? "";
  const end = lines.findIndex((line, index) => index > start && line.startsWith(`${indent}}`));
  const inner = lines.slice(start + 1, end);
  const least = Math.min(...inner.filter((line) => line.trim() !== "").map(indentOf));
  return inner
    .filter((line) => indentOf(line) === least && !/: never;/.test(line))
    .map((line) => /^\s*(\w+)\??\s*[:(]/.exec(line)?.[1])
    .filter((option) => option !== undefined);
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/** The table under the heading of an adapter. */
export function tableOf(heading: string): Fate {
  const text = readFileSync(new URL(PAGE, ROOT), "utf8");
  const [, section = ""] = text.split(`\n## ${heading}\n`);
  const rows = (section.split("\n## ")[0] ?? "")
    .split("\n")
    .filter((line) => line.startsWith("| "));
  const row = (name: string): string[] => {
    const found = rows.find((line) => line.startsWith(`| ${name} |`)) ?? "";
    return [...found.matchAll(/`(\w+)`/g)].map(([, option]) => option as string);
  };
  return {
    connector: row("connector"),
    refused: row("refused"),
    tool: row("tool"),
    unseen: row("unseen"),
  };
}
