// Any port: what bind() with port 0 and connect() find, and where they differ.

import {
  binds,
  cannotBind,
  cannotConnect,
  connects,
  counts,
  holds,
  range,
  refuses,
  releases,
  story,
  UDP,
} from "../support/story.ts";

const ONE = "9.9.9.9:443";
const TWO = "8.8.8.8:443";
const THREE = "7.7.7.7:443";

// ── TCP never shares a port that was picked ───────────────────────────────────────────────

story("three TCP binds to three destinations need three ports", [
  range(2000, 2001),
  binds({ to: ONE, flags: 4 }, 0, 2000),
  binds({ to: TWO, flags: 4 }, 0, 2001),
  cannotBind({ to: THREE, flags: 4 }),
  counts(2, 2, 2),
]);

story("three UDP binds to three destinations have the same port", [
  range(2000, 2001),
  binds({ transport: UDP, to: ONE }, 0, 2000),
  binds({ transport: UDP, to: TWO }, 0, 2000),
  binds({ transport: UDP, to: THREE }, 0, 2000),
  counts(1, 3, 3),
]);

story("three TCP connections to three destinations have the same port", [
  range(2000, 2001),
  connects({ to: ONE }, 0, 2000),
  connects({ to: TWO }, 0, 2000),
  connects({ to: THREE }, 1, 2001),
  connects({ to: ONE }, 0, 2001),
  cannotConnect({ to: ONE }),
]);

story("a TCP bind shares with no flag, a UDP bind with every flag that it has", [
  range(2000, 2001),
  holds({ port: 2000, flags: 7 }),
  binds({ flags: 7 }, 0, 2001),
  cannotBind({ flags: 7 }),
  holds({ port: 2000, transport: UDP, flags: 7 }),
  binds({ transport: UDP, flags: 2 }, 0, 2000),
  binds({ transport: UDP, flags: 4 }, 0, 2001),
]);

story("only TCP is so strict: any other transport shares", [
  range(2000, 2000),
  binds({ transport: 33, flags: 2 }, 0, 2000),
  binds({ transport: 33, flags: 2 }, 0, 2000),
  counts(1, 1, 2),
]);

story("a TCP bind is stopped by a destination that it would never meet", [
  range(2000, 2000),
  holds({ port: 2000, address: "10.0.0.1", to: ONE }),
  cannotBind({ address: "10.0.0.1", to: TWO }),
  cannotBind({ to: TWO }),
  connects({ address: "10.0.0.1", to: TWO }, 0, 2000),
]);

story("a TCP bind at one address does not mind another", [
  range(2000, 2000),
  holds({ port: 2000, address: "10.0.0.1", to: ONE }),
  binds({ address: "10.0.0.2", to: TWO }, 0, 2000),
]);

story("a TCP bind on a device conflicts only with holders that count there", [
  range(2000, 2001),
  holds({ port: 2000, device: 1, to: ONE }),
  // A different destination on the same device: not counted, so not in the way.
  binds({ device: 1, to: TWO }, 0, 2000),
  binds({ device: 1, to: ONE, flags: 7 }, 0, 2001),
  binds({ device: 2, to: ONE }, 0, 2000),
  cannotBind({ to: THREE }),
  cannotBind({ device: 1, flags: 7 }),
]);

story("a TCP bind on a device conflicts with none on no device, where the destinations meet", [
  range(2000, 2001),
  holds({ port: 2000, to: ONE, flags: 7 }),
  binds({ device: 1, to: TWO, flags: 7 }, 0, 2000),
  binds({ device: 1, to: ONE, flags: 7 }, 0, 2001),
  binds({ device: 2, flags: 7 }, 0, 2001),
  cannotBind({ device: 2, flags: 7 }),
]);

story("an explicit port is shared where bind would not share it", [
  range(2000, 2000),
  binds({ flags: 4 }, 0, 2000),
  cannotBind({ to: ONE, flags: 4 }),
  holds({ port: 2000, to: ONE, flags: 4 }),
  connects({ to: TWO, flags: 4 }, 0, 2000),
]);

// ── Where a search begins and ends ────────────────────────────────────────────────────────

story("a search starts at the offset, modulo the number of ports", [
  range(2000, 2009),
  binds({}, 3, 2003),
  binds({}, 13, 2004),
  binds({}, 0, 2000),
  // 2^32 - 1 is 5 modulo 10.
  binds({}, 0xffffffff, 2005),
]);

story("a search goes round the range, once", [
  range(2000, 2003),
  binds({}, 3, 2003),
  binds({}, 3, 2000),
  binds({}, 3, 2001),
  binds({}, 3, 2002),
  cannotBind({}),
  releases({ port: 2001 }),
  binds({}, 3, 2001),
]);

story("a search passes over ports held by conflicting holders", [
  range(2000, 2005),
  holds({ port: 2000 }),
  holds({ port: 2001, address: "10.0.0.1" }),
  holds({ port: 2002, device: 3 }),
  holds({ port: 2003, to: ONE }),
  binds({}, 0, 2004),
  binds({ address: "10.0.0.2" }, 0, 2001),
  binds({ device: 1, address: "10.0.0.3" }, 0, 2001),
]);

story("a dual-stack search finds a port that is free in both networks", [
  range(2000, 2003),
  holds({ port: 2000, networks: [4] }),
  holds({ port: 2001, networks: [6] }),
  binds({ networks: [4, 6] }, 0, 2002),
  binds({ networks: [6, 4] }, 0, 2003),
  cannotBind({ networks: [4, 6] }),
  binds({ networks: [4] }, 0, 2001),
  binds({ networks: [6] }, 0, 2000),
]);

story("each port is met once, also where offset and steps pass 2^32", [
  range(2000, 2006),
  ...[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff].map(
    // 2^32 - 1 is 3 modulo 7.
    (offset, index) => binds({}, offset, 2000 + ((3 + index) % 7)),
  ),
  cannotBind({}),
]);

// ── The range ─────────────────────────────────────────────────────────────────────────────

story("a new range leaves what is held alone", [
  range(2000, 2000),
  binds({}, 0, 2000),
  range(3000, 3000),
  binds({}, 0, 3000),
  refuses({ port: 2000 }),
  cannotBind({}),
  releases({ port: 2000 }),
  cannotBind({}),
  range(2000, 3000),
  binds({}, 0, 2000),
]);

story("an explicit port may be anywhere", [
  range(2000, 2000),
  holds({ port: 1 }),
  holds({ port: 1999 }),
  holds({ port: 65535 }),
  binds({}, 0, 2000),
]);
