// What the release build exports: the words and handles of the port manager, and its figures.

export {
  closeTree,
  createGroup,
  effectiveRange,
  groupRange,
  groupUses,
  openTree,
  removeGroup,
  setGroupRange,
} from "./groups/tree";
export { bindAny, bindAt, bindRange, listenAny, listenBound } from "./linux/bind";
export { connectByHash, connectRange, connectSocket } from "./linux/connect";
export { connectDatagram } from "./linux/datagram";
export { closeLinux, recordFastreuse, recordOwners, recordWaits } from "./linux/linux";
export {
  addressWord,
  closeSocket,
  hasReuse,
  moveSocket,
  openSocket,
  preferOwnAddress,
  setSocketReuse,
  socketPort,
  stateOf,
} from "./linux/socket";
export {
  connectHint,
  datagramCount,
  openLinux,
  owningCount,
  recordCount,
  setTimeWaitReuse,
  setUnprivilegedStart,
  timeWaitReuse,
  unprivilegedStart,
  waitingCount,
} from "./linux/system";
export { closeToWait, currentTime, expireWaits, setNow } from "./linux/wait";
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
} from "./netstack/handle";
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
} from "./netstack/manager";
export { moveMember } from "./netstack/members";
export {
  clampToRequest,
  isAvailable,
  releasePort,
  reserveEphemeral,
  reservePort,
  reserveTuple,
} from "./netstack/reserve";
export {
  addReserved,
  clearReserved,
  closeReserved,
  hasReserved,
  nextReserved,
  openReserved,
  reservedCount,
} from "./ports/reserved";
export {
  advance,
  closeSelector,
  counterAt,
  openSelector,
  secretWord,
  setCounter,
  slotOf,
  tupleHash,
} from "./ports/selector";
