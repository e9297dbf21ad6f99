// Networks and addresses: which holders conflict before any flag is looked at.

import { counts, holds, refuses, releases, releasesNothing, story, UDP } from "../support/story.ts";

const LOCAL = "10.0.0.1";
const OTHER = "10.0.0.2";

story("a port is held once, and free again after it is released", [
  holds({ port: 80 }),
  refuses({ port: 80 }),
  releases({ port: 80 }),
  releasesNothing({ port: 80 }),
  holds({ port: 80 }),
]);

story("a holder does not hold the neighbouring port", [
  holds({ port: 80 }),
  holds({ port: 79 }),
  holds({ port: 81 }),
  counts(3, 3, 3),
]);

// ── Networks and transports ───────────────────────────────────────────────────────────────

story("IPv4 and IPv6 do not see each other", [
  holds({ port: 80, networks: [4] }),
  holds({ port: 80, networks: [6] }),
  counts(2, 2, 2),
]);

story("transports do not see each other", [
  holds({ port: 80 }),
  holds({ port: 80, transport: UDP }),
  holds({ port: 80, transport: 33 }),
  refuses({ port: 80, transport: 33 }),
]);

story("a dual-stack request needs the port in both networks, and holds it in both", [
  holds({ port: 80, networks: [4, 6] }),
  counts(2, 2, 2),
  refuses({ port: 80, networks: [4] }),
  refuses({ port: 80, networks: [6] }),
  refuses({ port: 80, networks: [6, 4] }),
]);

story("a dual-stack request holds nothing when one of the networks refuses", [
  holds({ port: 80, networks: [6] }),
  refuses({ port: 80, networks: [4, 6] }),
  refuses({ port: 80, networks: [6, 4] }),
  counts(1, 1, 1),
  holds({ port: 80, networks: [4] }),
]);

story("networks are numbers, and not only 4 and 6", [
  holds({ port: 80, networks: [0, 0x86dd, 0xffffffff] }),
  refuses({ port: 80, networks: [0x86dd] }),
  holds({ port: 80, networks: [4] }),
  releases({ port: 80, networks: [0] }),
  releases({ port: 80, networks: [0xffffffff] }),
  refuses({ port: 80, networks: [0x86dd] }),
]);

story("sixteen networks are held at once, or none of them", [
  holds({ port: 80, networks: [15] }),
  refuses({ port: 80, networks: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] }),
  releases({ port: 80, networks: [15] }),
  holds({ port: 80, networks: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] }),
  counts(16, 16, 16),
]);

// ── Addresses ─────────────────────────────────────────────────────────────────────────────

story("any address blocks a later specific one", [
  holds({ port: 80 }),
  refuses({ port: 80, address: LOCAL }),
]);

story("a specific address blocks any", [
  holds({ port: 80, address: LOCAL }),
  refuses({ port: 80 }),
  releases({ port: 80, address: LOCAL }),
  holds({ port: 80 }),
]);

story("two specific addresses share a port", [
  holds({ port: 80, address: LOCAL }),
  holds({ port: 80, address: OTHER }),
  refuses({ port: 80, address: LOCAL }),
  refuses({ port: 80, address: OTHER }),
  refuses({ port: 80 }),
  counts(1, 2, 2),
]);

story("each address is judged on its own: what one shares is not taken from the other", [
  holds({ port: 80, address: LOCAL, flags: 1 }),
  holds({ port: 80, address: OTHER, flags: 2 }),
  // At LOCAL flag 1 is in common, at OTHER flag 2: no flag is common to all three.
  holds({ port: 80, flags: 3 }),
]);

story("one address that shares nothing is enough to refuse any", [
  holds({ port: 80, address: LOCAL, flags: 1 }),
  holds({ port: 80, address: OTHER, flags: 2 }),
  refuses({ port: 80, flags: 1 }),
  refuses({ port: 80, flags: 2 }),
  refuses({ port: 80, flags: 5 }),
]);

story("a specific address meets itself and any, judged one by one", [
  holds({ port: 80, flags: 3 }),
  holds({ port: 80, address: LOCAL, flags: 1 }),
  refuses({ port: 80, address: LOCAL, flags: 2 }),
  holds({ port: 80, address: OTHER, flags: 2 }),
]);

story("addresses of four and of sixteen bytes are told apart", [
  holds({ port: 80, networks: [6], address: "2001:db8::1" }),
  holds({ port: 80, networks: [6], address: "2001:db8::2" }),
  holds({ port: 80, networks: [6], address: "::1" }),
  holds({ port: 80, networks: [6], address: "1::" }),
  holds({ port: 80, networks: [6], address: LOCAL }),
  refuses({ port: 80, networks: [6], address: "2001:db8::1" }),
  refuses({ port: 80, networks: [6] }),
  counts(1, 5, 5),
]);
