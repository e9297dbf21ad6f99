// WaitQueue: the same answers as an array that is sorted by position.

import fc from "fast-check";
import { expect, test } from "vitest";
import { type Waiter, WaitQueue } from "../../bindings/node/connector/wait-queue.ts";
import { newCounts } from "../../bindings/node/metrics/counts.ts";
import { Destination } from "../../bindings/node/sources/destination.ts";

const request = { destination: new Destination(0, "127.0.0.1", 1, newCounts()), source: undefined };

/** What happens, and to which: a new one, one that comes back, or one that leaves. */
const MOVES = fc.array(fc.tuple(fc.constantFrom("new", "back", "leave"), fc.nat({ max: 30 })), {
  maxLength: 120,
});

test("a waiter that comes back stands where it stood, and one that leaves leaves no gap", () => {
  fc.assert(
    fc.property(MOVES, (moves) => {
      const queue = new WaitQueue();
      let model: Waiter[] = [];
      const away: Waiter[] = [];
      let positions = 0;
      for (const [move, at] of moves) {
        const there = model[at % model.length];
        if (move === "new") {
          const waiter = { request, isForFile: false, position: ++positions, serve: () => true };
          queue.join(waiter);
          model.push(waiter);
        } else if (move === "leave" && there !== undefined) {
          expect(queue.leave(there)).toBe(true);
          expect(queue.leave(there)).toBe(false);
          model.splice(model.indexOf(there), 1);
          away.push(there);
        } else if (move === "back" && away.length > 0) {
          const [waiter] = away.splice(at % away.length, 1) as [Waiter];
          queue.join(waiter);
          model = [...model, waiter].sort((a, b) => a.position - b.position);
        }
        expect(queue.size).toBe(model.length);
        expect(queue.first).toBe(model[0]);
      }
      expect(all(queue)).toEqual(model);
    }),
  );
});

test("a waiter that is sent behind the others stands there", () => {
  const queue = new WaitQueue();
  const [one, two] = [1, 2].map((position) => ({
    ...{ request, isForFile: true, position, serve: () => true },
  })) as [Waiter, Waiter];
  queue.joinLast(one);
  queue.joinLast(two);
  queue.leave(one);
  queue.joinLast(one);
  expect(all(queue)).toEqual([two, one]);
  expect(queue.size).toBe(0);
  expect(queue.first).toBeUndefined();
});

/** Those in the queue, from the front, which empties it. */
function all(queue: WaitQueue): Waiter[] {
  const found: Waiter[] = [];
  for (let waiter = queue.first; waiter !== undefined; waiter = queue.first) {
    found.push(waiter);
    queue.leave(waiter);
  }
  return found;
}
