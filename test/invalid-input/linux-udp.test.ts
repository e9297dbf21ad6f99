// Bad input of UDP sockets: refused by name, and nothing has changed.

import { expect, test } from "vitest";
import { expectRefused } from "../api/linux/fixture.ts";
import { type Fixture, onBuilds, REMOTE } from "../api/linux-udp/fixture.ts";
import { wrong } from "./fixture.ts";

type Act = (fixture: Fixture) => unknown;

const TYPE = "ERR_INVALID_ARG_TYPE";
const VALUE = "ERR_INVALID_ARG_VALUE";
const OUT = "ERR_OUT_OF_RANGE";
const ADDRESS = "ERR_INVALID_IP_ADDRESS";
const PORT = "ERR_SOCKET_BAD_PORT";

/** Sockets of the story: free, bound, connected, gone. */
const [FREE, BOUND, CONNECTED, GONE] = [0, 1, 2, 3] as const;

const MISTAKES: readonly (readonly [name: string, code: string, says: string, act: Act])[] = [
  ["type raw", VALUE, '"tcp" or "udp"', make({ type: "raw" })],
  ["type UDP", VALUE, '"tcp" or "udp"', make({ type: "UDP" })],
  ["type 17", VALUE, '"tcp" or "udp"', make({ type: 17 })],
  ["type null", VALUE, '"tcp" or "udp"', make({ type: null })],
  ["reuseAddr 1", TYPE, "reuseAddr", make({ type: "udp", reuseAddr: 1 })],
  ["a device below 0", OUT, "bindToDevice", make({ type: "udp", bindToDevice: -1 })],
  ["an unknown option", VALUE, "reusePort", make({ type: "udp", reusePort: true })],
  ["a group by its path", TYPE, "group", make({ type: "udp", group: "/" })],
  ["reuseAddr set to 1", TYPE, "reuseAddr", setting("reuseAddr", 1)],
  ["group set to a path", TYPE, "group", setting("group", "/a")],

  ["bind: no address", ADDRESS, "address", on(FREE, "bind", "localhost", 2000)],
  ["bind: a boolean", TYPE, "address", on(FREE, "bind", true, 2000)],
  ["bind: a zone", ADDRESS, "bindToDevice", on(FREE, "bind", "fe80::1%2", 0)],
  ["bind: port 65536", PORT, "port", on(FREE, "bind", "", 65_536)],
  ["bind: port -1", PORT, "port", on(FREE, "bind", "", -1)],
  ["bind: port 1.5", PORT, "port", on(FREE, "bind", "", 1.5)],
  ["bind: port NaN", PORT, "port", on(FREE, "bind", "", Number.NaN)],
  ["bind: port as text", TYPE, "port", on(FREE, "bind", "", "2000")],
  ["bind when bound: no address", ADDRESS, "address", on(BOUND, "bind", "x", 2000)],

  ["connect: nowhere", VALUE, "address", on(FREE, "connect", "", 53)],
  ["connect: any", VALUE, "address", on(CONNECTED, "connect", "0.0.0.0", 53)],
  ["connect: no address", ADDRESS, "address", on(FREE, "connect", "1.2.3", 53)],
  ["connect: port 0", PORT, "port", on(FREE, "connect", REMOTE, 0)],
  ["connect: port 65536", PORT, "port", on(CONNECTED, "connect", REMOTE, 65_536)],
  ["connect: no port", TYPE, "port", on(FREE, "connect", REMOTE)],
  ["connect: options null", TYPE, "options", on(FREE, "connect", REMOTE, 53, null)],
  ["connect: unknown", VALUE, "local", on(FREE, "connect", REMOTE, 53, { local: "10.0.0.1" })],
  ["connect: offset -1", OUT, "offset", on(FREE, "connect", REMOTE, 53, { offset: -1 })],
  ["connect: offset 2^32", OUT, "offset", on(BOUND, "connect", REMOTE, 53, { offset: 2 ** 32 })],
  ["connect: offset text", TYPE, "offset", on(FREE, "connect", REMOTE, 53, { offset: "1" })],
  ["connect: from nowhere", ADDRESS, "localAddress", on(FREE, ...from("here"))],
  ["connect when bound: from nowhere", ADDRESS, "localAddress", on(BOUND, ...from("here"))],
  ["connect when connected: from true", TYPE, "localAddress", on(CONNECTED, ...from(true))],

  ["close: null", TYPE, "options", on(BOUND, "close", null)],
  ["close: timeWait 1", TYPE, "timeWait", on(CONNECTED, "close", { timeWait: 1 })],
  ["close: unknown", VALUE, "linger", on(BOUND, "close", { linger: 1 })],
  ["close: the future", OUT, "timestamp", on(CONNECTED, "close", { timeWait: true, timestamp: 1 })],

  ["bind when gone", "EBADF", "socket", on(GONE, "bind", "", 0)],
  ["connect when gone", "EBADF", "socket", on(GONE, "connect", REMOTE, 53)],
  ["listen when gone", "EBADF", "socket", on(GONE, "listen")],
  ["reuseAddr when gone", "EBADF", "socket", setting("reuseAddr", true, GONE)],
  ["group when gone", "EBADF", "socket", setting("group", undefined, GONE)],
];

onBuilds((open) => {
  test.each(MISTAKES)("%s: %s", (_name, code, says, act) => {
    const s = open();
    s.socket();
    s.bound("10.0.0.1", 2000);
    s.toRemote();
    s.bound("", 2005).close();
    expectRefused(s, () => act(s), { code, says });
  });

  test("after the system has closed, sockets are gone", () => {
    const s = open();
    const sockets = [s.socket(), s.bound("", 2000), s.toRemote()];
    s.ports.close();
    for (const socket of sockets) {
      expect(socket).toMatchObject({ type: "udp", port: 0, address: "", state: "gone" });
      const acts = [
        () => socket.bind("", 0),
        () => socket.connect(REMOTE, 53),
        () => socket.listen(),
      ];
      for (const act of acts) expect(act).toThrow(/^EBADF: the system of ports/);
      socket.close();
    }
  });
});

function make(options: object): Act {
  return ({ ports }) => ports.socket(wrong(options));
}

function on(which: number, word: string, ...rest: readonly unknown[]): Act {
  return ({ sockets }) => {
    const socket = wrong<Record<string, (...rest: readonly unknown[]) => unknown>>(sockets[which]);
    return socket[word]?.(...rest);
  };
}

function from(localAddress: unknown): [string, ...unknown[]] {
  return ["connect", REMOTE, 53, { localAddress }];
}

function setting(name: string, value: unknown, which: number = BOUND): Act {
  return ({ sockets }) => {
    wrong<Record<string, unknown>>(sockets[which])[name] = value;
  };
}
