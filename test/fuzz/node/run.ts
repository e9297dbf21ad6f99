// A run of the connector's fuzzer: session after session, until the time is over or something does
// not hold.

import { startServers } from "./servers.ts";
import { type Sabotage, session } from "./session.ts";

export interface RunOptions {
  /** The seed of the first session; each has the next. */
  readonly seed: number;
  /** Asked before each session. */
  readonly isOver: (progress: RunProgress) => boolean;
  readonly sabotage?: Sabotage;
}

export interface RunProgress {
  readonly seed: number;
  readonly sessions: number;
  readonly connections: number;
}

export interface RunResult extends RunProgress {
  /** What does not hold in the last session, and which seed shows it. */
  readonly mismatch: { readonly seed: number; readonly what: string } | undefined;
}

/** Runs sessions, one after the other. Exceptions that nothing handles are mismatches, too. */
export async function runConnector({ seed, isOver, sabotage }: RunOptions): Promise<RunResult> {
  const servers = await startServers();
  let uncaught: unknown;
  const onUncaught = (error: unknown): void => {
    uncaught ??= error;
  };
  process.on("uncaughtException", onUncaught);
  let progress = { seed, sessions: 0, connections: 0 };
  let mismatch: RunResult["mismatch"];
  try {
    while (mismatch === undefined && !isOver(progress)) {
      const at = (seed + progress.sessions) >>> 0;
      const result = await session(at, servers, sabotage);
      const what =
        result.mismatch ?? (uncaught === undefined ? undefined : `uncaught: ${uncaught}`);
      if (what !== undefined) mismatch = { seed: at, what };
      const { sessions, connections } = progress;
      progress = { seed, sessions: sessions + 1, connections: connections + result.connections };
    }
  } finally {
    process.off("uncaughtException", onUncaught);
    await servers.close();
  }
  return { ...progress, mismatch };
}
