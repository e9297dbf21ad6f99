// Plan of a chaos run: the orders that its processes get, and their reports.

export type StoreName = "host" | "redis" | "etcd";

/** Which store, and how. */
export interface StoreAssignment {
  readonly store: StoreName;
  /** Where the store is reached: through the proxy, if there is one. */
  readonly storePort: number;
  readonly ttl: number;
  readonly rest: number;
  readonly source: string;
  /** Both ends included. */
  readonly blocks: { readonly first: number; readonly last: number };
}

/** What a worker is to do. */
export interface Assignment extends StoreAssignment {
  readonly range: { readonly first: number; readonly last: number };
  /** Of the server that connections go to. */
  readonly port: number;
  /** The file for its uses of blocks. */
  readonly log: string;
  /** A rule is broken, for the control. */
  readonly isBroken: boolean;
}

export interface WorkerCounts {
  opened: number;
  /** For want of a port. */
  refused: number;
  failed: number;
  conflicts: number;
}
