// SourceTable: the order of sources and the absence of some, against lists that are sorted each
// time; and that thousands of absent sources cost one connection a bounded number of attempts.

import { connect } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { TCP } from "../../bindings/index.ts";
import type { Dial } from "../../bindings/node/connector/attempt.ts";
import type { Spread } from "../../bindings/node/index.ts";
import { newCounts } from "../../bindings/node/metrics/counts.ts";
import { Destination } from "../../bindings/node/sources/destination.ts";
import { Source } from "../../bindings/node/sources/source.ts";
import { SourceTable } from "../../bindings/node/sources/source-table.ts";
import {
  connectorWith,
  dialled,
  errorOf,
  freshSources,
  reset,
  serve,
} from "../support/connectors.ts";

const COUNT = 12;
const PERIOD = 10;
const STEPS = fc.array(
  fc.tuple(fc.constantFrom("use", "end", "absent", "time"), fc.nat({ max: COUNT - 1 })),
  { maxLength: 150 },
);

function tableOf(spread: Spread): { table: SourceTable; destination: Destination } {
  const sources = Array.from(
    { length: COUNT },
    (_, index) => new Source(`10.0.0.${index + 1}`, index),
  );
  const table = new SourceTable(sources, spread);
  return { table, destination: new Destination(TCP, "10.1.0.1", 80, newCounts()) };
}

test("the least used of the present sources come first, whatever was used and absent before", () => {
  fc.assert(
    fc.property(STEPS, (steps) => {
      const { table, destination } = tableOf("least-used");
      let now = 0;
      for (const [step, index] of steps) {
        const source = table.all[index] as Source;
        if (step === "time") now += index;
        else if (step === "absent") table.leaveOut(source, now + PERIOD);
        else {
          source.heldCount = Math.max(0, source.heldCount + (step === "use" ? 1 : -1));
          table.onUse(source);
        }
        const expected = table.all
          .filter(({ absentUntil }) => absentUntil <= now)
          .sort((a, b) => a.heldCount - b.heldCount || a.index - b.index);
        const order = [...table.orderFor({ destination, source: undefined }, now)];
        expect(order.map(({ address }) => address)).toEqual(expected.map(({ address }) => address));
        expect(table.presentCount(4, now)).toBe(expected.length);
      }
    }),
  );
});

test("each present source has its turn, once in a round", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: COUNT - 1 }), { maxLength: COUNT }), (absent) => {
      const { table, destination } = tableOf("round-robin");
      for (const index of absent) table.leaveOut(table.all[index] as Source, PERIOD);
      const present = table.all.filter(({ absentUntil }) => absentUntil === 0);
      const request = { destination, source: undefined };
      const firsts = present.map(() => [...table.orderFor(request, 0)][0]?.index ?? -1);
      expect(firsts.sort((a, b) => a - b)).toEqual(present.map(({ index }) => index));
      expect(table.presentCount(4, PERIOD)).toBe(COUNT);
    }),
  );
});

test("a source that is wanted is asked alone, and not while it is absent", () => {
  const { table, destination } = tableOf("round-robin");
  const source = table.all[3] as Source;
  const order = (now: number): Source[] => [...table.orderFor({ destination, source }, now)];
  expect(order(0)).toEqual([source]);
  table.leaveOut(source, PERIOD);
  expect([order(PERIOD - 1), order(PERIOD)]).toEqual([[], [source]]);
});

const absentBut =
  (present: string, tried: string[]): Dial =>
  (ends) => {
    tried.push(ends.localAddress);
    if (ends.localAddress === present) return connect(ends);
    const error = new Error(`bind EADDRNOTAVAIL ${ends.localAddress}`);
    throw Object.assign(error, { code: "EADDRNOTAVAIL", syscall: "bind" });
  };

test.each<Spread>(["least-used", "round-robin"])(
  "thousands of absent sources are each met once, and by one connection 1,024 of them: %s",
  async (spread) => {
    const present = freshSources(1)[0] as string;
    const sources = ["10.0.0.1-10.0.7.255", present];
    const connector = connectorWith({ sources, spread, quarantine: 86_400_000 });
    const { to } = await serve();
    const tried: string[] = [];
    const error = await errorOf(dialled(connector, to, absentBut(present, tried)));
    expect(error).toMatchObject({ exhausted: "sources", code: "EADDRNOTAVAIL" });
    expect(error.message).toContain("none of 1,024 sources tried is an address of this machine");
    expect(tried).toHaveLength(1024);
    const socket = await dialled(connector, to, absentBut(present, tried));
    // By turns it may come sooner.
    const { length } = tried;
    expect(length).toBeLessThanOrEqual(2048);
    expect(new Set(tried).size).toBe(length);
    expect(connector.metrics().sourcesDown).toBe(length - 1);
    await reset(socket);
  },
);

test("where no source can be bound, it is sources that limit the capacity", async () => {
  const connector = connectorWith({ sources: freshSources(2), quarantine: 86_400_000 });
  const to = { host: "127.0.0.1", port: 9 };
  expect(connector.capacity()).toMatchObject({ limitedBy: "ports", sources: 2 });
  const error = await errorOf(dialled(connector, to, absentBut("none", [])));
  expect(error).toMatchObject({ exhausted: "sources", capacity: { limitedBy: "sources" } });
  expect(connector.capacity()).toMatchObject({ limitedBy: "sources", sources: 0, connections: 0 });
});
