// What linux.wasm exports: the kernel's bind() and connect(), sockets, bind buckets and TIME_WAIT.
// It uses the memory of core.wasm, and contains what it uses of the folders below: all state is in
// memory.

export { bindAny, bindAt, bindRange, listenAny, listenBound } from "../linux/bind";
export { connectByHash, connectRange, connectSocket } from "../linux/connect";
export { bucketFastreuse, bucketOwners, bucketWaits, closeLinux } from "../linux/linux";
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
  bucketCount,
  connectHint,
  openLinux,
  owningCount,
  setTimeWaitReuse,
  setUnprivilegedStart,
  timeWaitReuse,
  udpSocketCount,
  unprivilegedStart,
  waitingCount,
} from "../linux/system";
export { closeToWait, currentTime, expireWaits, setNow } from "../linux/time-wait";
export { connectUdp } from "../linux/udp";
