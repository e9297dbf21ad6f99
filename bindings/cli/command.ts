// The command `portwarden`: finds out which command is meant, runs it, and turns what it throws
// into a message and an exit code.

import { readFileSync } from "node:fs";
import { show } from "../errors.ts";
import { BadInput, wantsJson } from "./args.ts";
import { tellFailure } from "./failure.ts";
import { helpText, writeJson, writeText } from "./output.ts";

/** Answers the exit code. */
type Command = (args: string[]) => Promise<number>;

const HELP = `usage: portwarden <command> [options]

  demo    opens real connections inside this machine in three ways, and compares them
  plan    will a load fit into the ports there are? Simulated, with what to change
  show    this machine: ranges, reserved ports, ports in use, TIME_WAIT, limits
  with    runs a command with ports of its own in its environment

  portwarden <command> --help     what a command takes; portwarden help <command> says so, too
  portwarden --version            the version

Exit codes
    0  done; what was asked for fits
    1  it cannot be done, or it does not fit
    2  the command line is not understood
  130  interrupted (Ctrl-C); 143: told to end (SIGTERM)

Errors are text on the standard error output. With --json there is one document on the standard output
all the same: { "error": { "message", "exitCode" } }. That a load does not fit is an answer, no error.

NO_COLOR and FORCE_COLOR are heeded in a terminal; there are no colours in a pipe or a file.`;

// A command is loaded when it is run.
const COMMANDS: Record<string, Command> = {
  demo: async (args) => (await import("./demo/main.ts")).runDemo(args),
  plan: async (args) => interruptible((await import("./plan/plan.ts")).runPlan, args),
  show: async (args) => interruptible((await import("./show/show.ts")).runShow, args),
  with: async (args) => (await import("./with/with.ts")).runWith(args),
};
/** Exit codes of a process that a signal ends, as shells have them. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Runs a command line, whose output goes to the streams of this process.
 * @returns the exit code.
 */
export async function runCommand(args: string[]): Promise<number> {
  // An option may stand before the command.
  const [name = "", ...more] = args[0] === "--json" ? optionLast(args) : args;
  try {
    return await run(name, more);
  } catch (error) {
    const help = Object.hasOwn(COMMANDS, name) ? `portwarden ${name} --help` : "portwarden --help";
    return tellFailure(error, wantsJson(args), help);
  }
}

function optionLast([option = "", ...args]: string[]): string[] {
  return args.length === 0 ? ["", option] : [...args, option];
}

async function run(name: string, args: string[]): Promise<number> {
  if (name === "--help" || name === "-h" || name === "help") {
    const [about, more] = args;
    if (more !== undefined) throw new BadInput(`portwarden ${name} is about one command`);
    if (about !== undefined) return run(about, ["--help"]);
    writeText(helpText(HELP));
    return 0;
  }
  if (name === "--version" || name === "-v") {
    if (args.includes("--json")) writeJson({ version: version() });
    else writeText(version());
    return 0;
  }
  if (name.startsWith("--json=")) throw new BadInput("--json takes no value, and stands alone");
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) return command(args);
  const known = [...Object.keys(COMMANDS), "--help", "--version"];
  if (name === "") throw new BadInput(`a command is needed: ${known.join(", ")}`);
  throw new BadInput(`there is no command ${show(name)}; known are ${known.join(", ")}`);
}

/** For a command that has nothing to close: a signal ends it between two of its steps. */
function interruptible(command: Command, args: string[]): Promise<number> {
  for (const [signal, code] of Object.entries(SIGNALS))
    process.once(signal, () => process.exit(code));
  return command(args);
}

/**
 * The version of the package, from package.json two folders above, for this source and for the
 * published file.
 */
function version(): string {
  const path = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}
