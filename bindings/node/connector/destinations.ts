// Destinations: the addresses of a host, which is an address itself or a name that a resolver
// answers, in the order in which they are to be tried (RFC 8305 § 4).

import { isIP } from "node:net";
import { invalid, show } from "../../errors.ts";
import { TCP } from "../../index.ts";
import { parseAddress } from "../../requests/address.ts";
import { builtin } from "../builtin.ts";
import type { Destination } from "../sources/destination.ts";
import type { PairTable } from "../sources/pair-table.ts";
import type { Target } from "./connect-operation.ts";
import type { Lookup, LookupAddress } from "./connector-options.ts";

/**
 * An address is a destination; a name has to be resolved first.
 * @param lookup resolves names; `dns.lookup` if it is left out.
 * @param family 4 or 6: addresses of that kind only; 0: of both.
 */
export function destinationsOf(
  pairs: PairTable,
  lookup: Lookup | undefined,
  host: string,
  port: number,
  family: number,
): Target["destinations"] {
  // Most hosts are addresses in canonical form, and known already.
  const known = pairs.useKnown(TCP, host, port);
  if (known !== undefined) return [known];
  const address = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  if (isIP(address) !== 0) return [destinationAt(pairs, address, port)];
  return (done) => resolve({ pairs, host: address, port, family }, lookup, done);
}

function destinationAt(pairs: PairTable, address: string, port: number): Destination {
  const zone = address.indexOf("%");
  const bare = zone < 0 ? address : address.slice(0, zone);
  const { text } = parseAddress("host", bare);
  // Any address as a destination is this host (Linux `ip_route_connect`).
  const canonical = text || (address.includes(":") ? "::1" : "127.0.0.1");
  return pairs.use(TCP, zone < 0 ? canonical : canonical + address.slice(zone), port);
}

interface Name {
  readonly pairs: PairTable;
  readonly host: string;
  readonly port: number;
  readonly family: number;
}

function resolve(
  name: Name,
  lookup: Lookup = builtin("dns").lookup,
  done: (error: unknown, destinations: readonly Destination[]) => void,
): void {
  const { host, family } = name;
  let isDone = false;
  const answer = (error: Error | null, addresses: readonly LookupAddress[]): void => {
    if (isDone) return;
    isDone = true;
    let destinations: readonly Destination[] = [];
    let failure: unknown = error;
    // Errors of a resolver are errors of this connection.
    try {
      if (!failure) destinations = destinationsAmong(name, addresses);
    } catch (wrong) {
      failure = wrong;
    }
    done(failure || null, destinations);
  };
  try {
    lookup(host, { all: true, ...(family !== 0 && { family }) }, answer);
  } catch (error) {
    answer(error as Error, []);
  }
}

function destinationsAmong(
  { pairs, host, port, family }: Name,
  found: readonly LookupAddress[],
): Destination[] {
  if (!Array.isArray(found) || found.some((one) => isIP(one?.address) === 0)) {
    throw invalid(
      "ERR_INVALID_RETURN_VALUE",
      `lookup must give a list of { address, family }, got ${show(found)}`,
    );
  }
  // A resolver may ignore the family that it is asked for.
  const asked = found.filter(({ address }) => family === 0 || isIP(address) === family);
  if (asked.length === 0) throw notFound(host);
  const usable = alternate(asked).filter(({ address }) => pairs.sources.count(isIP(address)) > 0);
  // If none is left, the first one gives the reason.
  const chosen = usable.length > 0 ? usable : asked.slice(0, 1);
  return chosen.map(({ address }) => destinationAt(pairs, address, port));
}

/**
 * First of one family, then of the other, by turns, beginning with the resolver's choice (RFC 8305
 * § 4).
 */
function alternate(addresses: readonly LookupAddress[]): LookupAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  return first.flatMap((address, index) => {
    const rest = index === first.length - 1 ? second.slice(index) : second.slice(index, index + 1);
    return [address, ...rest];
  });
}

function notFound(host: string): Error {
  const error = invalid("ENOTFOUND", `getaddrinfo ENOTFOUND ${host}`);
  return Object.assign(error, { syscall: "getaddrinfo", hostname: host });
}
