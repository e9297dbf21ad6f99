// Directory: a place of 16 bytes for each port that has something to say.
//
//   directory    0 ┌──────────────────┐
//                  │ page  u32        │  x 512: of the ports 128p .. 128p + 127; 0: none
//             2048 ├──────────────────┤
//                  │ spare u32        │  a page that is not used, kept at hand; 0: it is in use
//             2052 └──────────────────┘
//
//   page         0 ┌──────────────────┐
//                  │ used  u32        │  how many places (4 bytes follow that nobody uses)
//                8 ├──────────────────┤
//                  │ place 16 bytes   │  x 128
//             2056 └──────────────────┘
//
// A page comes with its first place and goes with its last. The spare spares whoever opens and closes
// one place again and again from making a page each time. What a page costs is charged beforehand.
//
// Must stay true: places that are not open are zeroed, and so is the spare page; without open
// places, the only page is the spare.

import { PORT_COUNT } from "../abi";
import { Address, allocZero, free } from "../memory/arena";
import { chargeBlock } from "../memory/bill";
import { Port } from "./bitmap";

const PAGE_SHIFT: u32 = 7;
export const PAGE_PLACES: u32 = 1 << PAGE_SHIFT;
const PLACE_SHIFT: usize = 4;
const SPARE: usize = <usize>(PORT_COUNT >> PAGE_SHIFT) * 4;
export const DIRECTORY_BYTES: usize = SPARE + 4;

const USED: usize = 0;
const PLACES: usize = 8;
const PAGE_BYTES: u32 = <u32>(PLACES + ((<usize>PAGE_PLACES) << PLACE_SHIFT));
if (DIRECTORY_BYTES != 2052 || PAGE_BYTES != 2056) ERROR("Directory no longer matches its diagram");

/** Makes zeroed memory a directory without places. False: no memory. */
export function openDirectory(account: Address, directory: Address): bool {
  const page = allocZero(account, PAGE_BYTES);
  store<u32>(directory, <u32>page, SPARE);
  return page != 0;
}

/** Gives back a directory without open places. */
export function closeDirectory(account: Address, directory: Address): void {
  free(account, load<u32>(directory, SPARE));
}

/** The place of a port: zeroed, or 0, unless it is open. */
export function placeOf(directory: Address, port: Port): Address {
  const page = pageOf(directory, port);
  return page ? placeIn(page, port) : 0;
}

/** Charges for opening a place that is not open. */
export function chargePlace(directory: Address, port: Port): void {
  if (!hasRoom(directory, port)) chargeBlock(PAGE_BYTES);
}

/** Does opening a place that is not open cost nothing? */
export function hasRoom(directory: Address, port: Port): bool {
  return (pageOf(directory, port) | load<u32>(directory, SPARE)) != 0;
}

/** A zeroed place, which must have been charged. */
export function openPlace(account: Address, directory: Address, port: Port): Address {
  const known = pageOf(directory, port);
  const page = known ? known : newPage(account, directory, port);
  store<u32>(page, load<u32>(page, USED) + 1, USED);
  return placeIn(page, port);
}

export function closePlace(account: Address, directory: Address, port: Port): void {
  const page = pageOf(directory, port);
  const place = placeIn(page, port);
  store<u64>(place, 0);
  store<u64>(place, 0, 8);
  const used = load<u32>(page, USED) - 1;
  store<u32>(page, used, USED);
  if (!used) freePage(account, directory, port, page);
}

function newPage(account: Address, directory: Address, port: Port): Address {
  const spare: Address = load<u32>(directory, SPARE);
  const page = spare ? spare : allocZero(account, PAGE_BYTES);
  assert(page != 0); // charged too little
  store<u32>(directory, 0, SPARE);
  store<u32>(entryOf(directory, port), <u32>page);
  return page;
}

function freePage(account: Address, directory: Address, port: Port, page: Address): void {
  store<u32>(entryOf(directory, port), 0);
  if (load<u32>(directory, SPARE)) free(account, page);
  else store<u32>(directory, <u32>page, SPARE);
}

function entryOf(directory: Address, port: Port): Address {
  return directory + ((<usize>(port >> PAGE_SHIFT)) << 2);
}

function pageOf(directory: Address, port: Port): Address {
  return load<u32>(entryOf(directory, port));
}

function placeIn(page: Address, port: Port): Address {
  return page + PLACES + ((<usize>(port & (PAGE_PLACES - 1))) << PLACE_SHIFT);
}
