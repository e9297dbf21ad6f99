// Flags of the very same key: which holders may have a port together.

import { counts, holds, refuses, releases, story, UDP } from "../support/story.ts";

const ALL = [0, 1, 2, 3, 4, 5, 6, 7];

for (const first of ALL) {
  const friends = ALL.filter((flags) => (flags & first) !== 0);
  const strangers = ALL.filter((flags) => (flags & first) === 0);

  story(`a holder with flags ${first} refuses a request with none of them`, [
    holds({ port: 80, flags: first }),
    ...strangers.map((flags) => refuses({ port: 80, flags })),
  ]);

  for (const friend of friends) {
    story(`flags ${first} and ${friend} share, and then only what both have`, [
      holds({ port: 80, transport: UDP, flags: first }),
      holds({ port: 80, transport: UDP, flags: friend }),
      counts(1, 1, 2),
      ...ALL.filter((flags) => (flags & first & friend) === 0).map((flags) =>
        refuses({ port: 80, transport: UDP, flags }),
      ),
      holds({ port: 80, transport: UDP, flags: first & friend }),
    ]);
  }
}

story("bits are matched, not compared: both flags pass against either", [
  holds({ port: 80, flags: 3 }),
  holds({ port: 80, flags: 1 }),
  refuses({ port: 80, flags: 2 }),
  releases({ port: 80, flags: 1 }),
  holds({ port: 80, flags: 2 }),
]);

story("without flags a port is held alone", [
  ...ALL.slice(1).flatMap((flags) => [
    holds({ port: 80, flags }),
    refuses({ port: 80 }),
    releases({ port: 80, flags }),
  ]),
  holds({ port: 80 }),
  ...ALL.map((flags) => refuses({ port: 80, flags })),
]);

story("TupleOnly lets the very same tuple through: it is counted twice", [
  holds({ port: 80, to: "9.9.9.9:443", flags: 4 }),
  holds({ port: 80, to: "9.9.9.9:443", flags: 4 }),
  counts(1, 1, 2),
  releases({ port: 80, to: "9.9.9.9:443", flags: 4 }),
  counts(1, 1, 1),
  refuses({ port: 80, to: "9.9.9.9:443" }),
]);

story("a thousand holders share a port, and each counts", [
  ...Array.from({ length: 1000 }, () => holds({ port: 80, flags: 2 })),
  counts(1, 1, 1000),
  refuses({ port: 80, flags: 1 }),
]);
