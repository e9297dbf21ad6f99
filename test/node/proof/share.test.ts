// Sharing ports between destinations: 64 ports, 4 destinations, one source that the program has
// chosen. Plain Node gets 64 connections out of them, portwarden 256, whatever tool asks it.

import { beforeAll, expect, test } from "vitest";
import type { Datagrams } from "./inside/datagrams.ts";
import { METHODS } from "./inside/methods.ts";
import type { Shared } from "./inside/share.ts";
import { describeInside, inside, PORTS } from "./inside.ts";

/** Of datagrams. */
const SOURCE = "127.0.0.2";
const DESTINATIONS = 4;
const ALL = Array.from({ length: PORTS.last - PORTS.first + 1 }, (_, index) => PORTS.first + index);
const PLAIN = ["localAddress alone", "the system's choice"];
const OURS = Object.keys(METHODS).filter((name) => !PLAIN.includes(name));

describeInside("64 ports, 4 destinations", () => {
  let shared: readonly Shared[];
  beforeAll(async () => {
    shared = await inside<Shared[]>("share", ...OURS);
  });

  test.each(OURS.map((method, index) => [method, index] as const))(
    "%s opens 256 connections from the chosen source, without an error",
    (_way, index) => {
      const { source, seen, failures, held, further } = shared[index] as Shared;
      expect(failures).toEqual({});
      const expected = ALL.map((port) => `${source}:${port}`);
      expect(seen.map((who) => [...who].sort())).toEqual(Array(DESTINATIONS).fill(expected));
      expect(held).toEqual([DESTINATIONS * ALL.length, 0]);
      expect(further).toEqual(Array(DESTINATIONS).fill("source"));
    },
  );

  test("dgram binds a socket to each port, and no 65th", async () => {
    const { bound, failures, held } = await inside<Datagrams>("datagrams");
    expect([...bound].sort()).toEqual(ALL.map((port) => `${SOURCE}:${port}`));
    expect(failures).toEqual(["source"]);
    expect(held).toEqual([ALL.length, 0]);
  });

  test("plain Node with localAddress opens 64 connections, then gets EADDRINUSE", async () => {
    const [{ seen, failures }] = await inside<[Shared]>("share", "localAddress alone");
    // If this fails, Node has learned to share ports (IP_BIND_ADDRESS_NO_PORT).
    expect(seen.flat()).toHaveLength(ALL.length);
    expect(seen.flat().sort()).toEqual(ALL.map((port) => `${SOURCE}:${port}`));
    expect(failures).toEqual({ "EADDRINUSE connect": (DESTINATIONS - 1) * ALL.length });
  });

  test("plain Node without localAddress opens 256, but not from the chosen source", async () => {
    const [{ seen, failures }] = await inside<[Shared]>("share", "the system's choice");
    expect(failures).toEqual({});
    expect(seen.flat()).toHaveLength(DESTINATIONS * ALL.length);
    expect(seen.flat().filter((who) => who.startsWith(`${SOURCE}:`))).toEqual([]);
  });
});
