// The exports of linux.wasm: the kernel's bind() and connect(), sockets, bind buckets and
// TIME_WAIT. Names end with the rules that they belong to. It uses the memory of core.wasm, and
// contains what it uses of the folders below: all state is in memory.

// ── Linux 2.6.32 ──────────────────────────────────────────────────────────────────────────

export {
  bindAny as bindAny2632,
  bindAt as bindAt2632,
  bindRange as bindRange2632,
  countOpen as countOpen2632,
  judgeBind as judgeBind2632,
  listenAny as listenAny2632,
  listenBound as listenBound2632,
} from "../linux/rules/2.6.32/bind";
export {
  connectByHash as connectByHash2632,
  connectRange as connectRange2632,
  connectSocket as connectSocket2632,
  countOpenTo as countOpenTo2632,
} from "../linux/rules/2.6.32/connect";
export {
  bucketFastreuse as fastreuse2632,
  bucketOwners as owners2632,
  closeLinux as closeSystem2632,
} from "../linux/rules/2.6.32/linux";
export {
  addressWord as addressWord2632,
  closeSocket as closeSocket2632,
  hasReuse as hasReuse2632,
  idOf as id2632,
  moveSocket as moveSocket2632,
  openSocket as openSocket2632,
  preferOwnAddress as preferOwnAddress2632,
  setSocketReuse as setSocketReuse2632,
  socketPort as port2632,
  stateOf as state2632,
} from "../linux/rules/2.6.32/socket";
export { nextRecord2632, readRecord2632, restoreRecord2632 } from "../linux/rules/2.6.32/state";
export {
  connectHint as connectHint2632,
  countOf as count2632,
  lastId as lastId2632,
  openLinux as open2632,
  setLastId as restoreLastId2632,
  setTimeWaitReuse as setTimeWaitReuse2632,
  setUnprivilegedStart as setStart2632,
  timeWaitReuse as timeWaitReuse2632,
  unprivilegedStart as start2632,
} from "../linux/rules/2.6.32/system";
export {
  closeToWait as closeToWait2632,
  currentTime as currentTime2632,
  expireWaits as expire2632,
  firstWait as firstWait2632,
  setNow as setNow2632,
} from "../linux/rules/2.6.32/time-wait";
export { connectUdp as connectUdp2632 } from "../linux/rules/2.6.32/udp";

export {
  range as portRange2632,
  setRange as setPortRange2632,
  usedBytes as used2632,
} from "../netstack/manager";

// ── Linux 6.8 to 6.18 ─────────────────────────────────────────────────────────────────────

export {
  accept618,
  acceptFrom as acceptFrom618,
  addWaiting as linkWaiting618,
  isKnownFrom as isKnownFrom618,
} from "../linux/rules/6.18/accept";
export { bind618, listen618, range618 } from "../linux/rules/6.18/bind";
export { connect618 } from "../linux/rules/6.18/connect";
export {
  close618,
  disconnect618,
  receive618,
  shutdown618,
} from "../linux/rules/6.18/ending";
export {
  allowsPort618,
  countOpen618,
  countOpenTo618,
  hasTuple618,
  isLike618,
  searched618,
  verdict618,
} from "../linux/rules/6.18/explain";
export { closeSystem618, count618, fastreuse618, owners618 } from "../linux/rules/6.18/linux";
export {
  addressWord618,
  device618,
  flags618,
  id618,
  name618,
  ownRange618,
  port618,
  setDevice618,
  setFlag618,
  setRange618,
} from "../linux/rules/6.18/options";
export { moveSocket618, openSocket618 } from "../linux/rules/6.18/socket";
export {
  linkListener618,
  nextRecord618,
  readLike618,
  readRecord618,
  restoreBucket618,
  restoreRecord618,
} from "../linux/rules/6.18/state";
export {
  counter618,
  currentTime618,
  open618,
  portRange618,
  reached618,
  secret618,
  secretOf618,
  set618,
  setCounter618,
  setPortRange618,
  setReached618,
  setStart618,
  setting618,
  start618,
  used618,
} from "../linux/rules/6.18/system";
export {
  anyWait as firstWait618,
  expire618,
  linkPeer as linkPeer618,
  setNow618,
  setReuseDelay as setReuseDelay618,
} from "../linux/rules/6.18/time-wait";
export { closeUdp618, connectUdp618, disconnectUdp618 } from "../linux/rules/6.18/udp";
