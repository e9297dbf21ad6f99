// What linux.wasm exports: the kernel's bind() and connect(), sockets, bind buckets and TIME_WAIT.
// It uses the memory of core.wasm, and contains what it uses of the folders below: all state is in
// memory.

export { bindAny, bindAt, bindRange, listenAny, listenBound } from "../linux/bind";
export { connectByHash, connectRange, connectSocket } from "../linux/connect";
export { bucketFastreuse, bucketOwners, bucketWaits, closeLinux } from "../linux/linux";
// Linux 6.8 to 6.18.
export { acceptFrom, acceptModern, isKnownFrom } from "../linux/modern/accept";
export { bindModern, listenModern, modernRange } from "../linux/modern/bind";
export { connectModern } from "../linux/modern/connect";
export { closeModern, disconnect, receiveModern, shutdownModern } from "../linux/modern/ending";
export {
  closeModernSystem,
  modernCount,
  modernFastreuse,
  modernOwners,
} from "../linux/modern/modern";
export {
  modernAddressWord,
  modernDevice,
  modernFlags,
  modernName,
  modernOwnRange,
  modernPort,
  setModernDevice,
  setModernFlag,
  setModernRange,
} from "../linux/modern/options";
export { moveModernSocket, openModernSocket } from "../linux/modern/socket";
export {
  currentModernTime,
  modernSecret,
  modernSetting,
  modernUsed,
  openModern,
  setModern,
} from "../linux/modern/system";
export { expireModern, setModernNow, setReuseDelay } from "../linux/modern/time-wait";
export { closeModernUdp, connectModernUdp, disconnectModernUdp } from "../linux/modern/udp";
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
