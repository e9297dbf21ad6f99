// Devices: no device meets all of them, a device meets itself and none.

import { counts, holds, refuses, releases, story } from "../support/story.ts";

story("two devices share a port without any flag", [
  holds({ port: 80, device: 1 }),
  holds({ port: 80, device: 2 }),
  refuses({ port: 80, device: 1 }),
  counts(1, 2, 2),
]);

story("no device meets every device", [
  holds({ port: 80, device: 1 }),
  holds({ port: 80, device: 2 }),
  refuses({ port: 80 }),
  releases({ port: 80, device: 1 }),
  refuses({ port: 80 }),
  releases({ port: 80, device: 2 }),
  holds({ port: 80 }),
]);

story("a device meets no device", [
  holds({ port: 80 }),
  refuses({ port: 80, device: 1 }),
  refuses({ port: 80, device: 0x7fffffff }),
]);

story("what is shared must be shared by all devices together", [
  holds({ port: 80, device: 1, flags: 1 }),
  holds({ port: 80, device: 2, flags: 2 }),
  // Each has a flag in common with 3, but not the same one.
  refuses({ port: 80, flags: 3 }),
  refuses({ port: 80, flags: 7 }),
  releases({ port: 80, device: 2, flags: 2 }),
  holds({ port: 80, flags: 3 }),
]);

story("a device shares with none and itself together, and with no third", [
  holds({ port: 80, flags: 1 }),
  holds({ port: 80, device: 1, flags: 3 }),
  holds({ port: 80, device: 2, flags: 1 }),
  refuses({ port: 80, device: 1, flags: 2 }),
  refuses({ port: 80, device: 2, flags: 2 }),
  holds({ port: 80, device: 3, flags: 5 }),
]);

story("devices are judged together at one address, and apart at two", [
  holds({ port: 80, address: "10.0.0.1", device: 1, flags: 1 }),
  holds({ port: 80, address: "10.0.0.2", device: 2, flags: 2 }),
  holds({ port: 80, flags: 3 }),
  refuses({ port: 80, address: "10.0.0.1", flags: 2 }),
]);

story("many devices are all found, whichever comes first", [
  ...[5, 1, 9, 3, 7].map((device) => holds({ port: 80, device })),
  ...[1, 3, 5, 7, 9].map((device) => refuses({ port: 80, device })),
  holds({ port: 80, device: 2 }),
  refuses({ port: 80 }),
  releases({ port: 80, device: 9 }),
  holds({ port: 80, device: 9 }),
]);
