// Others: the ports left to programs that let the kernel pick, beside a connector that uses all of
// its own.

import { figure } from "../../node/connector/words.ts";
import type { HostState } from "../../node/host/host-state.ts";
import { rangeUse } from "../../node/host/use.ts";
import { type Load, passedOver } from "./load.ts";

/** Ports of this host's range that no connection of the load takes, and how many it has. */
export function leftToOthers(load: Load, host: HostState): { ports: number; of: number } {
  const { range, reserved, available } = rangeUse(host);
  const over = passedOver(load);
  let ports = available;
  for (let port = range.first; port <= range.last; port++) {
    const isOurs = port >= load.range.first && port <= load.range.last && !over.has(port);
    if (isOurs && !reserved.has(port)) ports--;
  }
  return { ports, of: available };
}

/** The same in words. */
export function othersText({ load, host }: { load: Load; host: HostState }): string {
  const { ports, of } = leftToOthers(load, host);
  const how = ports === 0 ? "their connect() fails then (--headroom)" : "whatever the destination";
  return (
    `Programs of this host that let the kernel pick have ${figure(ports)} of its ${figure(of)} ports ` +
    `left beside a connector that uses all of its own: ${how}.`
  );
}
