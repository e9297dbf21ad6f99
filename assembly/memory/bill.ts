// Bill: the memory that an operation will need, added up before the operation changes anything.
//
//   bill  0 ┌────────────────┐
//           │ cost      u32  │  of the blocks
//         4 ├────────────────┤
//           │ inserts   u32  │  nodes to be added to the table, which may have to grow
//         8 └────────────────┘
//
// An operation begins the bill, charges for each block that it will allocate, and asks whether it
// can pay. If it can, no allocation fails; if not, the operation is refused and nothing has
// changed.

import { Address, costOf, secure } from "./arena";
import { BILL_AT } from "./layout";
import { costToInsert } from "./table";

const COST: usize = BILL_AT;
const INSERTS: usize = BILL_AT + 4;

export function beginBill(): void {
  store<u64>(BILL_AT, 0);
}

export function chargeBlock(bytes: u32): void {
  store<u32>(COST, load<u32>(COST) + costOf(bytes));
}

export function chargeNode(bytes: u32): void {
  chargeNodes(bytes, 1);
}

export function chargeNodes(bytes: u32, count: u32): void {
  store<u32>(COST, load<u32>(COST) + costOf(bytes) * count);
  store<u32>(INSERTS, load<u32>(INSERTS) + count);
}

/** Makes sure that all charged blocks can be allocated. */
export function canPay(manager: Address): bool {
  const inserts = load<u32>(INSERTS);
  return secure(manager, load<u32>(COST) + (inserts ? costToInsert(manager, inserts) : 0));
}
