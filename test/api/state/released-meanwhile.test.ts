// Ports that are released by filter while a tester is asked about them: such a port has no holder
// then, or others, and neither its reservation nor its refusal takes anything from these.

import { describe, expect, test } from "vitest";
import {
  IPV4,
  IPV6,
  PortGroups,
  type PortManager,
  type Reservation,
  type ReserveRequest,
  UDP,
} from "../../../bindings/index.ts";
import { verify } from "../../../bindings/manager.ts";
import { BUILDS, moduleFor, openOn } from "../../support/builds.ts";

const RANGE = { first: 40000, last: 40000 };
const DUAL = { networks: [IPV4, IPV6], transport: UDP };

type Ask = (
  ports: PortManager,
  request: ReserveRequest,
  test: () => boolean,
) => Promise<Reservation> | Reservation;

const WAYS: Record<string, Ask> = {
  "an explicit port": (ports, request, test) =>
    ports.reservePort({ ...request, port: 40000 }, test),
  "any port": (ports, request, test) => ports.reservePort(request, test),
  "a tester that takes its time": (ports, request, test) =>
    ports.reservePortAsync(request, async () => test()),
};

const CASES = BUILDS.flatMap((build) =>
  Object.entries(WAYS).map(([name, ask]) => [build, name, ask] as const),
);

describe.each(CASES)("released by filter meanwhile, %s build, %s", (build, _name, ask) => {
  test("a reservation is released, and its group is not in use", async () => {
    using groups = PortGroups.open(moduleFor(build));
    const group = groups.create("/a");
    using ports = openOn(build, { portRange: RANGE });
    const { used } = ports.stats().memory;
    const lost = await ask(ports, { ...DUAL, group }, () => ports.releaseAll({ port: 40000 }) > 0);
    expect([lost.released, lost.release(), group.uses]).toEqual([true, false, 0]);
    expect(ports.stats()).toMatchObject({ references: 0, memory: { used } });
    const other = ports.reservePort({ ...DUAL, port: 40000 });
    expect([lost.release(), other.released, ports.stats().references]).toEqual([false, false, 2]);
    verify(ports);
  });

  test("a reservation keeps the networks that the filter does not name", async () => {
    using groups = PortGroups.open(moduleFor(build));
    const group = groups.create("/a");
    using ports = openOn(build, { portRange: RANGE });
    const half = await ask(
      ports,
      { ...DUAL, group },
      () => ports.releaseAll({ network: IPV4 }) === 1,
    );
    expect([half.networks, half.released, group.uses]).toEqual([[IPV6], false, 1]);
    const other = ports.reservePort({ ...DUAL, networks: [IPV4], port: 40000 });
    expect([half.release(), other.released, group.uses]).toEqual([true, false, 0]);
    expect(ports.stats().references).toBe(1);
    verify(ports);
  });

  test("a refusal takes nothing from the holder that has the port then", async () => {
    using groups = PortGroups.open(moduleFor(build));
    const group = groups.create("/a");
    using ports = openOn(build, { portRange: RANGE });
    const refused = async (): Promise<void> => {
      await ask(ports, { ...DUAL, group }, () => {
        ports.releaseAll();
        ports.reservePort({ ...DUAL, port: 40000 });
        return false;
      });
    };
    await expect(refused()).rejects.toMatchObject({ code: "EADDRINUSE" });
    const { references, totals } = ports.stats();
    expect([references, totals.taken, group.uses]).toEqual([2, 2, 0]);
    verify(ports);
  });
});
