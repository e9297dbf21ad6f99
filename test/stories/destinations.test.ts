// Destinations: which of them meet, and which flags count when they do.

import { TUPLE_ONLY } from "../../assembly/abi.ts";
import { counts, holds, refuses, releases, story } from "../support/story.ts";

const ONE = "9.9.9.9:443";
const TWO = "8.8.8.8:443";

story("two different specific destinations never meet", [
  holds({ port: 80, to: ONE }),
  holds({ port: 80, to: TWO }),
  holds({ port: 80, to: "9.9.9.9:444" }),
  holds({ port: 80, to: "9.9.9.9:0" }),
  refuses({ port: 80, to: ONE }),
  counts(1, 4, 4),
]);

story("a wildcard meets every destination", [
  holds({ port: 80, to: ONE }),
  refuses({ port: 80 }),
  releases({ port: 80, to: ONE }),
  holds({ port: 80 }),
  refuses({ port: 80, to: ONE }),
]);

story("wildcards with different ports are different keys that meet", [
  holds({ port: 80, to: ":80", flags: TUPLE_ONLY }),
  refuses({ port: 80, to: ":443" }),
  refuses({ port: 80 }),
  holds({ port: 80, to: ":443", flags: TUPLE_ONLY }),
  holds({ port: 80, flags: TUPLE_ONLY }),
  counts(1, 3, 3),
]);

story("the port of a wildcard does not narrow what it meets", [
  holds({ port: 80, to: ":80" }),
  refuses({ port: 80, to: "9.9.9.9:443" }),
  refuses({ port: 80, to: "9.9.9.9:80" }),
]);

for (const flags of [1, 2, 3]) {
  story(`a listener with flags ${flags} passes a flagless connection: only TupleOnly is judged`, [
    holds({ port: 80, to: ONE }),
    holds({ port: 80, flags }),
  ]);

  story(`a connection with flags ${flags} passes a flagless listener`, [
    holds({ port: 80 }),
    holds({ port: 80, to: ONE, flags }),
  ]);
}

for (const flags of [0, TUPLE_ONLY]) {
  story(`a listener with flags ${flags} does not pass a flagless connection`, [
    holds({ port: 80, to: ONE }),
    refuses({ port: 80, flags }),
  ]);

  story(`a connection with flags ${flags} does not pass a flagless listener`, [
    holds({ port: 80 }),
    refuses({ port: 80, to: ONE, flags }),
  ]);
}

story("TupleOnly lets listeners and connections have the same port", [
  holds({ port: 80, flags: TUPLE_ONLY }),
  holds({ port: 80, to: ONE, flags: TUPLE_ONLY }),
  holds({ port: 80, to: TWO, flags: TUPLE_ONLY }),
  holds({ port: 80, to: ":80", flags: TUPLE_ONLY }),
  counts(1, 4, 4),
]);

story("one connection without TupleOnly is enough to stop a listener that has nothing else", [
  holds({ port: 80, to: ONE, flags: TUPLE_ONLY }),
  holds({ port: 80, to: TWO, flags: 2 }),
  refuses({ port: 80, flags: TUPLE_ONLY }),
  holds({ port: 80, flags: TUPLE_ONLY | 1 }),
]);

story("of the same destination all flags are judged, of others TupleOnly", [
  holds({ port: 80, to: ":80", flags: 1 }),
  refuses({ port: 80, to: ":80", flags: 2 }),
  holds({ port: 80, to: ":443", flags: 2 }),
  refuses({ port: 80, to: ":80", flags: 6 }),
  holds({ port: 80, to: ":80", flags: 3 }),
]);

story("many destinations are judged at once, however many there are", [
  ...Array.from({ length: 40 }, (_, index) =>
    holds({ port: 80, to: `9.9.9.9:${index + 1}`, flags: 4 }),
  ),
  holds({ port: 80, flags: TUPLE_ONLY }),
  holds({ port: 80, to: "9.9.9.9:7", flags: 4 }),
  counts(1, 41, 42),
  refuses({ port: 80, to: "9.9.9.9:8", flags: 3 }),
  holds({ port: 80, to: "9.9.9.9:41", flags: 6 }),
  ...Array.from({ length: 40 }, (_, index) =>
    releases({ port: 80, to: `9.9.9.9:${index + 1}`, flags: 4 }),
  ),
  counts(1, 3, 3),
]);
