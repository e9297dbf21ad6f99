// `portwarden plan`: loads that come and go, connections that stay open, and the highest rate.

import { describe, expect, test } from "vitest";
import { COOLDOWN_MOST } from "../../bindings/cli/plan/load.ts";
import { readHostState } from "../../bindings/node/host/host-state.ts";
import { json, run, runWith } from "./run.ts";

const ONE = "plan --sources 10.0.0.1 --destinations 1 --reserved 1 --headroom 0";
const BRIEF = `${ONE} --range 40000-40599 --rate 9.5 --lifetime 0.01 --for 200 --files 1000`;
/** This host's own range, where nothing of it is reserved. */
const HOST = readHostState();
const SYSTEM = HOST.reserved === "" ? HOST.portRange : undefined;

async function words(line: string): Promise<string> {
  return (await run(line)).out.replace(/\s+/g, " ");
}

describe("a plan of a rate", () => {
  test("says of plain Node that TIME_WAIT takes 60 s, and no more", async () => {
    // 600 ports, each for 60.01 s, are 9.998 connections per second.
    const { value } = await json(`${BRIEF} --cooldown 60`);
    expect(value.plainNode).toEqual({
      ...{ fits: true, ports: 600, firstRefusal: null, refused: 0, arrivals: 1900 },
    });
    const faster = await json(`${BRIEF.replace("9.5", "10.01")} --cooldown 60`);
    expect(faster.value.plainNode).toMatchObject({ fits: false });
    const { firstRefusal } = faster.value.plainNode as { firstRefusal: number };
    expect(firstRefusal).toBeGreaterThan(59.9);
    expect(firstRefusal).toBeLessThan(60.01);
  });

  test("says of the kernel's connect() when half of the range is used up", async () => {
    const { value } = await json(`${BRIEF} --cooldown 60`);
    expect(value.kernel).toMatchObject({ fits: true, ports: 600, leastLooks: 301 });
    const slower = await json(`${BRIEF.replace("9.5", "4")} --cooldown 60`);
    expect(slower.value.kernel).toMatchObject({ fits: true, leastLooks: 1 });
  });

  test("counts all connections of the time that it is for", async () => {
    const { value } = await json(`${BRIEF} --cooldown 1`);
    expect(value).toMatchObject({ arrivals: 1900, seconds: 200, simulated: { whole: true } });
    const out = await words(`${BRIEF} --cooldown 1`);
    expect(out).toContain("It fits: 1,900 connections");
    expect(out).not.toContain("Simulated in part");
  });

  test("says over what time connections are counted, where that is not all of it", async () => {
    const line = BRIEF.replace("9.5", "5000").replace("--for 200", "--for 20,000");
    const out = await words(`${line} --cooldown 0.05`);
    expect(out).toMatch(
      /Connections are counted over those [\d.]+ m?s\. Other figures are for the/,
    );
  });
});

