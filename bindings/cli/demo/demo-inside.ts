// Inside: the demo's process within the network namespace that the demo has made for it.

import { readlinkSync } from "node:fs";
import { endWithParent } from "../../node/host/namespace.ts";
import { tellFailure } from "../failure.ts";
import { outcome, watchStreams } from "../output.ts";
import type { DemoOptions } from "./options.ts";
import { show } from "./show.ts";

const [options = "", outside] = process.argv.slice(2);
// It sets the network's port range, which must not be that of the machine.
if (outside === undefined || readlinkSync("/proc/self/ns/net") === outside) {
  throw new Error("This is started by portwarden demo, in a network namespace of its own");
}
endWithParent();
watchStreams();
process.exitCode = outcome(await main(JSON.parse(options) as DemoOptions));

async function main(options: DemoOptions): Promise<number> {
  try {
    return await show(options, { inside: true });
  } catch (error) {
    return tellFailure(error, options.json, "portwarden demo --help");
  }
}
