// Tuples: what an accepted connection takes; only holders of the very same key can refuse it.

import {
  counts,
  holds,
  holdsTuple,
  refuses,
  refusesTuple,
  releases,
  story,
} from "../support/story.ts";

const ONE = "9.9.9.9:443";

story("a tuple passes an exclusive listener of any address", [
  holds({ port: 80 }),
  holdsTuple({ port: 80, address: "10.0.0.1", to: ONE }),
  holdsTuple({ port: 80, to: ONE }),
  counts(1, 3, 3),
]);

story("a tuple passes every device and every wildcard", [
  holds({ port: 80, device: 1 }),
  holds({ port: 80, device: 2, to: ":443" }),
  holdsTuple({ port: 80, device: 1, to: ONE }),
  holdsTuple({ port: 80, device: 2, to: ONE }),
  holdsTuple({ port: 80, to: ONE }),
  holdsTuple({ port: 80 }),
  counts(1, 6, 6),
]);

story("the very same tuple is refused to a request that shares no flag with its holders", [
  holdsTuple({ port: 80, to: ONE, flags: 3 }),
  refusesTuple({ port: 80, to: ONE, flags: 4 }),
  holdsTuple({ port: 80, to: ONE, flags: 1 }),
  refusesTuple({ port: 80, to: ONE, flags: 2 }),
  counts(1, 1, 2),
]);

story("without flags an existing tuple is always refused", [
  ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap((flags) => [
    holdsTuple({ port: 80, to: ONE, flags }),
    refusesTuple({ port: 80, to: ONE }),
    releases({ port: 80, to: ONE, flags }),
  ]),
  holdsTuple({ port: 80, to: ONE }),
]);

story("a listener is in the way of its own key, as a tuple", [
  holds({ port: 80 }),
  refusesTuple({ port: 80 }),
  holdsTuple({ port: 80, to: ":1" }),
]);

story("a tuple of two networks is taken in both, or in none", [
  holdsTuple({ port: 80, networks: [6], to: ONE }),
  refusesTuple({ port: 80, networks: [4, 6], to: ONE }),
  refusesTuple({ port: 80, networks: [6, 4], to: ONE }),
  counts(1, 1, 1),
  holdsTuple({ port: 80, networks: [4], to: ONE }),
]);

story("tuples count when a port is asked for later", [
  holdsTuple({ port: 80, to: ONE, flags: 4 }),
  holdsTuple({ port: 80, to: "9.9.9.9:444" }),
  refuses({ port: 80, flags: 4 }),
  releases({ port: 80, to: "9.9.9.9:444" }),
  holds({ port: 80, flags: 4 }),
]);
