// ConnectorContext: the objects that all operations of one connector use.

import type { Events } from "../metrics/events.ts";
import type { WaitTimes } from "../metrics/wait-times.ts";
import type { PairTable } from "../sources/pair-table.ts";
import type { ConnectOperation } from "./connect-operation.ts";
import type { ConnectorSettings } from "./connector-options.ts";
import type { ExhaustionErrors } from "./exhaustion-errors.ts";
import type { WaitQueues } from "./wait-queues.ts";

export interface ConnectorContext {
  readonly settings: ConnectorSettings;
  readonly pairs: PairTable;
  readonly queues: WaitQueues;
  readonly errors: ExhaustionErrors;
  readonly events: Events;
  readonly waits: WaitTimes;
  /**
   * The operations under way, in no order; each knows its index. This is no Set: where elements
   * come and go, a Set replaces its table again and again, an old table refers to the new one, and
   * V8 keeps both, and their elements, for longer than needed.
   */
  readonly operations: ConnectOperation[];
}
