// The exports of core.wasm: reservations and pools of the port manager, groups, reserved ports,
// port selection. linux/ is a module of its own (modules/linux.ts).

export {
  closeTree,
  createGroup,
  effectiveRange,
  groupRange,
  groupUses,
  openTree,
  removeGroup,
  setGroupRange,
} from "../groups/tree";
export { moveGroupUse } from "../netstack/group-uses";
export { listFlows, listPorts, poolFlow, writeLine } from "../netstack/listing";
export {
  closeManager,
  counterCount,
  descriptorCount,
  hint,
  openManager,
  peakCount,
  range,
  referenceCount,
  setRange,
  takenCount,
  usedBytes,
} from "../netstack/manager";
export {
  closePool,
  freeMany,
  freePort,
  hasTaken,
  heldCount,
  movePool,
  openPool,
  placeOf,
  poolRange,
  setPlace,
  take,
  takeAt,
  takeBetween,
  takeHashed,
  takeMany,
  takeNext,
} from "../netstack/pools";
export { setHint } from "../netstack/records";
export {
  acceptIpv4,
  clampToRequest,
  closeIpv4,
  isAvailable,
  releasePort,
  reserveAny,
  reserveEphemeral,
  reservePort,
  reserveTuple,
} from "../netstack/reservations";
export {
  expectSingles,
  isHeld,
  restoreExtra,
  restoreSingles,
} from "../netstack/restoring";
export { settleAggregates } from "../netstack/tree";
export { extraOf, nextExtraOf } from "../ports/counted";
export {
  addReserved,
  clearReserved,
  closeReserved,
  deleteReserved,
  openReserved,
} from "../ports/reserved";
export {
  advance,
  closeSelector,
  counterAt,
  openSelector,
  secretAt,
  secretWord,
  setCounter,
  slotOf,
  tupleHash,
} from "../selection/selector";
