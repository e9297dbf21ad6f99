// Requests: who asks, and how the naive twin is asked.

import type { NaiveRequest } from "./baselines/naive.ts";

/** The local address of all that has one address. */
export const ADDRESS = "10.0.0.1";

/** A TCP request for a port of one address, without flags, device and destination. */
export function naiveRequest(port: number, more: Partial<NaiveRequest> = {}): NaiveRequest {
  return {
    networks: [4],
    transport: 6,
    address: ADDRESS,
    port,
    flags: 0,
    device: 0,
    destination: { address: "", port: 0 },
    ...more,
  };
}
