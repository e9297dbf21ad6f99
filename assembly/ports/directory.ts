// Directory: finds what belongs to a port, by two loads.
//
//   directory    0 ┌──────────────────┐
//                  │ page  u32        │  x 256: of the ports 256p .. 256p + 255; 0: none
//             1024 ├──────────────────┤
//                  │ spare u32        │  a page without items, kept at hand; 0: it is in use
//             1028 └──────────────────┘
//
//   page         0 ┌──────────────────┐
//                  │ used  u32        │  how many items
//                4 ├──────────────────┤
//                  │ item  u32        │  x 256: an address, 0: none
//             1028 └──────────────────┘
//
// A page comes with its first item and goes with its last; the spare page spares whoever adds and
// removes one item again and again from making one each time. What a page costs is charged beforehand.
//
// Must stay true: the spare page is zeroed; without items, the only page is the spare.

import { PORT_COUNT } from "../abi";
import { Address, allocZero, free } from "../memory/arena";
import { chargeBlock } from "../memory/bill";
import { Port } from "./bitmap";

const PAGE_SHIFT: u32 = 8;
const PAGE_ITEMS: u32 = 1 << PAGE_SHIFT;
const SPARE: usize = <usize>(PORT_COUNT >> PAGE_SHIFT) * 4;
export const DIRECTORY_BYTES: usize = SPARE + 4;

const USED: usize = 0;
const ITEMS: usize = 4;
const PAGE_BYTES: u32 = <u32>ITEMS + PAGE_ITEMS * 4;
if (DIRECTORY_BYTES != 1028) ERROR("Directory no longer matches its diagram");

/** Makes zeroed memory a directory without items. False: no memory. */
export function openDirectory(account: Address, directory: Address): bool {
  const page = allocZero(account, PAGE_BYTES);
  store<u32>(directory, <u32>page, SPARE);
  return page != 0;
}

/** Gives back a directory without items. */
export function closeDirectory(account: Address, directory: Address): void {
  free(account, load<u32>(directory, SPARE));
}

/** What belongs to the port, or 0. */
export function findItem(directory: Address, port: Port): Address {
  const page = pageOf(directory, port);
  return page ? <Address>load<u32>(itemAt(page, port), ITEMS) : 0;
}

/** Charges for an item of a port that has none. */
export function chargeItem(directory: Address, port: Port): void {
  if (!pageOf(directory, port) && !load<u32>(directory, SPARE)) chargeBlock(PAGE_BYTES);
}

/** Adds the item of a port that has none. It must have been charged. */
export function addItem(account: Address, directory: Address, port: Port, item: Address): void {
  const known = pageOf(directory, port);
  const page = known ? known : newPage(account, directory, port);
  store<u32>(itemAt(page, port), <u32>item, ITEMS);
  store<u32>(page, load<u32>(page, USED) + 1, USED);
}

export function removeItem(account: Address, directory: Address, port: Port): void {
  const page = pageOf(directory, port);
  store<u32>(itemAt(page, port), 0, ITEMS);
  const used = load<u32>(page, USED) - 1;
  store<u32>(page, used, USED);
  if (used) return;
  store<u32>(placeOf(directory, port), 0);
  if (load<u32>(directory, SPARE)) free(account, page);
  else store<u32>(directory, <u32>page, SPARE);
}

function newPage(account: Address, directory: Address, port: Port): Address {
  const spare: Address = load<u32>(directory, SPARE);
  const page = spare ? spare : allocZero(account, PAGE_BYTES);
  assert(page != 0); // charged too little
  store<u32>(directory, 0, SPARE);
  store<u32>(placeOf(directory, port), <u32>page);
  return page;
}

/** Lowest port from `port` on that has an item, or `PORT_COUNT`. */
export function nextItem(directory: Address, port: Port): Port {
  let at = port;
  while (at < <u32>PORT_COUNT) {
    if (!pageOf(directory, at)) at = (at | (PAGE_ITEMS - 1)) + 1;
    else if (findItem(directory, at)) return at;
    else at++;
  }
  return PORT_COUNT;
}

function placeOf(directory: Address, port: Port): Address {
  return directory + ((<usize>(port >> PAGE_SHIFT)) << 2);
}

function pageOf(directory: Address, port: Port): Address {
  return load<u32>(placeOf(directory, port));
}

function itemAt(page: Address, port: Port): Address {
  return page + ((<usize>(port & (PAGE_ITEMS - 1))) << 2);
}
