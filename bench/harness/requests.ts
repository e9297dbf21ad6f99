// Requests: who asks, and how the reference model is asked.

import type { ReferenceRequest } from "../../test/models/reference-manager.ts";

/** The local address of all that has one address. */
export const ADDRESS = "10.0.0.1";

/** A TCP request for a port of one address, without flags, device and destination. */
export function referenceRequest(
  port: number,
  more: Partial<ReferenceRequest> = {},
): ReferenceRequest {
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
