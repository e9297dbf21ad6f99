// A fixture of random calls on LinuxPorts by the rules of Linux 6.18: the same draws make the same
// calls on any system that holds the same, so that an original and its copy can be compared.

import type { LinuxPorts, LinuxSocket } from "../../../bindings/index.ts";
import { Random } from "../random.ts";
import { answerOf, type SystemFixture } from "../snapshots.ts";

/** A system, its sockets, and the groups that they may be in. */
export type Fixture = SystemFixture<LinuxPorts, LinuxSocket>;

const TYPES = ["tcp4", "tcp4", "tcp4", "tcp6", "udp4", "udp6"] as const;
export const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  4: ["0.0.0.0", "127.0.0.1", "127.0.0.2", "10.0.0.1"],
  6: ["::", "::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"],
};
const REMOTES: Readonly<Record<string, readonly string[]>> = {
  4: ["127.0.0.1", "127.0.0.2", "192.0.2.1", "192.0.2.2"],
  6: ["::1", "2001:db8::9", "::ffff:127.0.0.1", "::ffff:192.0.2.1"],
};
/** Within the range that is searched, so that explicit ports and automatic ones meet. */
export const PORTS: readonly number[] = [80, 5000, 5001, 5002, 5003, 6000];
export const OPTIONS = {
  addresses: ["10.0.0.1", "2001:db8::1"],
  devices: [1, 2],
  portRange: { first: 5000, last: 5007 },
  localAddress: "10.0.0.1",
  unprivilegedPortStart: 1000,
} as const;

/** A call that a seed stands for, and what it answers: a value, or the code of the refusal. */
export function callOnce(fixture: Fixture, seed: number): string {
  const random = new Random(seed);
  const { linux, sockets } = fixture;
  const kind = random.below(100);
  const socket = sockets[random.below(Math.max(1, sockets.length))];
  if (socket === undefined || (kind < 22 && sockets.length < 40)) return open(fixture, random);
  const family = socket.type.slice(-1);
  const address = random.pick(ADDRESSES[family] as string[]);
  const remote = random.pick(REMOTES[family] as string[]);
  const port = random.pick(PORTS);
  const isReset = random.chance(30);
  const calls: readonly (readonly [below: number, call: () => unknown])[] = [
    [40, () => socket.bind(address, random.chance(40) ? 0 : port, random.pick([0, 0, 1000]))],
    [47, () => socket.listen()],
    [63, () => connect(socket, random, remote, port)],
    [68, () => accept(fixture, socket)],
    [71, () => socket.disconnect()],
    [75, () => socket.shutdown()],
    [79, () => socket.receive(isReset ? "reset" : "fin")],
    [84, () => close(fixture, socket, isReset)],
    [86, () => Object.assign(socket, { reuseAddr: isReset })],
    [88, () => Object.assign(socket, { reusePort: isReset })],
    [90, () => Object.assign(socket, { bindToDevice: random.below(3) })],
    [
      91,
      () =>
        Object.assign(socket, { localPortRange: { first: 5000, last: 5000 + random.below(3) } }),
    ],
    [92, () => Object.assign(socket, { group: random.pick(fixture.groups) })],
    [94, () => accepted(fixture, socket.acceptFrom(remote, 1024 + random.below(9), address))],
    [95, () => linux.sysctl.write("net.ipv4.tcp_tw_reuse_delay", `${1 + random.below(3000)}`)],
    [96, () => Object.assign(linux, { tcpTwReuse: random.below(3) })],
    [100, () => pass(linux, random.pick([10, 500, 2000, 30_000, 61_000]))],
  ];
  return answerOf(calls.find(([below]) => kind < below)?.[1] as () => unknown);
}

/** All that can be seen of a system and its sockets. */
export function pictureOf({ linux, sockets }: Fixture): string {
  const { memory: _, ...counts } = linux.stats();
  const names = sockets.map(({ id, name, port, state, localPortRange }) => {
    return [id, name, port, state, localPortRange];
  });
  const buckets = [...PORTS, 5004, 5005, 5006, 5007].map((port) => linux.bindBucket(port));
  return JSON.stringify([counts, names, buckets, [...linux.sockets()], linux.time]);
}

function open(fixture: Fixture, random: Random): string {
  return answerOf(() => {
    const socket = fixture.linux.socket({
      type: random.pick(TYPES),
      uid: random.pick([0, 0, 1000]),
      reuseAddr: random.chance(40),
      reusePort: random.chance(40),
      bindAddressNoPort: random.chance(10),
      bindToDevice: random.chance(20) ? 1 + random.below(2) : 0,
      group: random.pick(fixture.groups),
    });
    fixture.sockets.push(socket);
    return socket.id;
  });
}

function connect(socket: LinuxSocket, random: Random, remote: string, port: number): number {
  const answers = random.pick(["accepts", "accepts", "refuses", "silent"] as const);
  const given = random.chance(50) ? { offset: random.below(8) } : {};
  return socket.connect(remote, port, { remote: answers, ...given });
}

function accept(fixture: Fixture, listener: LinuxSocket): number {
  return accepted(fixture, listener.accept());
}

function accepted(fixture: Fixture, child: LinuxSocket): number {
  fixture.sockets.push(child);
  return child.id;
}

function close(fixture: Fixture, socket: LinuxSocket, isReset: boolean): void {
  socket.close({ reset: isReset });
  fixture.sockets = fixture.sockets.filter((other) => other !== socket);
}

function pass(linux: LinuxPorts, ms: number): number {
  linux.setTime(linux.time + ms);
  return linux.expireTimeWait();
}
