// Releases: they name a key, and take a reference from it, whichever call made it.

import {
  counts,
  holds,
  holdsTuple,
  refuses,
  releases,
  releasesNothing,
  story,
} from "../support/story.ts";

const ONE = "9.9.9.9:443";

story("a release names the very key: another address, device or destination is nothing", [
  holds({ port: 80, address: "10.0.0.1", device: 1, to: ONE }),
  releasesNothing({ port: 80, device: 1, to: ONE }),
  releasesNothing({ port: 80, address: "10.0.0.2", device: 1, to: ONE }),
  releasesNothing({ port: 80, address: "10.0.0.1", to: ONE }),
  releasesNothing({ port: 80, address: "10.0.0.1", device: 1 }),
  releasesNothing({ port: 80, address: "10.0.0.1", device: 1, to: "9.9.9.9:444" }),
  releasesNothing({ port: 81, address: "10.0.0.1", device: 1, to: ONE }),
  releasesNothing({ port: 80, networks: [6], address: "10.0.0.1", device: 1, to: ONE }),
  releasesNothing({ port: 80, transport: 17, address: "10.0.0.1", device: 1, to: ONE }),
  releases({ port: 80, address: "10.0.0.1", device: 1, to: ONE }),
  counts(0, 0, 0),
]);

story("the only reference goes, whatever flags the release has", [
  ...[1, 2, 3, 4, 5, 6, 7].flatMap((flags) => [
    holds({ port: 80, flags }),
    releases({ port: 80, flags: 7 - flags }),
    counts(0, 0, 0),
  ]),
]);

story(
  "a release with other flags leaves the flags of the holder that stays and of the one that went",
  [
    holds({ port: 80, flags: 1 }),
    holds({ port: 80, flags: 1 }),
    // Flags 1 are counted twice and flags 3 minus once: one reference in all, shared as 1.
    releases({ port: 80, flags: 3 }),
    counts(1, 1, 1),
    refuses({ port: 80, flags: 2 }),
    // This one only brings the count of flags 3 back to zero.
    holds({ port: 80, flags: 3 }),
    counts(1, 1, 2),
    releases({ port: 80, flags: 1 }),
    counts(1, 1, 1),
  ],
);

story("a count below zero does not share, and a count of zero neither", [
  holds({ port: 80, flags: 6 }),
  holds({ port: 80, flags: 6 }),
  holds({ port: 80, flags: 6 }),
  releases({ port: 80, flags: 4 }),
  holds({ port: 80, flags: 2 }),
  counts(1, 1, 3),
  refuses({ port: 80, flags: 4 }),
  releases({ port: 80, flags: 2 }),
  holds({ port: 80, flags: 4 }),
  counts(1, 1, 3),
]);

story("a second release takes another holder's reference", [
  holds({ port: 80, flags: 2 }),
  holds({ port: 80, flags: 2 }),
  releases({ port: 80, flags: 2 }),
  releases({ port: 80, flags: 2 }),
  releasesNothing({ port: 80, flags: 2 }),
  counts(0, 0, 0),
]);

story("when the last reference goes, what is below zero goes with it", [
  holds({ port: 80, flags: 1 }),
  holds({ port: 80, flags: 1 }),
  releases({ port: 80, flags: 2 }),
  releases({ port: 80, flags: 4 }),
  counts(0, 0, 0),
  // All is as if nothing had been: flags 2 and 4 start from zero again.
  holds({ port: 80, flags: 2 }),
  refuses({ port: 80, flags: 4 }),
]);

story("one network of two is released alone, and the other later", [
  holds({ port: 80, networks: [4, 6] }),
  releases({ port: 80, networks: [4] }),
  counts(1, 1, 1),
  holds({ port: 80, networks: [4] }),
  refuses({ port: 80, networks: [6] }),
  releases({ port: 80, networks: [6, 4] }),
  counts(0, 0, 0),
]);

story("a release in two networks succeeds where one of them holds", [
  holds({ port: 80, networks: [6] }),
  releases({ port: 80, networks: [4, 6] }),
  releasesNothing({ port: 80, networks: [4, 6] }),
]);

story("a dual-stack bind that is released as an IPv4 one leaks its IPv6 half, as gVisor's does", [
  holds({ port: 80, networks: [6, 4], flags: 2 }),
  releases({ port: 80, networks: [4], flags: 0 }),
  counts(1, 1, 1),
  refuses({ port: 80, networks: [6, 4] }),
  holds({ port: 80, networks: [4] }),
]);

story("flags that change between bind and close are counted, and come right in the end", [
  holds({ port: 80, transport: 17, flags: 3 }),
  holds({ port: 80, transport: 17, flags: 3 }),
  releases({ port: 80, transport: 17, flags: 2 }),
  releases({ port: 80, transport: 17, flags: 2 }),
  counts(0, 0, 0),
]);

story("counts below zero exist for many ports of a pool at once", [
  ...Array.from({ length: 130 }, (_, index) => 60 + index).flatMap((port) => [
    holdsTuple({ port, to: ONE, flags: 5 }),
    holdsTuple({ port, to: ONE, flags: 5 }),
    releases({ port, to: ONE, flags: 6 }),
  ]),
  counts(130, 130, 130),
  ...Array.from({ length: 130 }, (_, index) => 60 + index).flatMap((port) => [
    holdsTuple({ port, to: ONE, flags: 4 }),
    releases({ port, to: ONE, flags: 5 }),
  ]),
  counts(130, 130, 130),
]);

story("a class of flags that counts to zero on one port goes on counting on another", [
  holds({ port: 80, flags: 6 }),
  holds({ port: 80, flags: 6 }),
  holds({ port: 81, flags: 4 }),
  releases({ port: 80, flags: 4 }),
  holds({ port: 80, flags: 4 }),
  counts(2, 2, 3),
  releases({ port: 81, flags: 4 }),
  counts(1, 1, 2),
]);
