// Verify: what must hold between sockets, holders, buckets and tuples of modern Linux, written as
// code. For the debug build; nothing here changes anything.

import { PORT_COUNT } from "../../../abi";
import { Address } from "../../../memory/arena";
import { capacityOf, NODE_NUMBER, NODE_PARENT, nodeAt, verifyTable } from "../../../memory/table";
import { Port } from "../../../ports/bitmap";
import { countAt, verifyCounted } from "../../../ports/counted";
import { PAGE_PLACES, placeOf as placeInTable } from "../../../ports/page-table";
import { countOf, hasPort, nextPort, verifySet } from "../../../ports/set";
import { ANY } from "./address";
import { findBucket, findPart, isOpen } from "./bucket";
import {
  aggregateOf,
  firstHolder,
  holderCount,
  isAggregate,
  nextHolder,
  TCP,
  UDP,
} from "./holders";
import {
  HOLDER,
  has,
  highOfSocket,
  IS_UDP,
  lowOfSocket,
  nextSocket,
  PART,
  placeOf,
  portOf,
  TUPLE,
  word,
} from "./socket";
import {
  BUCKETS,
  CLOSED_PORTS,
  SOCKETS,
  slotOf,
  TCP_PORTS,
  TCP_SOCKETS,
  TIME_WAITS,
  UDP_SOCKETS,
} from "./system";
import { isUnanswered, nextWait } from "./time-wait";
import { blockingOf } from "./tuples";

export function verify618(system: Address): void {
  verifyTable(system);
  verifySockets(system);
  verifyBuckets(system);
  verifyHolders(system, TCP, load<u32>(system, TCP_SOCKETS) + verifyWaits(system));
  verifyHolders(system, UDP, load<u32>(system, UDP_SOCKETS));
}

/**
 * A socket with a port is counted in its holder, in a part of the port's bucket, and in its tuple.
 */
function verifySockets(system: Address): void {
  let tcp: u32 = 0;
  let udp: u32 = 0;
  let socket: Address = load<u32>(system, SOCKETS);
  for (; socket; socket = nextSocket(socket)) {
    const port = portOf(socket);
    assert((port != 0) == (word(socket, HOLDER) != 0));
    assert(!word(socket, TUPLE) || port != 0);
    if (!port) continue;
    assert(hasPort(word(socket, HOLDER), placeOf(socket, port)));
    if (has(socket, IS_UDP)) {
      udp++;
      continue;
    }
    tcp++;
    const part = findPart(system, port, lowOfSocket(socket), highOfSocket(socket));
    assert(part != 0 && part == word(socket, PART));
    const tuple = word(socket, TUPLE);
    assert(!tuple || hasPort(blockingOf(tuple), slotOf(port)));
  }
  assert(tcp == load<u32>(system, TCP_SOCKETS));
  assert(udp == load<u32>(system, UDP_SOCKETS));
}

/** How many connections have no socket; all are TIME_WAITs, but for those that get no answer. */
function verifyWaits(system: Address): u32 {
  let all: u32 = 0;
  let unanswered: u32 = 0;
  for (let wait = nextWait(system, 0); wait; wait = nextWait(system, wait)) {
    all++;
    if (isUnanswered(wait)) unanswered++;
  }
  assert(all - unanswered == load<u32>(system, TIME_WAITS));
  return all;
}

/** The set of closed ports has exactly those whose bucket is not open. */
function verifyBuckets(system: Address): void {
  verifySet(system + CLOSED_PORTS);
  let buckets: u32 = 0;
  let closed: u32 = 0;
  for (let port: u32 = 1; port < <u32>PORT_COUNT; port++) {
    if (!placeInTable(system + TCP_PORTS, port)) {
      port |= PAGE_PLACES - 1; // none of this page
      continue;
    }
    const bucket = findBucket(system, port);
    if (!bucket) continue;
    buckets++;
    if (!isOpen(bucket)) closed++;
    assert(hasPort(system + CLOSED_PORTS, slotOf(port)) != isOpen(bucket));
  }
  assert(buckets == load<u32>(system, BUCKETS));
  assert(closed == countOf(system + CLOSED_PORTS));
}

/** Holders count every owner of a protocol once, and aggregates once more, but for `::`. */
function verifyHolders(system: Address, space: Address, owners: u32): void {
  let held: u32 = 0;
  let aggregated: u32 = 0;
  for (let index: u32 = 0; index < capacityOf(system); index++) {
    const node = nodeAt(system, index);
    if (!node || load<u32>(node, NODE_PARENT) != <u32>space) continue;
    const isForAny = (load<u16>(node, NODE_NUMBER) & 3) == ANY;
    const total = ownersBelow(node);
    if (isAggregate(node)) aggregated += total;
    else held += total;
    if (isForAny) aggregated += total;
  }
  assert(held == owners);
  assert(aggregated == owners);
}

function ownersBelow(address: Address): u32 {
  let owners: u32 = 0;
  let holders: u32 = 0;
  for (let holder = firstHolder(address); holder; holder = nextHolder(holder)) {
    holders++;
    verifyCounted(holder);
    assert(countOf(holder) > 0);
    const aggregate = aggregateOf(holder);
    for (let port: Port = nextPort(holder, 1); port; port = nextPort(holder, port + 1)) {
      owners += countAt(holder, port);
      assert(!aggregate || countAt(aggregate, port) >= countAt(holder, port));
    }
  }
  assert(holders == holderCount(address));
  return owners;
}
