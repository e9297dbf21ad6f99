// What the sockets of a machine mean for new connections: pairs of source and destination, what is
// left for each, and the nearest limit.

import { describe, expect, test } from "vitest";
import { type HostState, readHostState } from "../../bindings/node/host/host-state.ts";
import type { SocketRow, SocketRowState } from "../../bindings/node/host/proc.ts";
import { freshPair, limitsOf, pairsOf, rangeUse, statesOf } from "../../bindings/node/host/use.ts";

// Nothing is known but what a test says.
const EMPTY = readHostState("nowhere");
const RANGE = { first: 40_000, last: 40_099 };

function row(local: string, remote: string, state: SocketRowState = "ESTABLISHED"): SocketRow {
  const [address = "", port] = local.split(" ");
  const [remoteAddress = "", remotePort] = remote.split(" ");
  return { address, port: Number(port), remoteAddress, remotePort: Number(remotePort), state };
}

const TCP = [
  row("0.0.0.0 80", "0.0.0.0 0", "LISTEN"),
  row("10.0.0.1 80", "10.9.0.9 55555"), // accepted
  row("0.0.0.0 40090", "0.0.0.0 0", "LISTEN"), // within the range
  row("10.0.0.1 40000", "10.9.0.1 443"),
  row("10.0.0.1 40001", "10.9.0.1 443"),
  row("10.0.0.1 40002", "10.9.0.1 443", "TIME_WAIT"),
  row("10.0.0.1 40005", "10.9.0.1 443"), // reserved
  row("10.0.0.1 50000", "10.9.0.1 443"), // outside the range
  row("10.0.0.1 40000", "10.9.0.2 443"),
  row("10.0.0.2 40000", "10.9.0.1 443"),
];
const HOST_STATE: HostState = { ...EMPTY, portRange: RANGE, reserved: "40005-40009,1", tcp: TCP };

describe("the use of a machine's ports", () => {
  test("has the range without what is reserved of it", () => {
    expect(rangeUse(HOST_STATE)).toMatchObject({ range: RANGE, available: 95 });
    expect(rangeUse(EMPTY)).toMatchObject({
      range: { first: 32768, last: 60999 },
      available: 28232,
    });
  });

  test("is by source and destination, the busiest first, without accepted connections", () => {
    const all = { transport: "tcp", destinationPort: 443 };
    expect(pairsOf(HOST_STATE, "tcp")).toEqual([
      {
        ...{ ...all, source: "10.0.0.1", destination: "10.9.0.1" },
        ...{ sockets: 5, timeWait: 1, usedInRange: 3, left: 95 - 3 - 1, leftToKernel: 91 },
      },
      {
        ...{ ...all, source: "10.0.0.1", destination: "10.9.0.2" },
        ...{ sockets: 1, timeWait: 0, usedInRange: 1, left: 95 - 1 - 1, leftToKernel: 91 },
      },
      {
        ...{ ...all, source: "10.0.0.2", destination: "10.9.0.1" },
        ...{ sockets: 1, timeWait: 0, usedInRange: 1, left: 95 - 1 - 1, leftToKernel: 91 },
      },
    ]);
    expect(pairsOf(HOST_STATE, "udp")).toEqual([]);
  });

  test("of UDP counts sockets without a peer against every destination", () => {
    const udp = [
      row("10.0.0.1 40001", "0.0.0.0 0", "CLOSE"),
      row("10.0.0.2 40002", "0.0.0.0 0", "CLOSE"),
      row("10.0.0.1 40003", "10.9.0.1 53"),
    ];
    expect(pairsOf({ ...HOST_STATE, udp }, "udp")).toMatchObject([
      { usedInRange: 1, left: 95 - 2, leftToKernel: 92 },
    ]);
  });

  test("tells what a new pair has", () => {
    const remote = { address: "10.9.0.7", port: 80 };
    expect(freshPair(HOST_STATE, "tcp", "10.0.0.7", remote)).toMatchObject({
      ...{ source: "10.0.0.7", destination: "10.9.0.7", destinationPort: 80 },
      ...{ sockets: 0, usedInRange: 0, left: 94, leftToKernel: 91 },
    });
  });

  test("counts states", () => {
    expect(statesOf(TCP)).toEqual({ LISTEN: 2, ESTABLISHED: 7, TIME_WAIT: 1 });
  });
});

describe("the nearest limit", () => {
  test("is that of which least is left", () => {
    const limits = {
      fileLimits: { soft: 50, hard: 100 },
      openFiles: 20,
      tcpMaxTwBuckets: 1000,
    };
    const host = { ...HOST_STATE, ...limits };
    expect(limitsOf(host, pairsOf(host, "tcp"))).toEqual([
      { name: "files", used: 20, limit: 50, left: 30 },
      { name: "ports", used: 4, limit: 95, left: 91 },
      { name: "timeWait", used: 1, limit: 1000, left: 999 },
    ]);
    const spent = { ...host, openFiles: 60 };
    expect(limitsOf(spent, [])[0]).toEqual({ name: "files", used: 60, limit: 50, left: 0 });
  });

  test("is not told where nothing is known", () => {
    expect(limitsOf(EMPTY, [])).toEqual([]);
    expect(limitsOf({ ...HOST_STATE, portRange: undefined }, [])).toEqual([]);
  });
});
