// Explicit: ports that are named, one after the other, each reserved and released at once; and two
// neighbours of that, accepted tuples and a pick that reserves nothing. The workloads are those of
// gVisor's recorded figures.

import { IPV4, IPV6, PortManager, TCP } from "../../bindings/index.ts";
import { ReferencePortManager } from "../../test/models/reference-manager.ts";
import { JsTable } from "../baselines/js-table.ts";
import type { Benchmark } from "../harness/benchmarks.ts";
import { ADDRESS, referenceRequest } from "../harness/requests.ts";
import type { Contender, Place, Stage } from "../harness/setup.ts";
import { FIRST, LAST } from "../harness/workloads.ts";
import {
  contender,
  dualWords,
  handles,
  jsTable,
  type Named,
  REFUSED,
  reference,
  refusedWords,
  words,
} from "./named.ts";

const OTHER_ADDRESS = "10.9.0.1";
const PEER = "10.200.0.1";
const ANY = "";

/** gVisor itself, in ns: medians of seven runs of its Go code on another machine. */
const GVISOR: Readonly<Record<string, number>> = {
  "empty/one-port": 1206,
  "empty/10k-ports": 1214,
  "empty/dual-stack-any": 2292,
  "held-10000/free-port": 1399,
  "held-10000/port-held-by-other-addr": 1198,
  "held-10000/refused": 212,
  "held-100000/free-port": 2091,
  "held-100000/port-held-by-other-addr": 1626,
  "held-100000/refused": 240,
  "tuple/reserve+release": 1214,
  "pickStable/always-true": 7,
};

export const explicitBenchmark: Benchmark = {
  title: "reserve + release of ports that are named",
  run: (stage) => {
    onePort(stage);
    manyPorts(stage);
    dualStackAny(stage);
    for (const count of [10000, 100000]) {
      freePort(stage, count);
      heldByOther(stage, count);
      refused(stage, count);
    }
    tuples(stage);
    stablePicks(stage);
  },
};

// ── Named ports ───────────────────────────────────────────────────────────────────────────

function onePort(stage: Stage): void {
  const named: Named = { address: ADDRESS, ports: new Uint16Array(1000).fill(8080), held: 0 };
  const ours = words(named);
  const model = reference(named, [4]);
  const all = [ours, handles(named, [IPV4]), jsTable(named), model];
  const measured = stage.compare(placeOf("empty/one-port"), all);
  keepRecorded(stage, "empty/one-port");
  const name = "explicit/empty/one-port: words, times faster than reference";
  stage.judge({ name, value: measured.ratio(model, ours), atLeast: 3 });
}

function manyPorts(stage: Stage): void {
  const named: Named = { address: ADDRESS, ports: rising(stage, 20000), held: 0 };
  compareNamed(stage, "empty/10k-ports", named, words(named));
}

/** Any address meets all others, and the JS table does not know that: it is not asked. */
function dualStackAny(stage: Stage): void {
  const row = "empty/dual-stack-any";
  const named: Named = { address: ANY, ports: new Uint16Array(1000).fill(8080), held: 0 };
  const both = [IPV4, IPV6];
  stage.compare(placeOf(row), [dualWords(named), handles(named, both), reference(named, both)]);
  keepRecorded(stage, row);
}

function freePort(stage: Stage, count: number): void {
  const held = heldOf(stage, count);
  const named: Named = { address: OTHER_ADDRESS, ports: rising(stage, 50001), held };
  compareNamed(stage, `held-${count}/free-port`, named, words(named));
}

function heldByOther(stage: Stage, count: number): void {
  const held = heldOf(stage, count);
  const named: Named = { address: OTHER_ADDRESS, ports: rising(stage, 1), held };
  compareNamed(stage, `held-${count}/port-held-by-other-addr`, named, words(named));
}

function refused(stage: Stage, count: number): void {
  const held = heldOf(stage, count);
  const named: Named = { address: ADDRESS, ports: rising(stage, 1), held };
  compareNamed(stage, `held-${count}/refused`, named, refusedWords(named));
}

function compareNamed(stage: Stage, row: string, named: Named, ours: Contender): void {
  stage.compare(placeOf(row), [
    ours,
    handles(named, [IPV4]),
    jsTable(named),
    reference(named, [4]),
  ]);
  keepRecorded(stage, row);
}

/** 10,000 ports from one on; in a tiny run no more than are held. */
function rising({ smoke }: Stage, first: number): Uint16Array {
  return Uint16Array.from({ length: smoke ? 100 : 10000 }, (_, index) => first + index);
}

function heldOf({ smoke }: Stage, count: number): number {
  return smoke ? count / 100 : count;
}

function placeOf(row: string): Place {
  return { bench: "explicit", row };
}

function keepRecorded(stage: Stage, row: string): void {
  stage.keepOne(placeOf(row), "gvisor (recorded)", GVISOR[row] as number);
}

// ── Tuples, and picks that reserve nothing ────────────────────────────────────────────────

/** Nothing else is held, so whatever a tuple needs is made and dropped with it each time. */
function tuples(stage: Stage): void {
  const row = "tuple/reserve+release";
  const ports = rising(stage, 1);
  stage.compare(placeOf(row), [tupleWords(ports), tupleTable(ports), tupleReference(ports)]);
  keepRecorded(stage, row);
}

function tupleWords(ports: Uint16Array): Contender {
  const manager = PortManager.open();
  const reserve = (port: number): number => {
    const reservation = manager.reserveTuple({
      networks: [IPV4],
      transport: TCP,
      address: ADDRESS,
      port: 443,
      destination: { address: PEER, port },
    });
    reservation.release();
    return port;
  };
  return contender("words", ports.length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) reserve(ports[index] as number);
    },
    once: (index) => reserve(ports[index] as number),
    close: () => manager.close(),
  });
}

function tupleTable(ports: Uint16Array): Contender {
  const table = new JsTable(FIRST, LAST);
  const reserve = (port: number): number => {
    const destination = { address: PEER, port };
    const request = { network: 4, transport: 6, address: ADDRESS, port: 443, destination };
    if (table.reserve(request) < 0) return REFUSED;
    table.release(request);
    return port;
  };
  return contender("js-bitmap", ports.length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) reserve(ports[index] as number);
    },
    once: (index) => reserve(ports[index] as number),
  });
}

function tupleReference(ports: Uint16Array): Contender {
  const model = new ReferencePortManager();
  const reserve = (port: number): number => {
    const request = referenceRequest(443, { destination: { address: PEER, port } });
    if (!model.reserveTuple(request)) return REFUSED;
    model.releasePort(request);
    return port;
  };
  return contender("reference", ports.length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) reserve(ports[index] as number);
    },
    once: (index) => reserve(ports[index] as number),
  });
}

function stablePicks(stage: Stage): void {
  const row = "pickStable/always-true";
  const length = stage.smoke ? 100 : 10000;
  const manager = PortManager.open();
  const model = new ReferencePortManager();
  const always = (): boolean => true;
  const ours = contender("words", length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) manager.pickEphemeralPortStable(index, always);
    },
    once: (index) => manager.pickEphemeralPortStable(index, always),
    close: () => manager.close(),
  });
  const theirs = contender("reference", length, {
    loop: (from, to) => {
      for (let index = from; index < to; index++) model.pickEphemeralPortStable(index, always);
    },
    once: (index) => model.pickEphemeralPortStable(index, always),
  });
  stage.compare(placeOf(row), [ours, theirs]);
  keepRecorded(stage, row);
}
