// Line: the same answers as an array that is sorted by position, whoever comes, leaves or is sent to the back.

import fc from "fast-check";
import { expect, test } from "vitest";
import { Line, type Waiter } from "../../bindings/node/connector/wait-queue.ts";
import { newCounts } from "../../bindings/node/metrics/counts.ts";
import { Destination } from "../../bindings/node/sources/pair.ts";

const request = { destination: new Destination(0, "127.0.0.1", 1, newCounts()), source: undefined };

/** What happens, and to which: a new one, one that comes back, or one that leaves. */
const MOVES = fc.array(fc.tuple(fc.constantFrom("new", "back", "leave"), fc.nat({ max: 30 })), {
  maxLength: 120,
});

test("who comes back stands where it stood, and who leaves leaves no gap", () => {
  fc.assert(
    fc.property(MOVES, (moves) => {
      const line = new Line();
      let model: Waiter[] = [];
      const away: Waiter[] = [];
      let tickets = 0;
      for (const [move, at] of moves) {
        const there = model[at % model.length];
        if (move === "new") {
          const waiter = { request, isForFile: false, position: ++tickets, serve: () => true };
          line.join(waiter);
          model.push(waiter);
        } else if (move === "leave" && there !== undefined) {
          expect(line.leave(there)).toBe(true);
          expect(line.leave(there)).toBe(false);
          model.splice(model.indexOf(there), 1);
          away.push(there);
        } else if (move === "back" && away.length > 0) {
          const [waiter] = away.splice(at % away.length, 1) as [Waiter];
          line.join(waiter);
          model = [...model, waiter].sort((a, b) => a.position - b.position);
        }
        expect(line.size).toBe(model.length);
        expect(line.first).toBe(model[0]);
      }
      expect(all(line)).toEqual(model);
    }),
  );
});

test("who is sent behind the others stands there", () => {
  const line = new Line();
  const [one, two] = [1, 2].map((position) => ({
    ...{ request, isForFile: true, position, serve: () => true },
  })) as [Waiter, Waiter];
  line.joinLast(one);
  line.joinLast(two);
  line.leave(one);
  line.joinLast(one);
  expect(all(line)).toEqual([two, one]);
  expect(line.size).toBe(0);
  expect(line.first).toBeUndefined();
});

/** Those in the line, from the front, which empties it. */
function all(line: Line): Waiter[] {
  const found: Waiter[] = [];
  for (let waiter = line.first; waiter !== undefined; waiter = line.first) {
    found.push(waiter);
    line.leave(waiter);
  }
  return found;
}
