// Protocol: what the page and its worker say to each other.
//
//   page                                worker
//   open, change, range, look      ─▶   does it, and answers `opened` or `failed`
//   frame (a buffer, milliseconds) ─▶   runs the scenario, draws into the buffer
//                                  ◀─   picture (the same buffer)
//   step, ask, measure             ─▶   picture follows; answers; costs
//
// There are two buffers for pictures: one is painted while the other is drawn. The side that has a
// buffer works on it, so frames do not pile up, and a worker that is behind draws fewer pictures,
// not older ones.

import type { Settings } from "./settings.ts";

/** Which range: that of the system, or of a group by its place. */
export type Place = "system" | number;

export type ToWorker =
  /** Begins again, and makes so many operations. */
  | { readonly kind: "open"; readonly settings: Settings; readonly operations: number }
  /** What takes effect at once (`isLive`). */
  | { readonly kind: "change"; readonly settings: Settings }
  | ChangeRange
  | { readonly kind: "look"; readonly from: Place }
  | { readonly kind: "step"; readonly operations: number }
  | Frame
  | { readonly kind: "ask" }
  | { readonly kind: "measure"; readonly occupancies: readonly number[] };

export interface ChangeRange {
  readonly kind: "range";
  readonly of: Place;
  readonly first: number;
  readonly last: number;
}

export interface Frame {
  readonly kind: "frame";
  readonly codes: ArrayBuffer;
  /** Milliseconds that the scenario goes on; 0: it stands still. */
  readonly elapsed: number;
  /** The port that the visitor looks at. */
  readonly port: number | undefined;
}

export type FromWorker =
  | { readonly kind: "opened"; readonly ranges: Ranges }
  | Picture
  | { readonly kind: "answers"; readonly codes: Uint8Array; readonly milliseconds: number }
  | Cost
  | { readonly kind: "measured" }
  /** What was asked for is not possible, and the settings are still these. */
  | {
      readonly kind: "failed";
      readonly message: string;
      readonly settings: Settings | undefined;
    };

/** The ranges as they are, the system's and those of the groups. */
export interface Ranges {
  readonly system: Span;
  readonly groups: readonly (Span | undefined)[];
}

export interface Span {
  readonly first: number;
  readonly last: number;
}

export interface Picture {
  readonly kind: "picture";
  /** One byte per port (states.ts). */
  readonly codes: ArrayBuffer;
  /** How many ports are in each state. */
  readonly counts: readonly number[];
  /** Of the even ports, and of the odd ones. */
  readonly parity: readonly [even: Share, odd: Share];
  readonly figures: Figures;
  readonly details: PortDetails | undefined;
}

/** How many of the range's ports that are not reserved are held or cool down. */
export interface Share {
  readonly used: number;
  readonly of: number;
}

/** All since the scenario began. */
export interface Figures {
  /** Milliseconds of the scenario's own clock. */
  readonly time: number;
  /** Ports asked for and released. */
  readonly operations: number;
  readonly refused: number;
  /** Connections. */
  readonly live: number;
  /** Milliseconds in which the scenario ran, and in which pictures were drawn. */
  readonly running: number;
  readonly drawing: number;
}

/** What is known of one port. */
export interface PortDetails {
  readonly port: number;
  readonly state: number;
  readonly holders: readonly string[];
  readonly cooling: readonly string[];
  readonly requests: readonly Answer[];
}

/** How a request for that port would be answered. */
export interface Answer {
  readonly request: string;
  readonly isGranted: boolean;
  readonly answer: string;
}

/** What is compared. */
export type System = "portwarden" | "JS bitmap" | "reference model";

/** What a port costs by one system at one occupancy, as far as it has been measured. */
export interface Cost {
  readonly kind: "cost";
  readonly system: System;
  readonly occupancy: number;
  /** Nanoseconds for one take and one free. */
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly batches: number;
  /** In one batch. */
  readonly operations: number;
}
