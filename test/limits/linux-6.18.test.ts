// Memory limits of LinuxPorts: at each limit every call is done as a whole or refused, and has
// changed nothing then; and all memory comes back.

import { describe, expect, test } from "vitest";
import { LinuxPorts, type LinuxSocket, PortError } from "../../bindings/index.ts";
import { verifyLinux } from "../../bindings/linux/system.ts";
import { setting } from "../invalid-input/fixture.ts";
import { BUILDS, modulesFor } from "../support/builds.ts";

/**
 * From where nothing fits to where all does; what is between differs by less than a small block.
 */
const LIMITS = Array.from({ length: 160 }, (_, index) => 8192 + index * 104);

describe.each(BUILDS)("%s build", (build) => {
  test("each call succeeds or changes nothing, at every limit, and memory comes back", () => {
    const refused = new Map<string, number>();
    for (const memoryLimit of LIMITS) sweep(memoryLimit, refused);
    for (const call of ["socket", "bind", "listen", "connect", "close", "option"]) {
      expect(refused.get(call), call).toBeGreaterThan(0);
    }
  });

  function sweep(memoryLimit: number, refused: Map<string, number>): void {
    using linux = LinuxPorts.open({
      ...{ memoryLimit, seed: 1, addresses: ["10.0.0.1"], tcpTwReuseDelay: 1, tcpTwReuse: 1 },
      ...modulesFor(build),
    });
    const atOpen = linux.stats().memory.used;
    const open: LinuxSocket[] = [];
    const attempt = <T>(what: string, call: () => T): T | undefined => {
      const before = pictureOf(linux, open);
      try {
        return call();
      } catch (error) {
        if (!(error instanceof PortError)) throw error;
        if (error.code !== "ENOBUFS") return undefined;
        refused.set(what, (refused.get(what) ?? 0) + 1);
        expect(pictureOf(linux, open), `${what}, limit ${memoryLimit}`).toBe(before);
        return undefined;
      }
    };
    const make = (options: Parameters<LinuxPorts["socket"]>[0]) => {
      const socket = attempt("socket", () => linux.socket(options));
      if (socket !== undefined) open.push(socket);
      return socket;
    };
    for (let round = 0; round < 12; round++) {
      const server = make({ reusePort: round % 2 === 0, reuseAddr: true });
      if (server === undefined) continue;
      attempt("bind", () => server.bind(`127.0.0.${1 + (round % 3)}`, 5000 + (round & 6) * 300));
      attempt("listen", () => server.listen());
      attempt("option", setting(server, { bindToDevice: round % 3 }));
      const client = make({ type: round % 3 === 0 ? "tcp6" : "tcp4" });
      if (client === undefined) continue;
      attempt("connect", () =>
        client.connect(client.type === "tcp6" ? "::ffff:10.0.0.1" : "192.0.2.1", 443 + round),
      );
      attempt("close", () => client.shutdown());
      if (client.state === "fin-wait-2") attempt("close", () => client.receive("fin"));
      const datagram = make({ type: "udp4", reusePort: true });
      if (datagram === undefined) continue;
      attempt("bind", () => datagram.bind("", 7000));
      attempt("option", setting(datagram, { reuseAddr: round % 2 === 0 }));
      linux.setTime(round * 10);
    }
    verifyLinux(linux);
    for (const socket of open) socket.close({ reset: true });
    linux.setTime(1_000_000);
    linux.expireTimeWait();
    verifyLinux(linux);
    expect(linux.stats()).toMatchObject({ buckets: 0, sockets: 0, timeWait: 0 });
    expect(linux.stats().memory.used, `limit ${memoryLimit}`).toBe(atOpen);
  }
});

/** All that can be seen of a system and its sockets. */
function pictureOf(linux: LinuxPorts, sockets: readonly LinuxSocket[]): string {
  const { buckets, sockets: owning, timeWait } = linux.stats();
  const told = sockets.map(({ name, port, state, reuseAddr, bindToDevice }) => [
    ...[name.address, name.port, port, state, reuseAddr, bindToDevice],
  ]);
  return JSON.stringify([buckets, owning, timeWait, told]);
}
