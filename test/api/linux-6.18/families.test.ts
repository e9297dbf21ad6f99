// Sockets of IPv6 that connect over IPv4, as real ones of Linux 6.18 do.

import { describe, expect, test } from "vitest";
import { LinuxPorts } from "../../../bindings/index.ts";
import { verifyLinux } from "../../../bindings/linux/system.ts";

const PORT = 5000;
const V4 = "::ffff:127.0.0.1";

test.each([
  ["tcp4", 0],
  ["udp4", PORT],
] as const)("a %s socket has no way to a mapped address, nor to another of IPv6", (type, port) => {
  using linux = LinuxPorts.open({ portRange: { first: PORT, last: PORT } });
  for (const address of [V4, "::ffff:0.0.0.0", "::", "::1"]) {
    const socket = linux.socket({ type });
    expect(() => socket.connect(address, 443)).toThrow("EAFNOSUPPORT");
    // A UDP socket has a port before its peer is looked at.
    expect(socket.name.port).toBe(port);
    socket.close();
  }
});

describe("an IPv6 socket that connects over IPv4", () => {
  test("has 127.0.0.6 where bind() had given it an address of IPv6, and no port", () => {
    using linux = LinuxPorts.open({ portRange: { first: PORT, last: PORT } });
    const socket = linux.socket({ type: "tcp6", bindAddressNoPort: true });
    socket.bind("2001:db8::1", 0);
    expect(() => socket.connect(V4, 443)).toThrow("ENETUNREACH");
    expect(socket.name).toEqual({ address: "2001:db8::1", port: 0 });
    socket.v6only = false;
    expect(() => socket.connect(V4, 443)).toThrow("ECONNREFUSED");
    expect(socket.name).toEqual({ address: "::ffff:127.0.0.6", port: PORT });
  });

  test.each([
    ["tcp6", 0],
    ["udp6", PORT],
  ] as const)(
    "of %s has no way to any address over IPv4 where IPV6_V6ONLY came after bind()",
    (type, port) => {
      using linux = LinuxPorts.open({ portRange: { first: PORT, last: PORT } });
      const socket = linux.socket({ type, bindAddressNoPort: true });
      socket.bind(V4, 0);
      socket.v6only = true;
      expect(() => socket.connect("::", 443)).toThrow("ENETUNREACH");
      expect(socket.name).toEqual({ address: V4, port });
    },
  );

  test("gets no answer over IPv6 from then on, until no port is found over IPv4", () => {
    using linux = LinuxPorts.open({ portRange: { first: PORT, last: PORT } });
    const server = linux.socket({ type: "tcp6" });
    server.bind("::1", 443);
    server.listen();
    const socket = linux.socket({ type: "tcp6" });
    expect(() => socket.connect(V4, 443)).toThrow("ECONNREFUSED");
    expect(() => socket.connect("::1", 443)).toThrow("ETIMEDOUT");

    const holder = linux.socket();
    holder.bind("127.0.0.1", PORT);
    expect(() => socket.connect(V4, 443)).toThrow("EADDRNOTAVAIL");
    holder.close();
    expect(socket.connect("::1", 443)).toBe(PORT);
  });

  test.each(["::ffff:0.0.0.0", V4])(
    "has another address than connect() left it, to %s",
    (target) => {
      using linux = LinuxPorts.open();
      const server = linux.socket();
      server.bind("127.0.0.1", 443);
      server.listen();
      const socket = linux.socket({ type: "tcp6", bindAddressNoPort: true });
      socket.bind("::ffff:127.0.0.5", 0);
      socket.bind("::", PORT);
      expect(() => socket.connect("::1", 443)).toThrow("ECONNREFUSED");
      expect(socket.name).toEqual({ address: "::1", port: PORT });
      socket.connect(target, 443);
      expect(socket.name).toEqual({ address: V4, port: PORT });
      verifyLinux(linux);
    },
  );

  test("hears IPv6 if the one over IPv4 is the second", () => {
    using linux = LinuxPorts.open();
    const socket = linux.socket({ type: "tcp6" });
    for (const address of ["::1", "::1", V4, V4]) {
      expect(() => socket.connect(address, 443)).toThrow("ECONNREFUSED");
    }
  });
});
