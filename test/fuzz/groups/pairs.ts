// What a session on managers in groups consists of: each thing is there twice, as the real one and
// as its model.

import {
  PortError,
  type PortGroup,
  type PortManager,
  type PortPool,
  type Reservation,
  type ReservedPorts,
} from "../../../bindings/index.ts";
import type { GroupModel, ManagerModel, Place } from "../../models/reference-groups.ts";
import type { Ask } from "../../support/ask.ts";

export const THROWN: Error = new Error("thrown by a tester");

export interface Group {
  readonly real: PortGroup;
  readonly model: GroupModel;
}

export interface List {
  readonly real: ReservedPorts;
  readonly model: Set<number>;
}

/** A reservation or an open pool. */
export interface Holder<Real extends Reservation | PortPool> {
  readonly real: Real;
  readonly ask: Ask;
  group: Group | undefined;
}

export interface OpenPool extends Holder<PortPool> {
  readonly place: Omit<Place, "group">;
  readonly ports: number[];
}

export interface Manager {
  readonly real: PortManager;
  readonly model: ManagerModel;
  readonly usedAtOpen: number;
  readonly reservations: Holder<Reservation>[];
  readonly pools: OpenPool[];
  /** What closed pools have left. */
  readonly left: { readonly ask: Ask; readonly port: number }[];
}

export interface Change {
  readonly says: string;
  real(): void;
  model(): void;
}

/** What a tester does and says when it is asked. */
export interface Answer {
  readonly change: Change | undefined;
  readonly says: boolean | "throws";
}

/** A number, what a tester has thrown, or the code of an error. */
export function orThrown(act: () => number): number | string {
  try {
    return act();
  } catch (error) {
    if (error === THROWN) return "thrown";
    if (error instanceof PortError) return error.code;
    throw error;
  }
}
