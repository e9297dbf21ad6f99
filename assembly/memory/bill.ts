// Bill: what an operation is going to need, added up before anything changes.
//
//   bill  0 ┌────────────────┐
//           │ cost      u32  │  of the blocks
//         4 ├────────────────┤
//           │ inserts   u32  │  nodes for the table, which may have to grow
//         8 └────────────────┘
//
// begin, charge for each thing that will be made, then ask whether it can be paid: either the
// operation runs to its end, or it is refused and nothing has changed.

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
  chargeBlock(bytes);
  store<u32>(INSERTS, load<u32>(INSERTS) + 1);
}

/** Secures all that has been charged. */
export function canPay(manager: Address): bool {
  const inserts = load<u32>(INSERTS);
  return secure(manager, load<u32>(COST) + (inserts ? costToInsert(manager, inserts) : 0));
}
