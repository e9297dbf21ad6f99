// Faults: errors of a run. What this machine does not allow is none.

import { counted } from "../../node/connector/words.ts";
import { titleOf } from "./report.ts";
import type { Findings } from "./run.ts";

/** What went wrong, as sentences. */
export function faultsOf({
  capacities,
  fillings,
}: Pick<Findings, "capacities" | "fillings">): string[] {
  return [...capacities, ...fillings].flatMap((course) => {
    const { way, opened, seen, lost, held, strangeErrors } = course;
    const checks: [isFault: boolean, fault: string][] = [
      [strangeErrors.length > 0, `failed with ${strangeErrors.join(", ")}`],
      [lost > 0, `${counted(lost, "connection")} broke while in use`],
      [seen !== opened, `the servers held ${seen} connections, not ${opened}`],
      [held > 0, `${counted(held, "port")} did not come back`],
      [opened === 0, "not one connection was opened"],
    ];
    const wrong = checks.filter(([isFault]) => isFault);
    return wrong.map(([, fault]) => `${titleOf(way)}: ${fault}`);
  });
}
