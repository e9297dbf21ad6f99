// The implementation: Linux2632Ports on one build, with the reasons of refusals of UDP sockets.

import { PortError } from "../../../bindings/errors.ts";
import type { Linux2632Ports } from "../../../bindings/linux/rules/2.6.32/ports.ts";
import type { Linux2632Socket } from "../../../bindings/linux/rules/2.6.32/socket.ts";
import { OnLinuxPorts } from "../../replay/linux-ports.ts";
import type { Left, Outcome } from "../../replay/linux-system.ts";
import type { Modules } from "../../support/builds.ts";
import type { Setup } from "./setup.ts";

/** Keys that are given draw nothing from the seed. */
const HASH = { algorithm: "hash", secret: new Uint8Array(32), from: 0 } as const;

export class Implementation extends OnLinuxPorts {
  readonly #fillers: readonly Linux2632Socket[];

  constructor(setup: Setup, modules: Modules) {
    const { hint, first, count, localAddress, unprivilegedStart, seed, limit, spare } = setup;
    super(hint, {
      ...{ ...modules, localAddress, connectSelection: HASH },
      ...{
        portRange: { first, last: first + count - 1 },
        unprivilegedPortStart: unprivilegedStart,
      },
      ...(seed !== undefined && { seed }),
      ...(limit !== undefined && { memoryLimit: limit }),
    });
    this.#fillers = spare === undefined ? [] : fill(this.ports, spare);
  }

  override end(): Left {
    for (const socket of this.#fillers) socket.close();
    return super.end();
  }

  protected override outcome<T>(socket: Linux2632Socket, ask: () => T): T | Outcome {
    if (socket.type !== "udp") return super.outcome(socket, ask);
    try {
      return ask();
    } catch (error) {
      if (!(error instanceof PortError) || NO_ANSWERS.test(error.code)) throw error;
      const { code, reason, searched } = error;
      return { code, reason, ...(searched !== undefined && { searched }) };
    }
  }
}

/** Mistakes, and want of memory. */
const NO_ANSWERS = /^ERR_|^EBADF$|^ENOENT$|^ENOBUFS$/;

/** Opens sockets that do nothing, until so many bytes are left, or a few less than one takes. */
export function fill(ports: Linux2632Ports, spare: number): Linux2632Socket[] {
  const fillers: Linux2632Socket[] = [];
  const { limit } = ports.stats().memory;
  for (;;) {
    const before = ports.stats().memory.used;
    const socket = ports.socket({ type: "udp" });
    const { used } = ports.stats().memory;
    fillers.push(socket);
    if (limit - used - (used - before) < spare) return fillers;
  }
}
