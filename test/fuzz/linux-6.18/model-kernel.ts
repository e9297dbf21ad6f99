// The reference model of Linux 6.18 in the place of the kernel: it answers sequences of calls.

import type { Socket } from "../../models/linux-6.18/kernel.ts";
import { type ModelSystem, openModel } from "../../replay/linux-6.18/model-system.ts";
import { type Call, Player, setupOf } from "../../replay/linux-6.18/sequences.ts";
import type { Setup } from "../../replay/linux-6.18/system.ts";
import type { Answers, Environment, Kernel } from "../kernel/kernel.ts";

export class ModelKernel implements Kernel {
  readonly #open: (setup: Setup) => ModelSystem;

  constructor(open: (setup: Setup) => ModelSystem = openModel) {
    this.#open = open;
  }

  async run({ exec_as_owner, ...env }: Environment, calls: readonly Call[]): Promise<Answers> {
    const player = new ModelPlayer(this.#open(setupOf(env, 1)), Number(exec_as_owner));
    return { answers: calls.map((call) => player.play(call)), ms: 0 };
  }

  async close(): Promise<void> {}
}

class ModelPlayer extends Player {
  readonly #model: ModelSystem;

  constructor(model: ModelSystem, exec_as_owner: number) {
    super(model, { exec_as_owner });
    this.#model = model;
  }

  /** With what the socket then says of itself, if there is one. */
  override play(call: Call): string {
    const [op, name] = call;
    const answer = this.#answer(call);
    const socket = op === "sleep" ? undefined : this.#socket(name);
    if (socket === undefined) return answer;
    const { address, port } = this.#model.name(socket);
    return `${answer} ${address}|${port}${socket.isTcp ? ` ${socket.state}` : ""}`;
  }

  #answer(call: Call): string {
    const [op, name, value] = call;
    switch (op) {
      case "accept":
        return this.#accept(name, value);
      case "shutdown":
        return this.#model.shutdown(this.#socket(name) as Socket);
      case "close": {
        const socket = this.#socket(name) as Socket;
        this.known.delete(name);
        return this.#model.close(socket, value as boolean);
      }
      case "look":
        return this.#look();
      case "end":
        return `${this.end().bytes} bytes are left`;
      default:
        return super.play(call) as string;
    }
  }

  #accept(listener: unknown, name: unknown): string {
    const socket = this.#model.accept(this.#socket(listener) as Socket);
    if (socket === undefined) return "EAGAIN";
    this.known.set(name, { socket, uid: this.known.get(listener)?.uid ?? 0 });
    return "ok";
  }

  #look(): string {
    const told = [...this.known.keys()].map((name) => {
      const socket = this.#socket(name) as Socket;
      return [this.#model.name(socket), socket.port, socket.state];
    });
    return JSON.stringify([told, this.#model.host.timeWaits]);
  }

  #socket(name: unknown): Socket | undefined {
    return this.known.get(name)?.socket as Socket | undefined;
  }
}
