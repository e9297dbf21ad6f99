// Inside: the demo's process within the network namespace that the demo has made for it.

import { readlinkSync } from "node:fs";
import { endWithParent } from "../../node/host/namespace.ts";
import { tellFailure } from "../failure.ts";
import { outcome, watchStreams } from "../output.ts";
import type { Wishes } from "./options.ts";
import { show } from "./show.ts";

const [wishes = "", outside] = process.argv.slice(2);
// It sets the network's port range, which must not be that of the machine.
if (outside === undefined || readlinkSync("/proc/self/ns/net") === outside) {
  throw new Error("This is started by portwarden demo, in a network namespace of its own");
}
endWithParent();
watchStreams();
process.exitCode = outcome(await main(JSON.parse(wishes) as Wishes));

async function main(wished: Wishes): Promise<number> {
  try {
    return await show(wished, { inside: true });
  } catch (error) {
    return tellFailure(error, wished.json, "portwarden demo --help");
  }
}
