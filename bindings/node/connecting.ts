// Connecting: what the openings of one connector have in common.

import type { ConnectorSettings } from "./connector-options.ts";
import type { Events } from "./events.ts";
import type { Explain } from "./explain.ts";
import type { Opening } from "./opening.ts";
import type { Pool } from "./pool.ts";
import type { Waiting } from "./waiting.ts";

export interface Connecting {
  readonly settings: ConnectorSettings;
  readonly pool: Pool;
  readonly waiting: Waiting;
  readonly explain: Explain;
  readonly events: Events;
  /**
   * Those under way, in no order; each knows its place. No Set: where elements come and go, a Set replaces its table
   * time and again, an old one refers to the new one, and V8 keeps both, and what was in them, for longer than needed.
   */
  readonly openings: Opening[];
}
