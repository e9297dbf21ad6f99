// What linux.wasm exports: the kernel's bind() and connect(), sockets, bind buckets and TIME_WAIT. It
// uses the memory of core.wasm, and contains what it uses of the folders below: all state is in memory.

export { bindAny, bindAt, bindRange, listenAny, listenBound } from "../linux/bind";
export { connectByHash, connectRange, connectSocket } from "../linux/connect";
export { connectDatagram } from "../linux/datagram";
export { closeLinux, recordFastreuse, recordOwners, recordWaits } from "../linux/linux";
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
} from "../linux/socket";
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
} from "../linux/system";
export { closeToWait, currentTime, expireWaits, setNow } from "../linux/wait";
