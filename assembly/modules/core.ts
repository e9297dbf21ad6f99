// What core.wasm exports: the words and handles of the port manager, groups, reserved ports,
// selections. The linux room is a module of its own (modules/linux.ts).

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
export { moveMember } from "../netstack/group-uses";
export {
  advanceHint,
  closeManager,
  counterCount,
  descriptorCount,
  hint,
  openManager,
  range,
  referenceCount,
  setRange,
  usedBytes,
} from "../netstack/manager";
export {
  closeFlowHandle,
  freeMany,
  freePort,
  handleRange,
  hasTaken,
  heldCount,
  moveHandle,
  openFlowHandle,
  take,
  takeAt,
  takeBetween,
  takeMany,
} from "../netstack/pools";
export {
  clampToRequest,
  isAvailable,
  releasePort,
  reserveEphemeral,
  reservePort,
  reserveTuple,
} from "../netstack/reservations";
export {
  addReserved,
  clearReserved,
  closeReserved,
  hasReserved,
  nextReserved,
  openReserved,
  reservedCount,
} from "../ports/reserved";
export {
  advance,
  closeSelector,
  counterAt,
  openSelector,
  secretWord,
  setCounter,
  slotOf,
  tupleHash,
} from "../selection/selector";
