// Failure: how a command that cannot do what it was asked tells so, to people and to programs.

import { PortError } from "../errors.ts";
import { BadInput, CannotRun } from "./args.ts";
import { writeJson } from "./output.ts";

/**
 * Tells what was thrown on the standard error output; with `--json` also as the one document of the
 * standard output, so that there always is one.
 * @param help the command line that says what would be understood.
 * @returns the exit code.
 * @throws whatever is a mistake of ours, so that it shows where.
 */
export function tellFailure(error: unknown, isJson: boolean, help: string): number {
  const isTold = [BadInput, CannotRun, PortError].some((known) => error instanceof known);
  if (!(error instanceof Error && isTold)) throw error;
  const { message } = error;
  const exitCode = error instanceof BadInput ? 2 : 1;
  const more = exitCode === 2 ? `\nSee ${help}.` : "";
  process.stderr.write(`portwarden: ${message}${more}\n`);
  if (isJson) writeJson({ error: { message, exitCode } });
  return exitCode;
}
