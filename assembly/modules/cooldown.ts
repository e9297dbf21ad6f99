// What cooldown.wasm exports: ports that rest, and the order in which ports come back. It runs over the
// memory of core.wasm, which holds and frees the ports themselves: all state is in memory.

export {
  closeCooldown,
  endRest,
  isResting,
  nextRipe,
  oldestResting,
  openCooldown,
  rest,
  restingCount,
  ripen,
} from "../cooldown/cooldown";
export {
  claim,
  closeOrder,
  nextCandidate,
  openOrder,
  release,
  releaseBatch,
  returnCandidate,
} from "../cooldown/fifo";
