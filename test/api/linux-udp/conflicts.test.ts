// Stories of sockets that share a UDP port: every pair, and what SO_REUSEADDR changes later.

import { expect, test } from "vitest";
import type { PortError } from "../../../bindings/errors.ts";
import { caught } from "../../invalid-input/fixture.ts";
import { expectRefused } from "../linux/fixture.ts";
import { onBuilds, REMOTE } from "./fixture.ts";

const ADDRESSES = ["", "10.0.0.1", "10.0.0.2", "2001:db8::1"];
const DEVICES = [0, 1, 2];
const REUSE = { reuseAddr: true };
const TAKEN = { code: "EADDRINUSE", reason: "port-in-use", syscall: "bind" };

interface Holder {
  readonly address: string;
  readonly device: number;
  readonly reuse: boolean;
}

const HOLDERS: readonly Holder[] = ADDRESSES.flatMap((address) =>
  DEVICES.flatMap((device) => [true, false].map((reuse) => ({ address, device, reuse }))),
);

onBuilds((open) => {
  const inOneSystem = "devices, addresses and SO_REUSEADDR decide whether two sockets conflict";
  test(`${inOneSystem}, whichever comes first`, () => {
    const s = open({ portRange: { first: 2000, last: 2000 } });
    let pairs = 0;
    for (const owner of HOLDERS) {
      const { ports } = s;
      const { address, device, reuse } = owner;
      const options = { type: "udp", bindToDevice: device, reuseAddr: reuse } as const;
      using held = ports.socket(options);
      held.bind(address, 2000);
      for (const other of HOLDERS) {
        const request = { bindToDevice: other.device, reuseAddr: other.reuse } as const;
        const asks = [
          ["EADDRINUSE", () => ports.socket({ ...request, type: "udp" }), other.address, 2000],
          ["EADDRINUSE", () => ports.socket({ ...request, type: "udp" }), other.address, 0],
          ["EAGAIN", () => ports.socket({ ...request, type: "udp" }), "", undefined],
        ] as const;
        for (const [refusal, make, at, port] of asks) {
          using socket = make();
          const way = { localAddress: other.address || "127.0.0.1", offset: 0 };
          const answer = caught(() =>
            port === undefined ? socket.connect(REMOTE, 53, way) : socket.bind(at, port),
          );
          const inTheWay = isInTheWay(owner, { ...other, address: at });
          const told = `${JSON.stringify(owner)}, then ${JSON.stringify(other)} by ${port}`;
          if (inTheWay) expect((answer as PortError).code, told).toBe(refusal);
          else expect(socket.port, told).toBe(2000);
          pairs += 1;
        }
      }
      s.verify();
    }
    expect(pairs).toBe(3 * HOLDERS.length ** 2);
  });

  test("each owner of a port is asked, not only the first", () => {
    const s = open();
    s.bound("10.0.0.1", 2000, { ...REUSE, bindToDevice: 1 });
    s.bound("10.0.0.1", 2000, { bindToDevice: 2 });
    s.bound("10.0.0.2", 2000, REUSE);
    const any = s.socket(REUSE);
    expectRefused(s, () => any.bind("", 2000), { ...TAKEN, says: "the port is taken: udp *:2000" });
    expectRefused(s, () => any.bind("10.0.0.1", 2000), TAKEN);
    expect(any.bind("10.0.0.2", 2000)).toBe(2000);
    s.bound("", 2000, { ...REUSE, bindToDevice: 1 });
    expectRefused(s, () => s.sockets[0]?.bind("", 2001), { code: "EINVAL" });
  });

  test("any number of sockets with SO_REUSEADDR share one address and port", () => {
    const s = open();
    for (let count = 0; count < 50; count++) s.bound("10.0.0.1", 2000, REUSE);
    for (let count = 0; count < 50; count++) s.bound("", 2000, REUSE);
    expect(s.ports.stats()).toMatchObject({ sockets: 100, buckets: 0 });
    const last = s.socket();
    expectRefused(s, () => last.bind("10.0.0.1", 2000), TAKEN);
    for (const socket of s.sockets.slice(0, 99)) socket.close();
    expectRefused(s, () => last.bind("10.0.0.1", 2000), TAKEN);
    s.sockets[99]?.close();
    expect(last.bind("10.0.0.1", 2000)).toBe(2000);
  });

  test("SO_REUSEADDR that is cleared later keeps others out, and the sockets that share stay", () => {
    const s = open();
    const [one, two] = [s.bound("", 2000, REUSE), s.bound("", 2000, REUSE)];
    one.reuseAddr = false;
    s.verify();
    const socket = s.socket(REUSE);
    expectRefused(s, () => socket.bind("", 2000), TAKEN);
    expect(two).toMatchObject({ port: 2000, reuseAddr: true });
    one.close();
    expect(socket.bind("", 2000)).toBe(2000);
  });

  test("SO_REUSEADDR of a connected socket counts as that of a bound one", () => {
    const s = open({ portRange: { first: 2000, last: 2000 } });
    const owner = s.toRemote({ offset: 0 }, REUSE);
    expect(s.toRemote({ offset: 0 }, REUSE).port).toBe(2000);
    owner.reuseAddr = false;
    expectRefused(s, () => s.sockets[1]?.bind("", 2000), { code: "EINVAL" });
    const socket = s.socket(REUSE);
    expectRefused(s, () => socket.bind("127.0.0.1", 2000), TAKEN);
    owner.reuseAddr = true;
    expect(socket.bind("127.0.0.1", 2000)).toBe(2000);
  });
});

/** The rule, word by word. */
function isInTheWay(owner: Holder, other: Holder): boolean {
  const devices = owner.device === 0 || other.device === 0 || owner.device === other.device;
  const addresses = owner.address === "" || other.address === "" || owner.address === other.address;
  return devices && addresses && !(owner.reuse && other.reuse);
}
