// Code of the caller's that runs in the middle of a call: draws, and getters of options. It may
// close any object: no call is half done then, and no socket gets what another asked for.

import { expect, test } from "vitest";
import { LinuxPorts, type LinuxSocket } from "../../../bindings/index.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";
import { codeOf } from "../../invalid-input/fixture.ts";
import { modulesFor } from "../../support/builds.ts";

/** A system whose draws do something, once it has been said what. */
function drawing() {
  const acts: (() => void)[] = [];
  const random = (): number => {
    for (const act of acts) act();
    return 1;
  };
  const linux = LinuxPorts.open({ ...modulesFor("debug"), random });
  return { linux, onDraw: (act: () => void) => acts.push(act) };
}

const SEARCHES: readonly [string, (socket: LinuxSocket) => unknown][] = [
  ["bind()", (socket) => socket.bind("", 0)],
  ["listen()", (socket) => socket.listen()],
  ["connect()", (socket) => socket.connect("192.0.2.1", 80)],
];

test.each(SEARCHES)(
  "a draw of %s that closes the socket gives no socket a port",
  (_name, search) => {
    const { linux, onDraw } = drawing();
    const socket = linux.socket();
    const others: LinuxSocket[] = [];
    onDraw(() => {
      socket.close();
      others.push(linux.socket());
    });
    expect(codeOf(() => search(socket))).toBe("EBADF");
    expect(others.map(({ port }) => port)).toEqual([0]);
    verifyLinux(linux);
  },
);

test("a draw of a UDP socket that closes it gives no socket a port", () => {
  const { linux, onDraw } = drawing();
  const socket = linux.socket({ type: "udp6" });
  onDraw(() => socket.close());
  expect(codeOf(() => socket.bind("", 0))).toBe("EBADF");
  verifyLinux(linux);
});

test.each(SEARCHES)(
  "a draw of %s that closes the system leaves the others alone",
  (_name, search) => {
    const { linux, onDraw } = drawing();
    onDraw(() => linux.close());
    expect(codeOf(() => search(linux.socket()))).toBe("EBADF");
    const other = LinuxPorts.open(modulesFor("debug"));
    expect(other.socket().bind("", 8080)).toBe(8080);
    verifyLinux(other);
  },
);

test("a draw of bind() that binds the socket refuses the first call", () => {
  const { linux, onDraw } = drawing();
  const socket = linux.socket();
  onDraw(() => socket.bind("", 8080));
  expect(codeOf(() => socket.bind("", 0))).toBe("EINVAL");
  expect(socket.port).toBe(8080);
  verifyLinux(linux);
});

test("a getter of close() that closes ends the socket once", () => {
  const linux = LinuxPorts.open(modulesFor("debug"));
  const [one, other] = [linux.socket(), linux.socket()];
  for (const socket of [one, other]) socket.connect("192.0.2.1", 80);
  const closing = (close: () => void) => ({
    get reset() {
      close();
      return true;
    },
  });
  one.close(closing(() => one.close()));
  verifyLinux(linux);
  other.close(closing(() => linux.close()));
  expect(LinuxPorts.open(modulesFor("debug")).socket().bind("", 8080)).toBe(8080);
});

test("a getter of a new socket's options that closes the system is found out", () => {
  const linux = LinuxPorts.open(modulesFor("debug"));
  const localPortRange = {
    get first() {
      linux.close();
      return 1;
    },
    last: 9,
  };
  expect(codeOf(() => linux.socket({ localPortRange }))).toBe("EBADF");
});

test("an address may be bytes or a number, and a port must be given", () => {
  using linux = LinuxPorts.open(modulesFor("debug"));
  const holder = linux.socket();
  expect(holder.bind(0x7f000001, 8080)).toBe(8080);
  expect(holder.address).toBe("127.0.0.1");
  const socket = linux.socket();
  expect(() => socket.bind(Uint8Array.of(127, 0, 0, 1), 8080)).toThrow("tcp4 127.0.0.1:8080");
  expect(() => socket.connect(0x7f000001, 9)).toThrow("ECONNREFUSED");
  expect(codeOf(() => socket.bind(8080, undefined as never))).toBe("ERR_INVALID_ARG_TYPE");
  expect(codeOf(() => socket.connect("192.0.2.1", undefined as never))).toBe(
    "ERR_INVALID_ARG_TYPE",
  );
  const six = linux.socket({ type: "tcp6" });
  six.bind(new Uint8Array(16), 9000);
  expect(six.name).toEqual({ address: "::", port: 9000 });
  const mapped = linux.socket({ type: "tcp6" });
  mapped.bind(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1), 9001);
  expect(mapped.address).toBe("::ffff:10.0.0.1");
});
