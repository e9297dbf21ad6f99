// Connections whose device has changed, so that what they send gets no answer, or a reset.

import { describe, expect, test } from "vitest";
import { LinuxPorts, type LinuxSocket } from "../../../bindings/index.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";

const REPEATED_MS = 102_200;

/** A listener, and a connection to it from port 5000 by each of its clients. */
class System {
  readonly linux: LinuxPorts = LinuxPorts.open();
  readonly server: LinuxSocket = this.linux.socket({ reuseAddr: true });

  constructor() {
    this.server.bind("127.0.0.1", 6000);
    this.server.listen();
  }

  connect(): readonly [client: LinuxSocket, accepted: LinuxSocket] {
    const client = this.linux.socket({ reuseAddr: true });
    client.bind("127.0.0.1", 5000);
    client.connect("127.0.0.1", 6000);
    return [client, this.server.accept()];
  }

  /** What is left of connections without a socket. */
  get gone(): readonly string[] {
    const all = [...this.linux.sockets()].filter(({ id }) => id === 0);
    return all.map(({ state, port }) => `${state} ${port}`);
  }
}

describe("a connection of a device beside a newer one without, of the same ends", () => {
  const DEVICE = 1;

  /**
   * On port 5001; the one without is in TIME_WAIT, and the other one if `isClosed`. Before them
   * another one without a device has come, on port 5000.
   */
  function systemWith(isClosed: boolean): LinuxPorts {
    const linux = LinuxPorts.open({ portRange: { first: 5000, last: 5001 } });
    const server = linux.socket({ reuseAddr: true });
    server.bind("127.0.0.1", 6000);
    server.listen();
    linux.socket().connect("127.0.0.1", 6000);
    const of = linux.socket({ reuseAddr: true, bindToDevice: DEVICE });
    expect(of.connect("127.0.0.1", 6000)).toBe(5001);
    if (isClosed) of.close();
    const without = linux.socket({ reuseAddr: true });
    expect(without.connect("127.0.0.1", 6000)).toBe(5001);
    without.close();
    expect(linux.stats().timeWait).toBe(isClosed ? 2 : 1);
    return linux;
  }

  function named(linux: LinuxPorts, bindToDevice = DEVICE): LinuxSocket {
    const socket = linux.socket({ reuseAddr: true, bindToDevice });
    socket.bind("", 5001);
    return socket;
  }

  test("keeps others of the device away while it lives, also where the newer one is in TIME_WAIT", () => {
    using linux = systemWith(false);
    expect(() => named(linux).connect("127.0.0.1", 6000)).toThrow("EADDRNOTAVAIL");
    verifyLinux(linux);
  });

  test("gives its own place to another of the device where both are in TIME_WAIT", () => {
    using linux = systemWith(true);
    expect(named(linux).connect("127.0.0.1", 6000)).toBe(5001);
    expect(linux.stats().timeWait).toBe(1);
    verifyLinux(linux);
    // What is left is the one without a device, whose place is taken by one like it.
    expect(named(linux, 0).connect("127.0.0.1", 6000)).toBe(5001);
    expect(linux.stats().timeWait).toBe(0);
    verifyLinux(linux);
  });
});

describe("a connection that shares its tuple with a newer one", () => {
  test("gets no answer to its FIN, and keeps its port without a TIME_WAIT", () => {
    const system = new System();
    const { linux } = system;
    const [first, accepted] = system.connect();
    first.bindToDevice = 1;
    const [second] = system.connect();
    expect([first.state, accepted.state, second.state]).toEqual([
      ...["established", "closed", "established"],
    ]);
    first.shutdown();
    expect(first.state).toBe("fin-wait-1");
    first.close();
    second.close({ reset: true });
    expect(system.gone).toEqual(["fin-wait-1 5000"]);
    expect(linux.stats()).toMatchObject({ timeWait: 0, sockets: 1 });
    expect(() => linux.socket().bind("127.0.0.1", 5000)).toThrow("EADDRINUSE");

    using restored = LinuxPorts.restore(linux.snapshot());
    for (const one of [linux, restored]) {
      one.setTime(REPEATED_MS - 1);
      expect(one.expireTimeWait()).toBe(0);
      one.setTime(REPEATED_MS);
      expect(one.expireTimeWait()).toBe(1);
      expect(one.socket().bind("127.0.0.1", 5000)).toBe(5000);
    }
    linux.close();
  });

  test("gets a reset once the newer one has gone", () => {
    const system = new System();
    const [first] = system.connect();
    first.bindToDevice = 1;
    const [second] = system.connect();
    second.close({ reset: true });
    first.shutdown();
    expect(first.state).toBe("closed");
    first.close();
    expect(system.gone).toEqual([]);
    system.linux.close();
  });
});

describe("a connection by another device than loopback", () => {
  test("hears nothing, and is not heard", () => {
    const system = new System();
    const [client, accepted] = system.connect();
    client.bindToDevice = 2;
    accepted.shutdown();
    expect([client.state, accepted.state]).toEqual(["established", "closed"]);
    client.close();
    expect(system.gone).toEqual(["fin-wait-1 5000"]);
    system.linux.close();
  });

  test("gets no answer to its last FIN either", () => {
    const system = new System();
    const [client, accepted] = system.connect();
    accepted.close();
    client.bindToDevice = 2;
    client.shutdown();
    expect(client.state).toBe("last-ack");
    client.close();
    expect(system.gone).toEqual(["fin-wait-2 6000", "last-ack 5000"]);
    expect(system.linux.stats().timeWait).toBe(1);
    system.linux.close();
  });

  test("is reset alone", () => {
    const system = new System();
    const [client, accepted] = system.connect();
    accepted.bindToDevice = 2;
    client.close({ reset: true });
    expect(accepted.state).toBe("established");
    system.linux.close();
  });
});
