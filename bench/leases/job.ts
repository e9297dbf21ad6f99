// Jobs of the comparison: what a worker is told, and what it tells.

export interface Job {
  readonly source: string;
  /** Of the server that connections go to. */
  readonly port: number;
  readonly range: { readonly first: number; readonly last: number };
  /** Are ports leased in blocks? */
  readonly isLeased: boolean;
}

export interface Counts {
  /** Milliseconds from asking for a connection to having it. */
  times: number[];
  failed: number;
  conflicts: number;
  open: number;
  spilled: number;
  lastError: string;
}
