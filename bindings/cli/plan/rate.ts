// The highest rate: as many connections per second as there are ports, each busy for as long as a
// connection lives and its port cools down.

import { TIME_WAIT_MS } from "../../node/connector/connector-options.ts";
import { counted, figure } from "../../node/connector/words.ts";
import type { HostState } from "../../node/host/host-state.ts";
import { seconds } from "../output.ts";
import { COOLDOWN_MOST, type Load, meanOf, portsOf, reservedIn, withoutHeadroom } from "./load.ts";
import { leftToOthers } from "./others.ts";

const TIME_WAIT_S = TIME_WAIT_MS / 1000;

/** How many connections per second find a port, for as long as one likes. */
interface Rate {
  readonly load: Load;
  readonly host: HostState;
  /** Ports that each source has for each destination. */
  readonly ports: number;
  /** Seconds that a connection keeps its port from others, at most. */
  readonly busy: number;
  /** Connections per second; `Infinity` where ports are free at once. */
  readonly rate: number;
  /**
   * The same in plain Node with `localAddress`, where a port serves one destination and stays in
   * TIME_WAIT.
   */
  readonly plain: { readonly ports: number; readonly busy: number; readonly rate: number };
}

/** Answers for a load whatever its rate. */
export function rateOf(load: Load, host: HostState): Rate {
  const { sources, destinations, lifetime, cooldown } = load;
  const [ports, plainPorts] = [portsOf(load), portsOf(withoutHeadroom(load))];
  const busy = meanOf(lifetime) + cooldown * COOLDOWN_MOST;
  const plainBusy = meanOf(lifetime) + (cooldown === 0 ? 0 : TIME_WAIT_S);
  return {
    ...{ load, host, ports, busy },
    rate: ports === 0 ? 0 : (sources * destinations * ports) / busy,
    plain: {
      ports: sources * plainPorts,
      busy: plainBusy,
      rate: (sources * plainPorts) / plainBusy,
    },
  };
}

/** Names that stay as they are: programs read them. */
export function rateDocument({ load, host, ports, busy, rate, plain }: Rate): object {
  const total = ports * load.sources * load.destinations;
  return {
    highestRate: rate,
    busySeconds: busy,
    ports: { perPair: ports, total, reserved: reservedIn(load) },
    leftToOthers: leftToOthers(load, host),
    plainNode: {
      highestRate: plain.rate,
      busySeconds: plain.busy,
      ports: plain.ports,
    },
  };
}

/** The answer, for people: one line. */
export function rateText({ load, ports, busy, rate, plain }: Rate): string {
  const total = counted(ports * load.sources * load.destinations, "port");
  const wait = load.cooldown === 0 ? "" : `, TIME_WAIT ${seconds(TIME_WAIT_S)}`;
  return (
    `At most ${shown(rate)} connections/s: ${total}, each busy for up to ${seconds(busy)} ` +
    `(plain Node: ${shown(plain.rate)}${wait}).`
  );
}

/** Rounded down: so many do find a port. */
function shown(rate: number): string {
  return figure(rate >= 10 ? Math.floor(rate) : rate);
}
