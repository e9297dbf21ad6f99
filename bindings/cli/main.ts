#!/usr/bin/env node
// The program `portwarden`: the command that its arguments say, and the exit code of the process.

import { runCommand } from "./command.ts";
import { outcome, watchStreams } from "./output.ts";

watchStreams();
process.exitCode = outcome(await runCommand(process.argv.slice(2)));
