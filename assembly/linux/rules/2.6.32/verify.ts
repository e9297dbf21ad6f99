// Verify: what must hold between sockets, buckets, TIME_WAITs and the record tree, written as code.
// For the debug build; nothing here changes anything.

import { PORT_COUNT } from "../../../abi";
import { Address } from "../../../memory/arena";
import { find, NODE_NUMBER } from "../../../memory/table";
import { referenceCount } from "../../../netstack/manager";
import { flagsOf } from "../../../netstack/records";
import { verify } from "../../../netstack/verify";
import { PAGE_PLACES, placeOf } from "../../../ports/page-table";
import { countOf, hasPort } from "../../../ports/set";
import {
  fastreuseOf,
  findBucket,
  firstOwner,
  flowOf,
  nextOwner,
  portOf,
  socketsOf,
  waitsOf,
} from "./bucket";
import {
  bucketOf,
  CLOSED,
  classOf,
  isUdp,
  LISTENING,
  nextSocket,
  socketPort,
  stateOf,
  systemOf,
} from "./socket";
import {
  BOUND,
  BUCKETS,
  owningCount,
  PAGE_TABLE,
  REUSABLE,
  REUSE_ADDR,
  SOCKETS,
  UDP_SOCKETS,
  WAITING,
} from "./system";
import { enteredAt, firstWait, nextWait, ownerOf } from "./time-wait";

export function verifyLinux(system: Address): void {
  verify(system);
  assert(referenceCount(system) == ownerCount(system));
  verifyBuckets(system);
  verifySockets(system);
  verifyWaits(system);
}

/** Every bucket has the owners that it counts, and the sets know its fastreuse. */
function verifyBuckets(system: Address): void {
  let buckets: u32 = 0;
  let bound: u32 = 0;
  let reusable: u32 = 0;
  let sockets: u32 = 0;
  let waits: u32 = 0;
  for (let port: u32 = 1; port < <u32>PORT_COUNT; port++) {
    const place = placeOf(system + PAGE_TABLE, port);
    if (!place) {
      port |= PAGE_PLACES - 1; // none of this page
      continue;
    }
    const bucket = findBucket(system, port);
    if (!bucket) {
      assert((load<u64>(place) | load<u64>(place, 8)) == 0);
      continue;
    }
    assert(portOf(bucket) == port);
    let owners: u32 = 0;
    for (let owner = firstOwner(bucket); owner; owner = nextOwner(owner)) {
      assert(hasPort(flowOf(owner), port));
      owners++;
    }
    assert(owners > 0 && owners == socketsOf(bucket) + waitsOf(bucket));
    assert(hasPort(system + BOUND, port) == fastreuseOf(bucket) >= 0);
    assert(hasPort(system + REUSABLE, port) == fastreuseOf(bucket) > 0);
    buckets++;
    if (fastreuseOf(bucket) >= 0) bound++;
    if (fastreuseOf(bucket) > 0) reusable++;
    sockets += socketsOf(bucket);
    waits += waitsOf(bucket);
  }
  assert(buckets == load<u32>(system, BUCKETS));
  assert(bound == countOf(system + BOUND));
  assert(reusable == countOf(system + REUSABLE));
  assert(sockets == owningCount(system));
  assert(waits == load<u32>(system, WAITING));
}

function ownerCount(system: Address): u32 {
  return owningCount(system) + load<u32>(system, WAITING) + load<u32>(system, UDP_SOCKETS);
}

/** A socket with a port holds it in its class, and a TCP socket has the port's bucket. */
function verifySockets(system: Address): void {
  let owning: u32 = 0;
  let udpSockets: u32 = 0;
  for (let socket: Address = load<u32>(system, SOCKETS); socket; socket = nextSocket(socket)) {
    assert(systemOf(socket) == system);
    const port = socketPort(socket);
    assert((bucketOf(socket) != 0) == (port != 0 && !isUdp(socket)));
    if (!port) {
      assert(stateOf(socket) == CLOSED);
      continue;
    }
    if (isUdp(socket)) udpSockets++;
    else owning++;
    if (bucketOf(socket)) assert(portOf(bucketOf(socket)) == port);
    assert(!isUdp(socket) || stateOf(socket) != LISTENING);
    assert(hasPort(flowOf(socket), port));
    assert(flagsOf(flowOf(socket)) == classOf(socket));
  }
  assert(owning == owningCount(system));
  assert(udpSockets == load<u32>(system, UDP_SOCKETS));
}

/** Every TIME_WAIT is found by its tuple, in the order in which they expire. */
function verifyWaits(system: Address): void {
  let count: u32 = 0;
  let before: u64 = 0;
  for (let wait = firstWait(system); wait; wait = nextWait(wait)) {
    const flow = flowOf(ownerOf(wait));
    assert((flagsOf(flow) & ~REUSE_ADDR) != 0);
    assert(find(system, flow, load<u16>(wait, NODE_NUMBER), 0, 0) == wait);
    assert(enteredAt(wait) >= before);
    before = enteredAt(wait);
    count++;
  }
  assert(count == load<u32>(system, WAITING));
}
