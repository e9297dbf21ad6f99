// Connect baselines: what portwarden's connections are held against. One Set or bitmap for each
// destination, resolved beforehand as a pool is, and the reference model.

import { IPV4, TCP, UDP } from "../../bindings/index.ts";
import {
  ReferencePortManager,
  type ReferenceRequest,
} from "../../test/models/reference-manager.ts";
import { JsBitmap } from "../baselines/js-bitmap.ts";
import { JsSet } from "../baselines/js-set.ts";
import { FIRST } from "../harness/workloads.ts";
import {
  ADDRESS,
  type ConnectTaker,
  chunked,
  destinationOf,
  type Way,
  type Workload,
} from "./connect-order.ts";

/** A probe looks at every destination that holds the port, so what it takes is long. */
export function reference(workload: Workload): ConnectTaker {
  const { way, destinations: all, range, offsets } = workload;
  const manager = new ReferencePortManager();
  manager.setPortRange(FIRST, FIRST + range - 1);
  const requests = Array.from({ length: all }, (_, index) => referenceRequest(way, index));
  const picks = new Uint16Array(offsets.length);
  let request = requests[0] as ReferenceRequest;
  const test = (port: number): boolean => {
    request.port = port;
    return manager.reservePort(request, 0) === port;
  };
  let hint = 0;
  const connect = (offset: number): number => {
    request.port = 0;
    if (way === "udp0") return manager.reservePort(request, offset);
    if (way === "random") return manager.pickEphemeralPort(offset, test);
    return manager.pickEphemeralPortStable((offset - hint++) >>> 0, test);
  };
  return {
    system: "reference",
    take(first, end, destinations = all) {
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          request = requests[index] as ReferenceRequest;
          picks[round + index] = connect(offsets[round + index] as number);
        }
      }
    },
    hold(first, end, like) {
      for (let at = first; at < end; at++) {
        request = requests[at % all] as ReferenceRequest;
        request.port = picks[at] = like.portAt(at);
        manager.reserveTuple(request);
      }
    },
    free(first, end, destinations = all) {
      let freed = 0;
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          request = requests[index] as ReferenceRequest;
          request.port = picks[round + index] as number;
          if (manager.releasePort(request)) freed++;
        }
      }
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => {},
  };
}

function referenceRequest(way: Way, index: number): ReferenceRequest {
  return {
    networks: [IPV4],
    transport: way === "udp0" ? UDP : TCP,
    address: ADDRESS,
    port: 0,
    flags: 0,
    device: 0,
    destination: destinationOf(index),
  };
}

export function jsSet({ destinations: all, range, offsets }: Workload): ConnectTaker {
  const sets = Array.from({ length: all }, () => new JsSet(FIRST, FIRST + range - 1));
  const picks = new Uint16Array(offsets.length);
  return {
    system: "js-set",
    take(first, end, destinations = all) {
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          const at = round + index;
          picks[at] = (sets[index] as JsSet).take(offsets[at] as number);
        }
      }
    },
    free(first, end, destinations = all) {
      let freed = 0;
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          if ((sets[index] as JsSet).free(picks[round + index] as number)) freed++;
        }
      }
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => {},
  };
}

export function jsBitmap({ destinations: all, range, offsets }: Workload): ConnectTaker {
  const bitmaps = bitmapsOf(all, range);
  const picks = new Uint16Array(offsets.length);
  return {
    system: "js-bitmap",
    take(first, end, destinations = all) {
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          const at = round + index;
          picks[at] = (bitmaps[index] as JsBitmap).take(offsets[at] as number);
        }
      }
    },
    free(first, end, destinations = all) {
      let freed = 0;
      for (let round = first; round < end; round += all) {
        for (let index = 0; index < destinations; index++) {
          if ((bitmaps[index] as JsBitmap).free(picks[round + index] as number)) freed++;
        }
      }
      return freed;
    },
    portAt: (place) => picks[place] as number,
    close: () => {},
  };
}

export function jsBitmapBatch(workload: Workload): ConnectTaker {
  const bitmaps = bitmapsOf(workload.destinations, workload.range);
  const { chunksOf, portAt } = chunked(workload);
  return {
    system: "js-bitmap batch",
    take(first, end) {
      for (const { index, ports, from } of chunksOf(first, end)) {
        (bitmaps[index] as JsBitmap).takeMany(ports, from);
      }
    },
    free(first, end) {
      let freed = 0;
      for (const { index, ports } of chunksOf(first, end)) {
        freed += (bitmaps[index] as JsBitmap).freeMany(ports);
      }
      return freed;
    },
    portAt,
    close: () => {},
  };
}

function bitmapsOf(destinations: number, range: number): JsBitmap[] {
  return Array.from({ length: destinations }, () => new JsBitmap(FIRST, FIRST + range - 1));
}
