// Failure: reports the failure of a command, to people and to programs.

import { PortError } from "../errors.ts";
import { BadInput, CannotRun } from "./args.ts";
import { writeJson } from "./output.ts";

/**
 * Writes an error to the standard error output; with `--json` also as the one document of the
 * standard output, so that there always is one.
 * @param help the command line that prints the help.
 * @returns the exit code.
 * @throws any other error, which is a defect, so that its stack shows.
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
