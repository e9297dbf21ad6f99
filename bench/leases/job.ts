// Jobs of the comparison: the orders that a worker gets, and its reports.

export interface Job {
  readonly sources: readonly string[];
  readonly threads: number;
  /** Of the server that connections go to. */
  readonly port: number;
  range: { readonly first: number; readonly last: number };
  /** Has each process, and each thread, a part of the range? */
  readonly isDivided: boolean;
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
