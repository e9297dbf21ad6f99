// The reference model as a system to replay on. It needs no core, so it can be judged alone.

import { ReferencePortManager, type ReferenceRequest } from "../models/reference-manager.ts";
import type { Key, System, Tester } from "./system.ts";

export function openReference(): System<ReferenceRequest> {
  return new Reference();
}

class Reference implements System<ReferenceRequest> {
  readonly #manager = new ReferencePortManager();

  request(key: Key): ReferenceRequest {
    const { networks, transport, flags, device } = key;
    const destination = { address: key.dest.addr, port: key.dest.port };
    return { networks, transport, address: key.addr, port: 0, flags, device, destination };
  }

  reserve(request: ReferenceRequest, port: number, test?: Tester): number {
    request.port = port;
    return this.#manager.reservePort(request, 0, test);
  }

  reserveEphemeral(request: ReferenceRequest, offset: number, test?: Tester): number {
    request.port = 0;
    return this.#manager.reservePort(request, offset, test);
  }

  reserveTuple(request: ReferenceRequest, port: number): boolean {
    request.port = port;
    return this.#manager.reserveTuple(request);
  }

  release(request: ReferenceRequest, port: number): boolean {
    request.port = port;
    return this.#manager.releasePort(request);
  }

  pick(offset: number, test: Tester): number {
    return this.#manager.pickEphemeralPort(offset, test);
  }

  pickStable(offset: number, test: Tester): number {
    return this.#manager.pickEphemeralPortStable(offset, test);
  }

  setPortRange(first: number, last: number): boolean {
    return this.#manager.setPortRange(first, last);
  }

  portRange(): { first: number; last: number } {
    return this.#manager.portRange();
  }

  stats(): { descriptors: number; counters: number; refs: number } {
    const { descriptors, counters, references } = this.#manager.stats();
    return { descriptors, counters, refs: references };
  }

  close(): number {
    return 0;
  }
}
