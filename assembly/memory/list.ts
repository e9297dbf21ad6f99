// List: a doubly linked list of records, from which a record is removed without a search.
//
//   head  ┌────────────┐         record + links 0 ┌──────────────────┐
//         │ first  u32 │                          │ next        u32  │  0: the last
//         └────────────┘                        4 ├──────────────────┤
//                                                 │ previous    u32  │  0: the first
//                                               8 └──────────────────┘
//
// The head is a word in the record of the list's owner. A record may be in several lists: the
// offset of the links in the record is an argument. New records are added at the front.

import { Address } from "./arena";

const NEXT: usize = 0;
const PREVIOUS: usize = 4;

export function pushFirst(head: Address, record: Address, links: usize): void {
  const first: Address = load<u32>(head);
  store<u32>(record + links, <u32>first, NEXT);
  store<u32>(record + links, 0, PREVIOUS);
  if (first) store<u32>(first + links, <u32>record, PREVIOUS);
  store<u32>(head, <u32>record);
}

export function takeOut(head: Address, record: Address, links: usize): void {
  const next: Address = load<u32>(record + links, NEXT);
  const previous: Address = load<u32>(record + links, PREVIOUS);
  if (next) store<u32>(next + links, <u32>previous, PREVIOUS);
  if (previous) store<u32>(previous + links, <u32>next, NEXT);
  else store<u32>(head, <u32>next);
}
