// PageTable: 16 bytes for each port that needs them, in pages of 128 ports.
//
//   table        0 ┌──────────────────┐
//                  │ page  u32        │  x 512: of the ports 128p .. 128p + 127; 0: none
//             2048 ├──────────────────┤
//                  │ spare u32        │  an unused, zeroed page; 0: that page is in use
//             2052 └──────────────────┘
//
//   page         0 ┌──────────────────┐
//                  │ used  u32        │  number of open places (4 unused bytes follow)
//                8 ├──────────────────┤
//                  │ place 16 bytes   │  x 128
//             2056 └──────────────────┘
//
// Opening the first place of a page allocates the page, and closing its last place frees it. One
// spare page stays allocated, so that opening and closing a single place again and again allocates
// nothing. The memory for a page is charged before the operation.
//
// Must stay true: places that are not open are zeroed, and so is the spare page; a table without
// open places has no page but the spare one.

import { PORT_COUNT } from "../abi";
import { Address, allocZero, free } from "../memory/arena";
import { chargeBlock } from "../memory/bill";
import { Port } from "./bitmap";

const PAGE_SHIFT: u32 = 7;
export const PAGE_PLACES: u32 = 1 << PAGE_SHIFT;
const PLACE_SHIFT: usize = 4;
const SPARE: usize = <usize>(PORT_COUNT >> PAGE_SHIFT) * 4;
export const PAGE_TABLE_BYTES: usize = SPARE + 4;

const USED: usize = 0;
const PLACES: usize = 8;
const PAGE_BYTES: u32 = <u32>(PLACES + ((<usize>PAGE_PLACES) << PLACE_SHIFT));
if (PAGE_TABLE_BYTES != 2052 || PAGE_BYTES != 2056)
  ERROR("PageTable no longer matches its diagram");

/** Makes zeroed memory a table without places. False: no memory. */
export function openPageTable(account: Address, table: Address): bool {
  const page = allocZero(account, PAGE_BYTES);
  store<u32>(table, <u32>page, SPARE);
  return page != 0;
}

/** Frees the spare page of a table without open places. */
export function closePageTable(account: Address, table: Address): void {
  free(account, load<u32>(table, SPARE));
}

/** The place of a port. If it is not open, it is zeroed, or 0 where its page does not exist. */
export function placeOf(table: Address, port: Port): Address {
  const page = pageOf(table, port);
  return page ? placeIn(page, port) : 0;
}

/** Charges for opening the place of a port. */
export function chargePlace(table: Address, port: Port): void {
  if (!hasRoom(table, port)) chargeBlock(PAGE_BYTES);
}

/** Can the place of a port be opened without memory? */
export function hasRoom(table: Address, port: Port): bool {
  return (pageOf(table, port) | load<u32>(table, SPARE)) != 0;
}

/** Opens the place of a port and returns it, zeroed. It must have been charged. */
export function openPlace(account: Address, table: Address, port: Port): Address {
  const known = pageOf(table, port);
  const page = known ? known : newPage(account, table, port);
  store<u32>(page, load<u32>(page, USED) + 1, USED);
  return placeIn(page, port);
}

export function closePlace(account: Address, table: Address, port: Port): void {
  const page = pageOf(table, port);
  const place = placeIn(page, port);
  store<u64>(place, 0);
  store<u64>(place, 0, 8);
  const used = load<u32>(page, USED) - 1;
  store<u32>(page, used, USED);
  if (!used) freePage(account, table, port, page);
}

function newPage(account: Address, table: Address, port: Port): Address {
  const spare: Address = load<u32>(table, SPARE);
  const page = spare ? spare : allocZero(account, PAGE_BYTES);
  assert(page != 0); // charged too little
  store<u32>(table, 0, SPARE);
  store<u32>(entryOf(table, port), <u32>page);
  return page;
}

function freePage(account: Address, table: Address, port: Port, page: Address): void {
  store<u32>(entryOf(table, port), 0);
  if (load<u32>(table, SPARE)) free(account, page);
  else store<u32>(table, <u32>page, SPARE);
}

function entryOf(table: Address, port: Port): Address {
  return table + ((<usize>(port >> PAGE_SHIFT)) << 2);
}

function pageOf(table: Address, port: Port): Address {
  return load<u32>(entryOf(table, port));
}

function placeIn(page: Address, port: Port): Address {
  return page + PLACES + ((<usize>(port & (PAGE_PLACES - 1))) << PLACE_SHIFT);
}
