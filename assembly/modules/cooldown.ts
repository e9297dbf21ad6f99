// What cooldown.wasm exports: ports that cool down, and the order in which ports are offered again. It
// uses the memory of core.wasm, which holds and frees the ports themselves: all state is in memory.

export {
  closeCooldown,
  coolDown as rest,
  coolingCount as restingCount,
  endCooldown as endRest,
  expire as ripen,
  isCooling as isResting,
  nextExpiry as nextRipe,
  oldestCooling as oldestResting,
  openCooldown,
} from "../cooldown/cooldown";
export {
  claim,
  closeFifo as closeOrder,
  nextCandidate,
  openFifo as openOrder,
  release,
  releaseBatch,
  returnCandidate,
} from "../cooldown/fifo";
