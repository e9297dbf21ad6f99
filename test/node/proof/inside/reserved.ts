// What the connector takes for reserved where the kernel's list is long: prints how many ports
// were set, how many are read, and how many ports of the kernel's range are left to a pair.

import { writeFileSync } from "node:fs";
import { ReservedPorts } from "../../../../bindings/index.js";
import { readHostState } from "../../../../bindings/node/host/host-state.js";
import { createConnector } from "../../../../bindings/node/index.js";

/** How many ports a long list has, each for itself. */
const COUNT = 3000;

export interface LongList {
  readonly set: number;
  readonly read: number;
  readonly bytes: number;
  readonly perPair: number;
}

const ports = Array.from({ length: COUNT }, (_, index) => 40_000 + 2 * index);
writeFileSync("/proc/sys/net/ipv4/ip_local_reserved_ports", ports.join());
const reserved = readHostState().reserved ?? "";
const connector = createConnector({ sources: "127.0.0.2", skipUsed: false, headroom: 0 });
const { perPair } = connector.capacity();
const list: LongList = {
  set: COUNT,
  read: new ReservedPorts(reserved).size,
  bytes: reserved.length,
  perPair,
};
process.stdout.write(JSON.stringify(list));
