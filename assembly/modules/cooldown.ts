// What cooldown.wasm exports: ports that cool down, and the order in which ports are offered again.
// It uses the memory of core.wasm, which holds and frees the ports themselves: all state is in
// memory.

export {
  closeCooldown,
  coolDown,
  cooldownClock,
  coolingAt,
  coolingCount,
  dueOf,
  endCooldown,
  expire,
  isCooling,
  nextExpiry,
  oldestCooling,
  openCooldown,
} from "../cooldown/cooldown";
export {
  claim,
  closeFifo,
  nextCandidate,
  nextOffered,
  openFifo,
  queuedAt,
  release,
  releaseBatch,
  returnCandidate,
} from "../cooldown/fifo";
