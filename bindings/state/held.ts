// What a manager holds, as plain records: how callers filter it, and how one record looks.

import { LINE_BYTES } from "../../assembly/abi.ts";
import type { Core } from "../core/core.ts";
import type { PortGroup } from "../groups/group.ts";
import type { PoolRecord } from "../pool-record.ts";
import { type Address, ANY, parseAddress } from "../requests/address.ts";
import { groupAt, writeKey } from "../requests/block.ts";
import { checkPort, checkUint32, readOptions } from "../requests/checks.ts";
import type { Key } from "../requests/parsing.ts";
import { addressText, flagNames } from "../requests/printing.ts";
import type { Reservation } from "../reservation.ts";
import { isSame } from "./conflicts.ts";
import { FlowList, keyAt, keyText, type LineFilter, lineText } from "./flow-list.ts";
import type { HeldFilter, HeldPort } from "./held-port.ts";
import type { Purges, Rest } from "./release-all.ts";

interface CheckedFilter {
  readonly transport: number | undefined;
  readonly network: number | undefined;
  readonly address: Address | undefined;
  /** 0: any. */
  readonly port: number;
  readonly group: PortGroup | undefined;
}

const LINE = LINE_BYTES >> 2;
const FILTER_NAMES = ["transport", "network", "address", "port", "group"];

/**
 * Checks a filter.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`,
 * `ERR_INVALID_IP_ADDRESS`, `ERR_SOCKET_BAD_PORT`; `ENOENT`, `EBADF` (the group is gone).
 */
export function checkFilter(core: Core, value: HeldFilter): CheckedFilter {
  const { transport, network, address, port, group } = readOptions("filter", value, FILTER_NAMES);
  groupAt(core, group);
  return {
    transport: transport === undefined ? undefined : checkUint32("transport", transport),
    network: network === undefined ? undefined : checkUint32("network", network),
    address: address === undefined ? undefined : parseAddress("address", address),
    port: port === undefined ? 0 : checkPort(port),
    group,
  };
}

/** A reservation object, as far as lists want to know. */
export interface Known {
  readonly key: Key;
  readonly port: number;
  /** The object itself. */
  readonly id: Reservation;
  release(): boolean;
  narrow(networks: readonly number[]): boolean;
}

/** What a list is made from. */
export interface HeldSource {
  readonly core: Core;
  readonly manager: number;
  readonly pools: Iterable<PoolRecord>;
  /** Reservations that cool down. */
  readonly cooling: Iterable<Known & { readonly due: number }>;
  /** Reservations that were made in groups. */
  readonly grouped: Iterable<Known>;
}

/** All that is held and agrees with a filter, as it is now. */
export function listHeld(source: HeldSource, filter: CheckedFilter): IterableIterator<HeldPort> {
  if (isFree(source, filter)) return [].values();
  const list = FlowList.of(source.core, source.manager, filter.port, lineFilter(filter));
  const isWanted = filter.group && membersOf(source, filter.group);
  return records(list, isWanted, coolingOf(source));
}

/**
 * Is it certain that the port of a filter has no holder? Every holder refuses a reservation without
 * flags, so one question tells, if the filter names the network and the transport.
 */
function isFree({ core, manager }: HeldSource, filter: CheckedFilter): boolean {
  const { network, transport, address = ANY, port } = filter;
  if (port === 0 || network === undefined || transport === undefined) return false;
  const ends = { device: 0, destination: ANY, destinationPort: 0, flags: 0 };
  const none = { group: undefined, reserved: undefined };
  writeKey(core, { networks: [network], transport, address, ...ends, ...none });
  return core.exports.isAvailable(manager, port) === 1;
}

function* records(
  list: FlowList,
  isWanted: Membership<true> | undefined,
  cooling: Membership<number> | undefined,
): Generator<HeldPort> {
  const { words } = list;
  const needsText = isWanted !== undefined || cooling !== undefined;
  for (let index = 0; index < list.count; index++) {
    const text = needsText ? lineText(words, index * LINE) : "";
    const { networks, transport, address, bindToDevice, destination, flags } = describe(
      keyAt(words, index * LINE),
    );
    for (const [port, count] of list.countsOf(index)) {
      if (isWanted !== undefined && !isWanted(text, port)) continue;
      const isCooling = cooling?.(text, port) !== undefined;
      // One by one: a copy of all that is described takes five times as long.
      yield {
        networks,
        transport,
        address,
        bindToDevice,
        destination,
        flags,
        port,
        count,
        cooling: isCooling,
      };
    }
  }
}

export function describe(key: Key): Omit<HeldPort, "port" | "count" | "cooling"> {
  return {
    networks: key.networks,
    transport: key.transport,
    address: addressText(key),
    bindToDevice: key.device,
    destination: { address: key.destination.text, port: key.destinationPort },
    flags: flagNames(key.flags),
  };
}

