// Many addresses: questions about any address where many addresses hold ports.
//
// The core answers most of them from what it has counted over all addresses, and asks the
// addresses one by one only where that leaves a doubt: several flags, or a destination.

import { LOAD_BALANCED, MOST_RECENT, TUPLE_ONLY } from "../../assembly/abi.ts";
import {
  binds,
  cannotBind,
  connects,
  counts,
  holds,
  range,
  refuses,
  releases,
  type Step,
  story,
  UDP,
  type Who,
} from "../support/story.ts";

const ONE = "9.9.9.9:443";
const TWO = "8.8.8.8:443";
const BOTH = MOST_RECENT | LOAD_BALANCED;

/** So many addresses, each holding the port in its own way. */
function manyHold(count: number, who: (index: number) => Who): Step[] {
  return Array.from({ length: count }, (_, index) => holds({ ...addressed(index), ...who(index) }));
}

function manyRelease(count: number, who: (index: number) => Who): Step[] {
  return Array.from({ length: count }, (_, index) =>
    releases({ ...addressed(index), ...who(index) }),
  );
}

function addressed(index: number): Who {
  return { port: 80, address: `10.0.${index >> 8}.${index & 255}` };
}

story("any address is refused while one of many holds the port, whichever leaves first", [
  ...manyHold(20, () => ({})),
  refuses({ port: 80 }),
  counts(1, 20, 20),
  ...manyRelease(19, () => ({})),
  refuses({ port: 80 }),
  releases(addressed(19)),
  holds({ port: 80 }),
]);

story("the first of many addresses is looked at as the others are", [
  ...manyHold(3, (index) => ({ flags: index === 0 ? MOST_RECENT : LOAD_BALANCED })),
  refuses({ port: 80, flags: LOAD_BALANCED }),
  refuses({ port: 80, flags: MOST_RECENT }),
  releases({ ...addressed(0), flags: MOST_RECENT }),
  holds({ port: 80, flags: LOAD_BALANCED }),
]);

story("any address with both flags passes where each address has one of them", [
  ...manyHold(10, (index) => ({ flags: index % 2 ? MOST_RECENT : LOAD_BALANCED })),
  // Over all addresses no flag is common; at each of them one is.
  holds({ port: 80, flags: BOTH }),
  refuses({ port: 80, flags: MOST_RECENT }),
  refuses({ port: 80, flags: LOAD_BALANCED }),
  refuses({ port: 80, flags: TUPLE_ONLY }),
]);

story("any address with both flags is refused by the one address where both are lacked", [
  ...manyHold(10, (index) => ({ flags: index % 2 ? MOST_RECENT : LOAD_BALANCED })),
  holds({ port: 80, address: "10.1.0.1", flags: 7 }),
  holds({ port: 80, address: "10.1.0.1", flags: TUPLE_ONLY }),
  refuses({ port: 80, flags: BOTH }),
  releases({ port: 80, address: "10.1.0.1", flags: TUPLE_ONLY }),
  holds({ port: 80, flags: BOTH }),
]);

story("one address whose devices share nothing together refuses any with both flags", [
  ...manyHold(6, () => ({ flags: BOTH })),
  holds({ port: 80, address: "10.1.0.1", device: 1, flags: MOST_RECENT }),
  holds({ port: 80, flags: BOTH }),
  holds({ port: 80, address: "10.1.0.1", device: 2, flags: LOAD_BALANCED }),
  refuses({ port: 80, flags: BOTH }),
  holds({ port: 80, device: 1, flags: BOTH }),
  holds({ port: 80, device: 2, flags: BOTH }),
]);

story("the same two devices at two addresses are no harm to any with both flags", [
  ...manyHold(6, () => ({ flags: 7 })),
  holds({ port: 80, address: "10.1.0.1", device: 1, flags: MOST_RECENT }),
  holds({ port: 80, address: "10.1.0.2", device: 2, flags: LOAD_BALANCED }),
  holds({ port: 80, flags: BOTH }),
  holds({ port: 80, flags: 7 }),
]);

story("any address with a destination meets the same destination at many addresses", [
  ...manyHold(8, () => ({ to: ONE })),
  refuses({ port: 80, to: ONE }),
  refuses({ port: 80, to: ONE, flags: 7 }),
  holds({ port: 80, to: TWO }),
  ...manyRelease(8, () => ({ to: ONE })),
  holds({ port: 80, to: ONE }),
]);

