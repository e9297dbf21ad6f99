// Cleanup: frees the memory in the core of an object that has become garbage.

/** Watches objects that keep memory, until `unregister` is called with the token. */
export type Registry<Resources> = Pick<FinalizationRegistry<Resources>, "register" | "unregister">;

/**
 * Calls `giveBack` with the memory of each object that has become garbage. Where the host has no
 * `FinalizationRegistry` (a Worker whose compatibility date lies before 2025-05-05), `close()`
 * alone gives memory back.
 */
export function registerCleanup<Resources>(
  giveBack: (resources: Resources) => void,
): Registry<Resources> {
  if (typeof FinalizationRegistry === "function") return new FinalizationRegistry(giveBack);
  return { register: () => undefined, unregister: () => false };
}