// ── Releasing ─────────────────────────────────────────────────────────────────────────────

/** Releases all that is held and agrees with a filter, and tells the objects that know of it. */
export function releaseHeld(
  source: HeldSource,
  filter: CheckedFilter,
  purges: Purges,
  release: (key: Key, port: number) => boolean,
): void {
  const { group } = filter;
  const isPools = group && membersOf({ ...source, grouped: [] }, group);
  const rest: Rest = (key, port) => restOf(key, port, filter, isPools);
  const list = FlowList.of(source.core, source.manager, filter.port, lineFilter(filter));
  // Reservations whose objects are known leave their groups, and their cooldowns end.
  for (const known of [...source.grouped, ...source.cooling]) {
    const isIn = group !== undefined && known.key.group === group;
    const left = restOf(known.key, known.port, filter, isIn ? undefined : isPools);
    if (left === undefined) known.release();
    else if (left !== known.key) known.narrow(left.networks);
  }
  for (let index = 0; index < list.count; index++) {
    const key = keyAt(list.words, index * LINE);
    for (const [port, count] of list.countsOf(index)) {
      if (rest(key, port) !== undefined) continue;
      for (let left = count; left > 0 && release(key, port); left--);
    }
  }
  purges.add(group === undefined ? nameOf(filter) : `group ${purges.epoch}`, rest);
}

/** What a release by a filter leaves of a description. */
function restOf(
  key: Key,
  port: number,
  filter: CheckedFilter,
  isPools: Membership<true> | undefined,
): Key | undefined {
  const { transport, network, address } = filter;
  if (filter.port !== 0 && filter.port !== port) return key;
  if (transport !== undefined && transport !== key.transport) return key;
  if (address !== undefined && !isSame(address, key.address)) return key;
  const networks = key.networks.filter(
    (one) =>
      (network !== undefined && network !== one) ||
      (isPools !== undefined && !isPools(keyText(key, one), port)),
  );
  if (networks.length === key.networks.length) return key;
  return networks.length === 0 ? undefined : { ...key, networks };
}

function nameOf({ transport, network, address, port }: CheckedFilter): string {
  return [transport, network, address?.text, port].join(" ");
}

// ── Membership ────────────────────────────────────────────────────────────────────────────

/** The reservation or pool of some kind that has a description and a port. */
type Membership<T> = (text: string, port: number) => T | undefined;

/** @returns `undefined`: there is no reservation and no pool. */
function membership<T, One extends Pick<Known, "key" | "port">>(
  reservations: Iterable<One>,
  ofReservation: (one: One) => T,
  pools: readonly PoolRecord[],
  ofPool: (pool: PoolRecord, port: number) => T | undefined,
): Membership<T> | undefined {
  const known = new Map<string, Map<number, T>>();
  const ofPools = new Map<string, PoolRecord[]>();
  for (const one of reservations) {
    for (const network of one.key.networks) {
      const text = keyText(one.key, network);
      known.set(text, (known.get(text) ?? new Map()).set(one.port, ofReservation(one)));
    }
  }
  for (const pool of pools) {
    for (const network of pool.key.networks) {
      const text = keyText(pool.key, network);
      ofPools.set(text, [...(ofPools.get(text) ?? []), pool]);
    }
  }
  if (known.size === 0 && ofPools.size === 0) return undefined;
  return (text, port) => {
    const found = known.get(text)?.get(port);
    if (found !== undefined) return found;
    for (const pool of ofPools.get(text) ?? []) {
      const answer = ofPool(pool, port);
      if (answer !== undefined) return answer;
    }
    return undefined;
  };
}

/** Until when ports are cooling; `undefined`: none is. */
export function coolingOf(source: HeldSource): Membership<number> | undefined {
  const pools = [...source.pools].filter((pool) => (pool.cooling?.count ?? 0) > 0);
  return membership(
    source.cooling,
    ({ due }) => due,
    pools,
    (pool, port) => pool.cooling?.dueOf(port),
  );
}

function membersOf(source: HeldSource, group: PortGroup): Membership<true> {
  const pools = [...source.pools].filter(({ key }) => key.group === group);
  const always = (): true => true;
  return membership(ofGroup(source.grouped, group), always, pools, always) ?? (() => undefined);
}

function* ofGroup(reservations: Iterable<Known>, group: PortGroup): Generator<Known> {
  for (const one of reservations) if (one.key.group === group) yield one;
}

function lineFilter({ transport, network, address }: CheckedFilter): LineFilter {
  return (words, at) =>
    (network === undefined || words[at + 1] === network) &&
    (transport === undefined || words[at + 2] === transport) &&
    (address === undefined || address.words.every((word, index) => words[at + 4 + index] === word));
}
