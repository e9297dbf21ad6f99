// Forgotten: what an object keeps in the core's memory goes back when the object is garbage, where the host tells.

/** Told of each object that keeps something; tells when one is garbage. The token ends that. */
type Registry<Kept> = Pick<FinalizationRegistry<Kept>, "register" | "unregister">;

/**
 * Calls `giveBack` for what forgotten objects kept. Where the host has no `FinalizationRegistry` (a Worker
 * whose compatibility date lies before 2025-05-05), nobody tells, and `close()` alone gives memory back.
 */
export function registerCleanup<Kept>(giveBack: (kept: Kept) => void): Registry<Kept> {
  if (typeof FinalizationRegistry === "function") return new FinalizationRegistry(giveBack);
  return { register: () => undefined, unregister: () => false };
}
