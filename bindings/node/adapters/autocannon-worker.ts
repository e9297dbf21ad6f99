// autocannon-worker: what autocannon loads in each of its workers, by `require`, as the option
// `setupClient` of `autocannonWorkers`. Each worker has a connector with its share of the ports.

import { workerData } from "node:worker_threads";
import { createConnector } from "../connector/connector.ts";
import { autocannonSetup } from "./autocannon.ts";
import { type AutocannonShares, shareOf } from "./autocannon-workers.ts";

const { opts } = workerData as { opts: { portwarden: AutocannonShares } };
const { index, options } = shareOf(opts.portwarden);
const setup: (client: object) => void = autocannonSetup(createConnector(options), {
  // Each worker numbers its clients from 0.
  stickyKey: (client) => `${index} ${client}`,
});

// `require` answers this, not the module's namespace.
export { setup as "module.exports" };
