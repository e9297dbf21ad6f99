// The ports that a connector may use now: its range, as far as its control group allows.

import type { PortGroup, PortRange } from "../../index.ts";
import type { ConnectorSettings } from "./connector-options.ts";

/** `undefined` if the group allows nothing of the range, or has been removed. */
export function effectiveRange({
  portRange,
  group,
}: Pick<ConnectorSettings, "portRange" | "group">): PortRange | undefined {
  if (group === undefined) return portRange;
  const allowed = allowedBy(group);
  if (allowed === undefined) return undefined;
  const first = Math.max(portRange.first, allowed.first);
  const last = Math.min(portRange.last, allowed.last);
  return first <= last ? { first, last } : undefined;
}

function allowedBy(group: PortGroup): PortRange | undefined {
  try {
    return group.effective.connect;
  } catch {
    return undefined;
  }
}
