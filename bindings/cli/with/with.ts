// `portwarden with`: runs a command with leased ports in its environment, for programs that must be
// told their ports. Its signals and its exit code are passed on.

import { spawn } from "node:child_process";
import { show } from "../../errors.ts";
import type { PortRange } from "../../index.ts";
import { exitOf, passSignals } from "../../node/host/child.ts";
import { leasePort } from "../../node/listening/lease-port.ts";
import { BadInput, CannotRun, neededIn, parseOptions, rangeOf, valueIn, wrong } from "../args.ts";
import { writeText } from "../output.ts";

const HELP = `usage: portwarden with --ports NAME[,NAME...] [options] -- command [args]

Runs a command with a port of its own in each of these variables of its environment. Until it ends,
no other process of this host is leased those ports; no socket listens there at its start. Linux only.

  --ports LIST    names of variables, such as PORT,ADMIN_PORT
  --range A-B     the ports to pick from; by default 10000 up to below the system's own range
  --contiguous    the ports follow each other, in the order of the names

SIGINT, SIGTERM and SIGHUP are passed on to the command.

Exit codes: the command's own; 128 and the number of the signal if one has ended it; 1 if so many
ports are not free, 2 if the command line is not understood, 126 if the command may not be run, 127
if there is none of that name.

Example
  portwarden with --ports PORT,ADMIN_PORT -- node server.js`;

const OPTIONS = {
  ports: { type: "string" },
  range: { type: "string" },
  contiguous: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;
const NAMES_MOST = 1000;

/** @returns the exit code of the command. */
export async function runWith(args: readonly string[]): Promise<number> {
  const at = args.indexOf("--");
  const given = parseOptions("with", at < 0 ? args : args.slice(0, at), OPTIONS);
  if (given.has("help")) {
    writeText(HELP);
    return 0;
  }
  const names = namesOf(neededIn(given, "ports", "PORT,ADMIN_PORT"));
  const [command, ...rest] = at < 0 ? [] : args.slice(at + 1);
  if (command === undefined)
    throw new BadInput("a command is needed behind --, such as -- node server.js");
  const text = valueIn(given, "range");
  const range = text === undefined ? undefined : rangeFor(names.length, text);
  const contiguous = given.has("contiguous");
  const lease = await leasePort({ count: names.length, contiguous, range });
  try {
    return await run(
      command,
      rest,
      Object.fromEntries(names.map((name, index) => [name, `${lease.ports[index]}`])),
    );
  } finally {
    lease.release();
  }
}

function namesOf(text: string): string[] {
  const names = text.split(",");
  const valid = `up to ${NAMES_MOST} different names of variables, such as PORT,ADMIN_PORT`;
  const areNames = names.every((name) => /^[a-z_]\w*$/i.test(name));
  if (areNames && new Set(names).size === names.length && names.length <= NAMES_MOST) return names;
  throw wrong("--ports", valid, text);
}

function rangeFor(count: number, text: string): PortRange {
  const range = rangeOf("--range", text);
  if (range.last - range.first + 1 >= count) return range;
  throw wrong("--range", `as many ports as --ports has names, ${count} or more`, text);
}

async function run(
  command: string,
  args: readonly string[],
  ports: Readonly<Record<string, string>>,
): Promise<number> {
  const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...ports } });
  const stopPassing = passSignals(child);
  try {
    return await exitOf(child);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "EACCES") throw new CannotRun(message);
    const why = code === "ENOENT" ? "there is no such command" : "it may not be run";
    process.stderr.write(`portwarden: ${show(command)} cannot be run: ${why}\n`);
    return code === "ENOENT" ? 127 : 126;
  } finally {
    stopPassing();
  }
}
