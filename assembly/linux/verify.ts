// Verify: what must hold between sockets, records, TIME_WAITs and the ladder, written as code. For
// the debug build; nothing here changes anything.

import { PORT_COUNT } from "../abi";
import { Address } from "../memory/arena";
import { find, NODE_NUMBER } from "../memory/table";
import { referenceCount } from "../netstack/manager";
import { flagsOf } from "../netstack/records";
import { verify } from "../netstack/verify";
import { PAGE_PLACES, placeOf } from "../ports/page-table";
import { countOf, hasPort } from "../ports/set";
import {
  fastreuseOf,
  findRecord,
  firstOwner,
  flowOf,
  nextOwner,
  portOf,
  socketsOf,
  waitsOf,
} from "./record";
import {
  CLOSED,
  classOf,
  isDatagram,
  LISTENING,
  nextSocket,
  recordOf,
  socketPort,
  stateOf,
  systemOf,
} from "./socket";
import {
  BOUND,
  datagramCount,
  owningCount,
  PAGE_TABLE,
  REUSABLE,
  recordCount,
  SOCKETS,
  SOFT,
  waitingCount,
} from "./system";
import { enteredAt, firstWait, nextWait, ownerOf } from "./wait";

export function verifyLinux(system: Address): void {
  verify(system);
  assert(referenceCount(system) == ownerCount(system));
  verifyRecords(system);
  verifySockets(system);
  verifyWaits(system);
}

/** Every record has the owners that it counts, and the sets know its fastreuse. */
function verifyRecords(system: Address): void {
  let records: u32 = 0;
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
    const record = findRecord(system, port);
    if (!record) {
      assert((load<u64>(place) | load<u64>(place, 8)) == 0);
      continue;
    }
    assert(portOf(record) == port);
    let owners: u32 = 0;
    for (let owner = firstOwner(record); owner; owner = nextOwner(owner)) {
      assert(hasPort(flowOf(owner), port));
      owners++;
    }
    assert(owners > 0 && owners == socketsOf(record) + waitsOf(record));
    assert(hasPort(system + BOUND, port) == fastreuseOf(record) >= 0);
    assert(hasPort(system + REUSABLE, port) == fastreuseOf(record) > 0);
    records++;
    if (fastreuseOf(record) >= 0) bound++;
    if (fastreuseOf(record) > 0) reusable++;
    sockets += socketsOf(record);
    waits += waitsOf(record);
  }
  assert(records == recordCount(system));
  assert(bound == countOf(system + BOUND));
  assert(reusable == countOf(system + REUSABLE));
  assert(sockets == owningCount(system));
  assert(waits == waitingCount(system));
}

function ownerCount(system: Address): u32 {
  return owningCount(system) + waitingCount(system) + datagramCount(system);
}

/** A socket with a port holds it in its class, and a TCP socket has the port's record. */
function verifySockets(system: Address): void {
  let owning: u32 = 0;
  let datagrams: u32 = 0;
  for (let socket: Address = load<u32>(system, SOCKETS); socket; socket = nextSocket(socket)) {
    assert(systemOf(socket) == system);
    const port = socketPort(socket);
    assert((recordOf(socket) != 0) == (port != 0 && !isDatagram(socket)));
    if (!port) {
      assert(stateOf(socket) == CLOSED);
      continue;
    }
    if (isDatagram(socket)) datagrams++;
    else owning++;
    if (recordOf(socket)) assert(portOf(recordOf(socket)) == port);
    assert(!isDatagram(socket) || stateOf(socket) != LISTENING);
    assert(hasPort(flowOf(socket), port));
    assert(flagsOf(flowOf(socket)) == classOf(socket));
  }
  assert(owning == owningCount(system));
  assert(datagrams == datagramCount(system));
}

/** Every TIME_WAIT is found by its tuple, in the order in which they expire. */
function verifyWaits(system: Address): void {
  let count: u32 = 0;
  let before: u64 = 0;
  for (let wait = firstWait(system); wait; wait = nextWait(wait)) {
    const flow = flowOf(ownerOf(wait));
    assert((flagsOf(flow) & ~SOFT) != 0);
    assert(find(system, flow, load<u16>(wait, NODE_NUMBER), 0, 0) == wait);
    assert(enteredAt(wait) >= before);
    before = enteredAt(wait);
    count++;
  }
  assert(count == waitingCount(system));
}
