// The next operation of a session on UDP and TCP sockets, planned by looking at the reference
// models alone.

import type { LinuxOperation, LinuxPlayer } from "../../replay/linux-trace.ts";
import { clamp, Planner, type Target } from "../linux/operations.ts";
import { type Kind, type Weights, weights } from "../linux/setup.ts";
import type { Reference } from "./reference.ts";
import type { Setup } from "./setup.ts";

export const WEIGHTS: Weights = weights({
  ...{ socket: 30, bind: 20, bindAny: 16, connect: 20, listen: 3, close: 26 },
  ...{ setReuse: 7, setLocalRange: 2, setUnprivilegedStart: 1, setTwReuse: 0 },
});

export class UdpPlanner extends Planner {
  readonly #setup: Setup;
  readonly #reference: Reference;

  constructor(setup: Setup, model: LinuxPlayer, reference: Reference) {
    super(setup, model);
    this.#setup = setup;
    this.#reference = reference;
  }

  protected override planned(kind: Kind): LinuxOperation | undefined {
    if (kind !== "setUnprivilegedStart") return super.planned(kind);
    return { op: kind, start: this.random.below(this.#reference.udp.range.first + 1) };
  }

  protected override socket(): (LinuxOperation & { op: "socket" }) | undefined {
    const { udp, privileged } = this.#setup;
    const socket = super.socket();
    if (socket === undefined) return undefined;
    const isUdp = this.random.chance(udp);
    // The model of TCP knows no privileged ports.
    const isPrivileged = !isUdp || this.random.chance(privileged);
    return { ...socket, type: isUdp ? "udp" : "tcp", privileged: isPrivileged };
  }

  protected override isMeant(kind: Kind, sock: number): boolean {
    const isOfTcp = kind === "listen" || kind === "closeToTimeWait";
    if (isOfTcp && this.model.look(sock).type === "udp") return false;
    return super.isMeant(kind, sock);
  }

  /** It never begins below the unprivileged ports. */
  protected override setLocalRange(): LinuxOperation {
    const { random } = this;
    const { first, count } = this.#setup;
    const last = first + count - 1;
    const start = Math.max(1, this.#reference.udp.unprivilegedStart);
    const low = random.chance(50) ? first : clamp(first - 2 + random.below(count + 3));
    const from = Math.max(start, low);
    const isWhole = from === first && random.chance(80);
    const high = isWhole ? last : clamp(from + random.below(64));
    return { op: "setLocalRange", low: from, high };
  }

  protected override target(sock: number): Target {
    const target = super.target(sock);
    if (this.model.look(sock).type === "tcp") return target;
    const { daddr, dport } = target;
    const { random } = this;
    const saddr = this.address();
    const portOffset = random.chance(50) ? random.below(200) : random.u32();
    return {
      ...{ daddr, dport },
      ...(saddr !== "" && { saddr }),
      // Without a seed it is not known where such a search starts.
      ...((this.#setup.seed === undefined || random.chance(50)) && { portOffset }),
    };
  }
}
