// A session on UDP and TCP sockets, which is one on Linux' ports with UDP sockets among them. What
// LinuxPorts refuses a UDP socket must not have changed a byte, for want of memory as for any other
// reason.

import { verifyLinux } from "../../../bindings/linux/system.ts";
import type { Refused } from "../../replay/linux-system.ts";
import type { LinuxOperation } from "../../replay/linux-trace.ts";
import type { Modules } from "../../support/builds.ts";
import { LinuxSession } from "../linux/session.ts";
import { compare } from "../mismatch.ts";
import { Implementation } from "./implementation.ts";
import { UdpPlanner } from "./operations.ts";
import { type NewModel, Reference } from "./reference.ts";
import type { Setup } from "./setup.ts";

export class UdpSession extends LinuxSession<Reference> {
  constructor(setup: Setup, modules: Modules, newModel?: NewModel) {
    const system = new Implementation(setup, modules);
    const underTest = { system, verify: () => verifyLinux(system.ports), used: () => system.used };
    super(new Reference(setup, newModel), underTest, setup);
  }

  protected override newPlanner(setup: Setup): UdpPlanner {
    return new UdpPlanner(setup, this.model, this.reference);
  }

  /** What makes no sense here is not done, as after others have been left out. */
  override perform(operation: LinuxOperation): boolean {
    const { range, unprivilegedStart } = this.reference.udp;
    if (operation.op === "setLocalRange" && operation.low < unprivilegedStart) return false;
    if (operation.op === "setUnprivilegedStart" && operation.start > range.first) return false;
    const isOfUdp = "sock" in operation && this.model.has(operation.sock);
    const socket = isOfUdp ? this.model.look(operation.sock) : undefined;
    const used = this.underTest.used?.();
    const { refusals } = this.figures;
    const isDone = super.perform(operation);
    if (socket?.type !== "udp" || !isDone) return isDone;

    if (this.figures.refusals > refusals) {
      if (operation.op === "connect") this.#count("noMemoryToConnect");
      return true;
    }
    const { err } = this.lastAnswer ?? {};
    if (err !== undefined) compare("bytes in use after a refusal", this.underTest.used?.(), used);
    const { reason } = (err ?? {}) as Partial<Refused>;
    if (operation.op === "bind" || operation.op === "connect") {
      const isNamed = operation.op === "bind" && operation.port !== 0;
      this.#count(reason ?? (socket.port !== 0 ? "again" : isNamed ? "named" : "found"));
    }
    return true;
  }

  override trace(): string {
    return "with UDP sockets, which no trace has";
  }

  #count(what: string): void {
    this.figures[what] = (this.figures[what] ?? 0) + 1;
  }
}
