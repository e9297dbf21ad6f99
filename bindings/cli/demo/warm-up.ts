// Warm-up: before anything is timed, every way opens and closes some connections to a server of its
// own. Code that has not run yet is slow, so the first way would look worst. Ports towards the
// servers that are measured are not touched.

import { OpenConnections } from "./connections.ts";
import { Servers } from "./servers.ts";
import type { Way } from "./ways.ts";

/**
 * Warms ways alike, in turn. Failures here are ignored: they occur again when the way is measured.
 * @param count connections that each way opens and closes.
 * @param serverPort a port of loopback that is free; 0 for one that the kernel chooses.
 */
export async function warmUp(
  ways: readonly Way[],
  count: number,
  serverPort: number,
  stop: AbortSignal,
): Promise<void> {
  const servers = await Servers.start(1, serverPort, stop);
  try {
    const [destination] = servers.destinations;
    for (let turn = 0; turn < count && destination !== undefined; turn++) {
      for (const way of ways) {
        if (stop.aborted) return;
        const connections = new OpenConnections(way);
        await connections.open(destination);
        await connections.close();
      }
    }
  } finally {
    await servers.close();
  }
}
