// The exports of cooldown.wasm: ports that cool down, and the order in which ports are offered
// again. It uses the memory of core.wasm, and calls it to hold and free the ports themselves: all
// state is in memory.

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
  settleCooldown,
} from "../cooldown/cooldown";
export {
  claim,
  closeFifo,
  nextOffered,
  openFifo,
  queuedAt,
  release,
  releaseBatch,
  settleFifo,
} from "../cooldown/fifo";
export { coolDownHeld, freeDue, freeInOrder, takeCooled, takeInOrder } from "../cooldown/pool";
