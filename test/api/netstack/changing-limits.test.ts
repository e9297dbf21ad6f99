// Pools of one description whose reserved lists change under them. At random, and with groups,
// test/fuzz/netstack changes them.

import { describe, expect, test } from "vitest";
import { EXHAUSTED } from "../../../assembly/abi.ts";
import { type PortManager, UDP } from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, openOn } from "../../support/builds.ts";
import { reservedOn } from "./fixture.ts";

const FIRST = 1024;
const LAST = 1407;
const PORT_RANGE = { first: FIRST, last: LAST };
const KEY = { networks: [4], transport: UDP };

describe.each(BUILDS)("%s build", (build) => {
  const open = (): PortManager => openOn(build, { seed: 3, portRange: PORT_RANGE });

  test("a second pool sees the list as it is now, though the first has searched under an older one", () => {
    using manager = open();
    const reserved = reservedOn(build, "5");
    const first = manager.pool({ ...KEY, reserved });
    first.takeMany(new Uint16Array(100), new Uint32Array(100));
    expect(first.take(0)).toBe(1124);
    reserved.text = "1125-1215";
    const second = manager.pool({ ...KEY, reserved });
    const ports = new Uint16Array(8);
    second.takeMany(ports, new Uint32Array(8).fill(70));
    expect([...ports]).toEqual([1216, 1217, 1218, 1219, 1220, 1221, 1222, 1223]);
    reserved.text = "";
    expect(manager.pool({ ...KEY, reserved }).take(100)).toBe(1125);
    verify(manager);
  });

  test("a list that shrinks opens the range to the next request", () => {
    using manager = open();
    const reserved = reservedOn(build, "1088-1407");
    const first = manager.pool({ ...KEY, reserved });
    for (let port = FIRST; port < 1088; port++) first.takeAt(port);
    first.takeAt(1400);
    expect(first.take(0)).toBe(EXHAUSTED);
    reserved.text = "5";
    expect(manager.pool({ ...KEY, reserved }).take(0)).toBe(1088);
    verify(manager);
  });

  test("one pool frees under a list that has changed, and takes as the list says", () => {
    using manager = open();
    const reserved = reservedOn(build, "5");
    const pool = manager.pool({ ...KEY, reserved });
    pool.takeMany(new Uint16Array(100), new Uint32Array(100));
    reserved.text = "1124-1200";
    manager.reservePort({ networks: [6], transport: UDP, port: 9 });
    expect(pool.free(1030)).toBe(true);
    expect(pool.take(60)).toBe(1201);
    expect(pool.take(60)).toBe(1202);
    expect(pool.held).toBe(101);
    verify(manager);
  });
});
