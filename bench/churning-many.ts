// Churning over many flows: as `churning.ts`, and the port that comes is taken by a flow that is
// drawn, too.
//
// For one tenth of the run the first half of the flows takes most ports, then the other half, so
// that short lists become bitmaps and bitmaps short lists: what is given back must serve for both.

import { type Flow, IPV4, PortManager, TCP } from "../bindings/index.ts";
import { SeededRandom } from "../bindings/random.ts";
import { JsBitmap } from "./baselines/js-bitmap.ts";
import { type Churn, churnOf, type Lots, type Size } from "./lots.ts";

const KEY = { networks: [IPV4], transport: TCP, address: "10.0.0.1" } as const;

/** Who holds what: the port `ports[at]` is held by the flow `owners[at]`. */
interface Held {
  readonly ports: Uint16Array;
  readonly owners: Uint16Array;
}

export function churnHandles(size: Size): Churn {
  const manager = PortManager.open({ portRange: size.range });
  const flows = Array.from({ length: size.flows }, (_, index) => {
    const destination = { address: `93.0.${index >> 8}.${index & 255}`, port: 443 };
    return manager.flow({ ...KEY, destination });
  });
  const held = spread(size);
  for (const [at, port] of held.ports.entries()) flows[held.owners[at] as number]?.takeAt(port);
  const run = (lots: Lots): void => runHandles(flows, held, lots);
  return churnOf("handles", size, run, held.ports, manager);
}

function runHandles(flows: readonly Flow[], { ports, owners }: Held, lots: Lots): void {
  const { victims, offsets, takers } = lots;
  for (let at = 0; at < victims.length; at++) {
    const victim = victims[at] as number;
    (flows[owners[victim] as number] as Flow).free(ports[victim] as number);
    const taker = takers[at] as number;
    owners[victim] = taker;
    ports[victim] = (flows[taker] as Flow).take(offsets[at] as number);
  }
}

export function churnBitmaps(size: Size): Churn {
  const { first, last } = size.range;
  const flows = Array.from({ length: size.flows }, () => new JsBitmap(first, last));
  const held = spread(size);
  for (const [at, port] of held.ports.entries()) flows[held.owners[at] as number]?.takeAt(port);
  return churnOf("js-bitmap", size, (lots) => runBitmaps(flows, held, lots), held.ports);
}

function runBitmaps(flows: readonly JsBitmap[], { ports, owners }: Held, lots: Lots): void {
  const { victims, offsets, takers } = lots;
  for (let at = 0; at < victims.length; at++) {
    const victim = victims[at] as number;
    (flows[owners[victim] as number] as JsBitmap).free(ports[victim] as number);
    const taker = takers[at] as number;
    owners[victim] = taker;
    ports[victim] = (flows[taker] as JsBitmap).take(offsets[at] as number);
  }
}

/** Equal shares, each port once in each flow. */
function spread({ range, live, flows }: Size): Held {
  const share = live / flows;
  const count = range.last - range.first + 1;
  const ports = new Uint16Array(live);
  const owners = new Uint16Array(live);
  const random = new SeededRandom(6);
  for (let flow = 0; flow < flows; flow++) {
    const start = random.next() % count;
    for (let index = 0; index < share; index++) {
      // Some ports apart, so that they do not lie side by side in a bitmap.
      ports[flow * share + index] = range.first + ((start + index * 97) % count);
      owners[flow * share + index] = flow;
    }
  }
  return { ports, owners };
}
