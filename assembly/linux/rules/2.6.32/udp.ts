// UDP: the local port of a UDP socket that connects without one (Linux `inet_autobind`).
//
// The port is chosen first, as by bind() to the any address but from the group's connect range;
// then the local address is fixed. Tuples do not matter: each UDP socket has its port by address
// and device alone, so connecting never fails because a tuple is taken, and may be done again.
//
// UDP has no buckets and no fastreuse, only the conflict of addresses, devices and SO_REUSEADDR.
// Its search goes upwards from a random start, whereas the kernel's hops over its hash table by
// random strides (`udp_lib_get_port`): the same ports in another order.

import { BAD_STATE, EMPTY_RANGE, EXHAUSTED, NO_MEMORY, REQUEST_ADDRESS } from "../../../abi";
import { Address } from "../../../memory/arena";
import { beginBill, canPay } from "../../../memory/bill";
import { REQUEST } from "../../../memory/layout";
import { release } from "../../../netstack/aggregates";
import { isPlanned } from "../../../netstack/conflicts";
import { flagsOf } from "../../../netstack/records";
import { acquireCharged, chargeRequest, findRing } from "../../../netstack/reservations";
import { Port } from "../../../ports/bitmap";
import { countIn, firstIn, intersect, isEmpty, lastIn, rangeOf } from "../../../ports/range";
import { findWithoutConflict, join } from "./bind";
import { flowOf, setFlow } from "./bucket";
import { connectRange } from "./connect";
import {
  askFor,
  askForOwnAddress,
  CONNECTED,
  classOf,
  hasAddress,
  isUdp,
  keepAddress,
  preferOwnAddress,
  setState,
  socketPort,
  systemOf,
} from "./socket";

/**
 * Connects a UDP socket; the request names the local address that it gets if it has none. One
 * without a port gets one of a part of the range first.
 */
export function connectUdp(socket: Address, first: Port, last: Port, random: u32): i32 {
  if (!isUdp(socket)) return BAD_STATE;
  const port = socketPort(socket);
  if (!port) return connectUnbound(socket, rangeOf(first, last), random);
  if (!hasAddress(socket) && !moveToAddress(socket, port)) return NO_MEMORY;
  setState(socket, CONNECTED);
  return <i32>port;
}

/** The port is searched for the socket's own address, or any, and held at the one that it gets. */
function connectUnbound(socket: Address, part: u32, random: u32): i32 {
  const range = intersect(connectRange(socket), part);
  if (isEmpty(range)) return EMPTY_RANGE;
  const low = load<u64>(REQUEST + REQUEST_ADDRESS);
  const high = load<u64>(REQUEST + REQUEST_ADDRESS + 8);
  askForOwnAddress(socket);
  const start = random % countIn(range);
  const port = findWithoutConflict(socket, firstIn(range), lastIn(range), start);
  if (!isPlanned()) return NO_MEMORY;
  if (!port) return EXHAUSTED;

  store<u64>(REQUEST + REQUEST_ADDRESS, low);
  store<u64>(REQUEST + REQUEST_ADDRESS + 8, high);
  preferOwnAddress(socket);
  findRing(systemOf(socket), 0);
  const answer = join(socket, 0, port);
  if (answer < 0) return answer;
  keepAddress(socket);
  setState(socket, CONNECTED);
  return answer;
}

/** False: no memory, and nothing has changed. */
function moveToAddress(socket: Address, port: Port): bool {
  const system = systemOf(socket);
  askFor(socket, classOf(socket));
  findRing(system, 0);
  beginBill();
  chargeRequest(system, 0, port);
  if (!canPay(system)) return false;
  const before = flowOf(socket);
  setFlow(socket, acquireCharged(system, 0, port));
  release(system, before, flagsOf(before), port);
  keepAddress(socket);
  return true;
}
