// Connect takers: portwarden at taking a port for one connection after another. What a destination
// needs is resolved beforehand. Each system has loops of its own, so that what one is given does
// not slow down another.

import {
  type Destination,
  IPV4,
  PortManager,
  type PortPool,
  type PortTester,
  type Reservation,
  TCP,
  UDP,
} from "../../bindings/index.ts";
import { FIRST } from "../harness/workloads.ts";
import {
  ADDRESS,
  type ConnectTaker,
  chunked,
  destinationOf,
  type Workload,
} from "./connect-order.ts";

export function handles(workload: Workload): ConnectTaker {
  const { destinations: all, offsets } = workload;
  const manager = managerFor(workload);
  const pools = poolsOf(workload, manager);
  const picks = new Uint16Array(offsets.length);
  return {
    system: "handles",
    take(first, end, destinations = all) {
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          const at = round + index;
          picks[at] = (pools[index] as PortPool).take(offsets[at] as number);
        }
      }
    },
    free(first, end, destinations = all) {
      let freed = 0;
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          if ((pools[index] as PortPool).free(picks[round + index] as number)) freed++;
        }
      }
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => manager.close(),
  };
}

/** The same ports: what one destination takes does not depend on the others. */
export function batch(workload: Workload): ConnectTaker {
  const manager = managerFor(workload);
  const pools = poolsOf(workload, manager);
  const { chunksOf, portAt } = chunked(workload);
  return {
    system: "batch",
    take(first, end) {
      for (const { index, ports, from } of chunksOf(first, end)) {
        (pools[index] as PortPool).takeMany(ports, from);
      }
    },
    free(first, end) {
      let freed = 0;
      for (const { index, ports } of chunksOf(first, end)) {
        freed += (pools[index] as PortPool).freeMany(ports);
      }
      return freed;
    },
    portAt,
    close: () => manager.close(),
  };
}

/** As gVisor's TCP connects: what it would reserve in vain is asked first, because that throws. */
export function words(workload: Workload): ConnectTaker {
  const { way, destinations: all, offsets } = workload;
  const manager = managerFor(workload);
  const targets = Array.from({ length: all }, (_, index) => destinationOf(index));
  const held = new Array<Reservation | undefined>(offsets.length).fill(undefined);
  const networks = [IPV4];
  const transport = way === "udp0" ? UDP : TCP;
  let destination = targets[0] as Destination;
  let reservation: Reservation | undefined;
  const test: PortTester = (port) => {
    // Written out, because a request made by spreading another costs several times as much.
    const request = { networks, transport, address: ADDRESS, port, destination };
    if (!manager.isAvailable(request)) return false;
    reservation = manager.reservePort(request);
    return true;
  };
  // How often the manager's hint has moved on: a stretch that is run again starts where it did.
  let hint = 0;
  const connect = (offset: number): void => {
    if (way === "random") manager.pickEphemeralPort(test, offset);
    else if (way === "stable") manager.pickEphemeralPortStable((offset - hint++) >>> 0, test);
    else {
      const request = { networks, transport, address: ADDRESS, destination, offset };
      reservation = manager.reservePort(request);
    }
  };
  return {
    system: "words",
    take(first, end, destinations = all) {
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          destination = targets[index] as Destination;
          connect(offsets[round + index] as number);
          held[round + index] = reservation;
        }
      }
    },
    hold(first, end, like) {
      for (let at = first; at < end; at++) {
        const port = like.portAt(at);
        const target = targets[at % all] as Destination;
        const request = { networks, transport, address: ADDRESS, port, destination: target };
        held[at] = manager.reservePort(request);
      }
    },
    free(first, end, destinations = all) {
      let freed = 0;
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          if (held[round + index]?.release()) freed++;
        }
      }
      return freed;
    },
    portAt: (place) => held[place]?.port ?? 0,
    close: () => manager.close(),
  };
}

function managerFor({ range }: Workload): PortManager {
  return PortManager.open({ portRange: { first: FIRST, last: FIRST + range - 1 } });
}

function poolsOf({ way, destinations }: Workload, manager: PortManager): PortPool[] {
  return Array.from({ length: destinations }, (_, index) =>
    manager.pool({
      networks: [IPV4],
      transport: way === "udp0" ? UDP : TCP,
      address: ADDRESS,
      destination: destinationOf(index),
      mode: "connect",
    }),
  );
}
