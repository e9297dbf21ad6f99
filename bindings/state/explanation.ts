// The types of an explanation.

import type { PortRange } from "../requests/range.ts";
import type { HeldPort } from "./held-port.ts";

/**
 * Why a port cannot be had:
 *
 * - `"held"`: the holder shares with no other, or the request does not (it has no flags, or asks for
 *   an ephemeral TCP port).
 * - `"flags"`: a holder lacks flags that the request wants its fellow holders to have.
 * - `"cooling"`: the holder has given the port back, and it cools down.
 * - `"tuple"`: the very tuple is held, and the pool is `unique`.
 * - `"outside-group"`: the group does not allow the port.
 * - `"reserved"`: the list of reserved ports has it, for an automatic pick.
 * - `"avoided"`: the pool avoids it, or a connection from it would be one to itself.
 *
 * And of a connector:
 *
 * - `"headroom"`: it is kept free for other programs.
 * - `"blocks"`: it is in no block that is leased here.
 * - `"quarantined"`: another program holds it, or the system still keeps its tuple.
 * - `"source"`: the source cannot be bound.
 * - `"limit"`: something else than ports was used up; the text says what.
 */
export type ExplainRule =
  | "held"
  | "flags"
  | "cooling"
  | "tuple"
  | "outside-group"
  | "reserved"
  | "avoided"
  | "headroom"
  | "blocks"
  | "quarantined"
  | "source"
  | "limit";

/** One reason. */
export interface Obstacle {
  /** By which rule. */
  readonly rule: ExplainRule;
  /** The reason in words. */
  readonly text: string;
  /** The holder of the port, for an explicit port. */
  readonly holder?: HeldPort | undefined;
  /** The flags that the request wants and the holder lacks, where it matters which. */
  readonly lacks?: readonly string[] | undefined;
  /** How holder and request come to meet, for an explicit port. */
  readonly meets?: Meeting | undefined;
  /** When the cooldown of the port ends, in milliseconds of the clock that it was given. */
  readonly until?: number | undefined;
  /** The path of the group that set the limit. */
  readonly group?: string | undefined;
  /** For any port: how many ports of the range this rule takes away, each counted once. */
  readonly ports?: number | undefined;
}

/** How a holder and a request come to meet. */
export interface Meeting {
  /** `"any"`: one of the two is at the any address. */
  readonly address: "same" | "any";
  /** `"none"`: one of the two is on no device, and so on all. */
  readonly device: "same" | "none";
  /**
   * `"wildcard"`: one of the two goes to any destination; `"other"`: an ephemeral TCP port is not
   * shared.
   */
  readonly destination: "same" | "wildcard" | "other";
}

/** Whether a port can be had, and why not. */
export interface Explanation {
  /** Would the call succeed now? */
  readonly allowed: boolean;
  /** The port that was asked about; 0: any. */
  readonly port: number;
  /**
   * The reasons against it. For an explicit port every holder that has to go, and no other: if they
   * give the port back, it can be had. Where other flags would do as well, the fewest holders are
   * named. For any port the arithmetic: how many ports each rule takes away, and {@link free}, add
   * up to the range.
   */
  readonly because: readonly Obstacle[];
  /** For any port: the ephemeral range. */
  readonly searched?: PortRange | undefined;
  /** For any port: how many ports of the range can be had. */
  readonly free?: number | undefined;
}