story("any address with a destination is refused by the one address that has it", [
  ...manyHold(8, () => ({ to: TWO })),
  holds({ port: 80, address: "10.1.0.1", to: ONE, flags: LOAD_BALANCED }),
  refuses({ port: 80, to: ONE }),
  refuses({ port: 80, to: ONE, flags: MOST_RECENT }),
  holds({ port: 80, to: ONE, flags: LOAD_BALANCED }),
  holds({ port: 80, to: ONE, flags: BOTH }),
]);

story("any address with a destination is judged by TupleOnly against wildcards", [
  ...manyHold(8, () => ({ flags: TUPLE_ONLY })),
  holds({ port: 80, to: ONE, flags: TUPLE_ONLY }),
  holds({ port: 80, address: "10.1.0.1", flags: MOST_RECENT }),
  refuses({ port: 80, to: TWO, flags: TUPLE_ONLY }),
  holds({ port: 80, to: TWO, flags: TUPLE_ONLY | LOAD_BALANCED }),
]);

story("any address meets wildcards with every port at many addresses", [
  ...manyHold(8, (index) => ({ to: `:${index}`, flags: TUPLE_ONLY })),
  holds({ port: 80, to: ":3", flags: TUPLE_ONLY }),
  refuses({ port: 80, to: ":3" }),
  holds({ port: 80, address: "10.1.0.1", to: ":3", flags: 5 }),
  refuses({ port: 80, to: ":3", flags: 1 }),
  refuses({ port: 80, to: ":99" }),
]);

story("a search for any address passes what any of many addresses holds", [
  range(100, 120),
  ...Array.from({ length: 20 }, (_, index) =>
    holds({ port: 100 + index, address: `10.0.0.${index}` }),
  ),
  binds({}, 0, 120),
  cannotBind({}),
  cannotBind({ flags: 7 }),
  binds({ address: "10.0.0.1" }, 0, 100),
]);

story("a search for any address with both flags asks each address, port by port", [
  range(100, 104),
  holds({ port: 100, transport: UDP, address: "10.0.0.1", flags: MOST_RECENT }),
  holds({ port: 100, transport: UDP, address: "10.0.0.2", flags: TUPLE_ONLY }),
  holds({ port: 101, transport: UDP, address: "10.0.0.2", device: 1, flags: MOST_RECENT }),
  holds({ port: 101, transport: UDP, address: "10.0.0.2", device: 2, flags: LOAD_BALANCED }),
  holds({ port: 102, transport: UDP, address: "10.0.0.2", flags: MOST_RECENT }),
  holds({ port: 102, transport: UDP, address: "10.0.0.3", flags: LOAD_BALANCED }),
  binds({ transport: UDP, flags: BOTH }, 0, 102),
  binds({ transport: UDP, flags: BOTH }, 0, 102),
  binds({ transport: UDP, flags: 7 }, 0, 100),
]);

story("connections from any address find the port that no address uses for that destination", [
  range(100, 102),
  ...Array.from({ length: 9 }, (_, index) =>
    holds({ port: 100 + (index % 3), address: `10.0.0.${index}`, to: `9.9.9.9:${index}` }),
  ),
  connects({ to: "9.9.9.9:0" }, 0, 101),
  connects({ to: "9.9.9.9:1" }, 0, 100),
  connects({ to: "9.9.9.9:2" }, 2, 100),
  connects({ to: "9.9.9.9:9" }, 0, 100),
]);

story("IPv4 and IPv6 each have an any-address aggregate of their own", [
  ...manyHold(5, (index) => ({ networks: index % 2 ? [4] : [6] })),
  refuses({ port: 80, networks: [4, 6] }),
  ...manyRelease(5, (index) => ({ networks: index % 2 ? [4] : [6] })),
  holds({ port: 80, networks: [4, 6] }),
]);

story("five hundred addresses come and go, in another order", [
  ...manyHold(500, (index) => ({ flags: 1 << (index % 3) })),
  holds({ port: 80, flags: 7 }),
  refuses({ port: 80, flags: 3 }),
  counts(1, 501, 501),
  ...Array.from({ length: 500 }, (_, index) => (index * 37) % 500).map((index) =>
    releases({ ...addressed(index), flags: 1 << (index % 3) }),
  ),
  counts(1, 1, 1),
]);
