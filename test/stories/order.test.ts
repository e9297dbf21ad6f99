// Order: which holder came first does not matter to the last request. The same holders are
// set up in every order, and every question about them has one answer.

import { expect, test } from "vitest";
import { FIXTURES } from "../support/fixture.ts";
import { askOf, UDP, type Who } from "../support/story.ts";

const ONE = "9.9.9.9:443";

/** Holders that tuples put there, so that none of them can refuse another. */
const CASTS: readonly (readonly Who[])[] = [
  [
    { flags: 7 },
    { address: "10.0.0.1", flags: 3 },
    { address: "10.0.0.2", flags: 6 },
    { device: 1, flags: 5 },
  ],
  [
    { address: "10.0.0.1", device: 1, flags: 1 },
    { address: "10.0.0.1", device: 2, flags: 2 },
    { address: "10.0.0.2", to: ONE, flags: 4 },
    { address: "10.0.0.3", to: ":80" },
  ],
  [
    { address: "10.0.0.1", to: ONE, flags: 4 },
    { address: "10.0.0.1", to: "9.9.9.9:444", flags: 6 },
    { address: "10.0.0.1", to: ":443", flags: 5 },
    { to: ONE, flags: 2 },
  ],
];

const QUESTIONS: readonly Who[] = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((flags) =>
  ["", "10.0.0.1", "10.0.0.2"].flatMap((address) =>
    [0, 1, 2].flatMap((device) =>
      [":0", ":443", ONE, "8.8.8.8:1"].map((to) => ({ flags, address, device, to })),
    ),
  ),
);

test.each(FIXTURES)("%s: every order of the same holders answers the same", (_name, open) => {
  for (const cast of CASTS) {
    const answers = ordersOf(cast).map((order) => {
      const system = open();
      for (const who of order) system.tuple(askOf({ ...who, transport: UDP }), 80);
      const free = QUESTIONS.map((who) =>
        system.isAvailable(askOf({ ...who, transport: UDP }), 80),
      );
      system.verify();
      system.close();
      return free.map(Number).join("");
    });
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toMatch(/0.*1|1.*0/);
  }
});

function ordersOf<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((first, index) => {
    const others = items.filter((_, other) => other !== index);
    return ordersOf(others).map((rest) => [first, ...rest]);
  });
}
