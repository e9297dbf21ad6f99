// What the release build exports: the words and handles of the port manager, and its figures.

export {
  closeFlowHandle,
  freeMany,
  freePort,
  hasTaken,
  heldCount,
  openFlowHandle,
  take,
  takeAt,
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
export {
  isAvailable,
  releasePort,
  reserveEphemeral,
  reservePort,
  reserveTuple,
} from "./netstack/reserve";