describe("a plan of connections that are all open at once", () => {
  test("needs neither rate nor lifetime, and says what makes it fit", async () => {
    const line = `${ONE} --connections 200000 --range 32768-60999 --files 1000000`;
    const { code, value } = await json(line);
    expect(code).toBe(1);
    expect(value).toEqual({
      fits: false,
      exhausted: "range",
      connections: 200_000,
      ports: { perPair: 28_232, total: 28_232, reserved: 0 },
      leftToOthers: expect.any(Object),
      files: 1_000_000,
      plainNode: { fits: false, ports: 28_232 },
      changes: [
        { change: "sources", value: 8 },
        { change: "destinations", value: 8 },
      ],
    });
    expect(await words(line)).toContain(
      "It does not fit: 28,232 of 200,000 connections can be open, then every port is in use",
    );
    expect((await json(line.replace("--destinations 1", "--destinations 8"))).code).toBe(0);
  });

  test.runIf(SYSTEM !== undefined)(
    "keeps a tenth of this host's range free by default, and says what others have",
    async () => {
      const line = ONE.replace("--headroom 0", "");
      const { value } = await json(`${line} --connections 1000000 --files 1000000`);
      const ports = (SYSTEM?.last ?? 0) - (SYSTEM?.first ?? 0) + 1;
      const left = Math.floor(ports / 10);
      expect(value).toMatchObject({
        ...{ ports: { perPair: ports - left }, plainNode: { ports } },
        leftToOthers: { ports: left, of: ports },
      });
      const few = await words(`${line} --connections ${ports} --files 1000000`);
      expect(few).toContain(`have ${left.toLocaleString("en")} of its `);
      expect(few).toContain("headroom 0 instead of");
    },
  );

  test.runIf((SYSTEM?.first ?? 0) > 2000)("may lie outside of this host's range", async () => {
    const { value } = await json(`${ONE} --connections 5 --range outside --files 100`);
    const { ports, of } = value.leftToOthers as { ports: number; of: number };
    expect(ports).toBe(of);
  });

  test("is told of files that are too few, and of a wider range", async () => {
    const files = await json(`${ONE} --connections 500 --range 40000-40999 --files 100`);
    expect(files.value).toMatchObject({
      ...{ fits: false, exhausted: "files", changes: [{ change: "files", value: 500 }] },
    });
    const line = `${ONE.replace("--reserved 1", "--reserved 41000-41009")} --connections 1500`;
    const range = await json(`${line} --range 40000-40999 --files 2000`);
    // 500 more, and 10 for those that are reserved.
    expect(range.value.changes).toContainEqual({
      change: "range",
      value: { first: 40_000, last: 41_509 },
    });
  });

  test.each(["rate 1", "lifetime 1", "cooldown 1", "for 1", "seed 1"])(
    "is not understood together with --%s",
    async (option) => {
      const { code, errors } = await run(`${ONE} --connections 5 --${option}`);
      expect(code).toBe(2);
      expect(errors).toContain(`leave --${option.split(" ")[0]} out`);
    },
  );
});

describe("a plan without a load", () => {
  test("says in one line how many connections per second the ports carry", async () => {
    const { code, out } = await run(`${ONE} --range 32768-60999 --cooldown 60`);
    expect(code).toBe(0);
    const rate = Math.floor(28_232 / (60 * COOLDOWN_MOST));
    expect(out).toMatch(
      new RegExp(`^At most ${rate} connections/s: 28,232 ports, each busy for up`),
    );
    expect(out).toMatch(/\(plain Node: 470, TIME_WAIT 60 s\)\.\n$/);
    expect(out.trimEnd()).not.toContain("\n");
  });

  test("counts how long connections are open, sources and destinations", async () => {
    const line = "plan --sources 10.0.0.1-10.0.0.2 --destinations 3 --reserved 1 --lifetime 10";
    const { value } = await json(`${line} --range 40000-40499 --cooldown none`);
    expect(value).toEqual({
      highestRate: 300,
      busySeconds: 10,
      ports: { perPair: 500, total: 3000, reserved: 0 },
      leftToOthers: expect.any(Object),
      plainNode: { highestRate: 100, busySeconds: 10, ports: 1000 },
    });
  });

  test("has no limit where nothing keeps a port", async () => {
    const { value } = await json(`${ONE} --cooldown none`);
    expect(value.highestRate).toBe("unlimited");
  });
});

test.each([["1024 65535"], ["1024\t65535"], [" 1024   65535\n"], ["1024-65535"], ["1024..65535"]])(
  "a range of ports may be written as sysctl prints it: %j",
  async (range) => {
    const { out } = await runWith([...ONE.split(" "), "--range", range, "--json"]);
    expect(JSON.parse(out)).toMatchObject({ ports: { perPair: 64_512 } });
  },
);

test("reserved ports are counted as such", async () => {
  const line = `${ONE.replace("--reserved 1", "--reserved 39999-40009")} --range 40000-40499`;
  const { value } = await json(`${line} --rate 1 --lifetime 1`);
  expect(value.ports).toEqual({ perPair: 490, total: 490, reserved: 10 });
  expect(await words(`${line} --rate 1 --lifetime 1`)).toContain(
    "40000..40499, 10 of it reserved: 490 for each source and destination",
  );
});
