// The reference model as a system to play on. It needs no core, so it can be judged alone.

import { IN_USE } from "../../assembly/abi.ts";
import { ReferencePortManager } from "../models/reference-manager.ts";
import { type Ask, toModel } from "../support/ask.ts";
import type { Stats, System, Tester } from "./system.ts";

export class ReferenceSystem implements System {
  protected readonly model: ReferencePortManager;

  constructor(model: ReferencePortManager = new ReferencePortManager()) {
    this.model = model;
  }

  reserve(ask: Ask, port: number, test?: Tester): number {
    return this.model.reservePort(toModel(ask, port), 0, test);
  }

  search(ask: Ask, offset: number, test?: Tester): number {
    return this.model.reservePort(toModel(ask, 0), offset, test);
  }

  connect(ask: Ask, offset: number): number {
    return this.model.connect(toModel(ask, 0), offset);
  }

  tuple(ask: Ask, port: number): number {
    return this.model.reserveTuple(toModel(ask, port)) ? port : IN_USE;
  }

  release(ask: Ask, port: number): boolean {
    return this.model.releasePort(toModel(ask, port));
  }

  isAvailable(ask: Ask, port: number): boolean {
    return this.model.isAvailable(toModel(ask, port));
  }

  pick(offset: number, test: Tester): number {
    return this.model.pickEphemeralPort(offset, test);
  }

  pickStable(offset: number, test: Tester): number {
    return this.model.pickEphemeralPortStable(offset, test);
  }

  setRange(first: number, last: number): boolean {
    return this.model.setPortRange(first, last);
  }

  range(): { first: number; last: number } {
    return this.model.portRange();
  }

  stats(): Stats {
    return this.model.stats();
  }

  verify(): void {}

  close(): number {
    return 0;
  }
}
