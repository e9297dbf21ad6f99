// The random comparison itself: a reference model with a fault is found out, and the report says the
// seed and little else.

import { expect, test } from "vitest";
import { ReferenceUdp, type UdpAnswer, type UdpSocket } from "../../models/reference-udp.ts";
import { wage } from "./campaign.ts";

const FAULTS: readonly (readonly [name: string, model: typeof ReferenceUdp])[] = [
  ["devices keep nobody apart", judging((owner, socket) => ({ ...socket, device: owner.device }))],
  ["SO_REUSEADDR of the newcomer does", judging((_, socket) => ({ ...socket, reuse: true }))],
  [
    "connect() judges at the address that it will have",
    class extends ReferenceUdp {
      override connect(socket: UdpSocket, local?: string, offset?: number): UdpAnswer {
        const before = socket.address;
        if (socket.port === 0) socket.address = local ?? this.localAddress;
        const answer = super.connect(socket, local, offset);
        if (typeof answer !== "number") socket.address = before;
        return answer;
      }
    },
  ],
  [
    "connect() leaves the address at any",
    class extends ReferenceUdp {
      override connect(socket: UdpSocket, _local?: string, offset?: number): UdpAnswer {
        return super.connect(socket, "", offset);
      }
    },
  ],
  [
    "connect() takes the address anew",
    class extends ReferenceUdp {
      override connect(socket: UdpSocket, local?: string, offset?: number): UdpAnswer {
        if (socket.state === "connected") socket.address = local ?? this.localAddress;
        return super.connect(socket, local, offset);
      }
    },
  ],
  [
    "reserved ports are refused to those who name them",
    class extends ReferenceUdp {
      override isTaken(socket: UdpSocket, address: string, port: number): boolean {
        return this.reserved.has(port) || super.isTaken(socket, address, port);
      }
    },
  ],
  [
    "bind() draws once more",
    class extends ReferenceUdp {
      constructor(draw: () => number) {
        super(() => draw() + 0 * draw());
      }
    },
  ],
];

test.each(FAULTS)("a model in which %s is found out", (_name, model) => {
  const newModel = (draw: () => number): ReferenceUdp => new model(draw);
  const { report = "" } = wage({ seed: 11, build: "release", operations: 10_000, newModel });
  const [, seed, left] = /^seed (\d+), \d+ operations shortened to (\d+)\n/.exec(report) ?? [];
  expect(Number(seed)).toBeGreaterThanOrEqual(11);
  expect(Number(left)).toBeLessThan(12);
  expect(report).toMatch(/: expected .*, got /);
  const again = wage({ seed: Number(seed), build: "release", operations: 1, newModel });
  expect(again.report).toBe(report);
});

/** A model that judges another socket than the one that asks. */
function judging(other: (owner: UdpSocket, socket: UdpSocket) => UdpSocket): typeof ReferenceUdp {
  return class extends ReferenceUdp {
    override isInTheWay(owner: UdpSocket, socket: UdpSocket, address: string): boolean {
      return super.isInTheWay(owner, other(owner, socket), address);
    }
  };
}
