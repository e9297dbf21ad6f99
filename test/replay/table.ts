// gVisor's own table tests as traces. A table says less than a recording does: that something
// works, or the error it gives, or which ports will do; `wanted` turns that into steps.

import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from "../../assembly/abi.ts";
import { BadInput, parse } from "./input.ts";
import type { Operation, TesterFields, Answer as TraceAnswer } from "./trace.ts";

/** One operation, and the judge of its answer; `expected` is what the judge wants, to be read. */
export interface Step<Asked = Operation, Answer = TraceAnswer> {
  readonly operation: Asked;
  readonly expected: unknown;
  agrees(got: Answer): boolean;
}

interface TableTrace {
  readonly name: string;
  readonly steps: Iterable<Step>;
}

interface Want {
  readonly ok?: true;
  readonly err?: string;
  readonly port?: number;
}

interface Table {
  readonly reservation: {
    readonly cases: readonly { name: string; actions: (Operation & { want: Want })[] }[];
  };
  readonly pick: {
    readonly cases: readonly { name: string; range: Range; tester: TesterFields; want: Want }[];
  };
  readonly wrap: { readonly first: number; readonly count: number; readonly offsets: Range };
}

type Range = readonly [first: number, last: number];

const PICKS = ["pick", "pickStable"] as const;

/** "Any offset", as the table says: ends of the range, a little past them, and far beyond. */
const OFFSETS = [0, 1, 42, 999, 1000, 1001, 65535, 65536, 2 ** 31, 2 ** 32 - 1];

export function readTable(text: string, place: string): TableTrace[] {
  const table = parse(text, place);
  if (!isTable(table)) {
    throw new BadInput(`${place}: not a table: expected reservation, pick and wrap`);
  }

  const traces: TableTrace[] = [];
  for (const { name, actions } of table.reservation.cases) {
    traces.push({ name, steps: actions.map((action) => reservation(action)) });
  }
  for (const op of PICKS) {
    for (const { name, range, tester, want } of table.pick.cases) {
      traces.push({ name: `${op}: ${name}`, steps: picks(op, range, tester, want) });
    }
    traces.push({ name: `${op}: offsets near 65,536`, steps: wraps(op, table.wrap) });
  }
  return traces;
}

/** Whether it has the outline of a table; what its cases hold is taken on trust. */
function isTable(value: unknown): value is Table {
  const { reservation, pick, wrap } = (value ?? {}) as {
    [key in keyof Table]?: Partial<Table[key]>;
  };
  return (
    Array.isArray(reservation?.cases) && Array.isArray(pick?.cases) && Array.isArray(wrap?.offsets)
  );
}

/** The table leaves the offset of a search open, so any will do. */
function reservation({ want, ...action }: Operation & { want: Want }): Step {
  if (action.op !== "reserveEphemeral") return wanted(action, want);
  return among({ ...action, offset: 0 }, EPHEMERAL_FIRST, EPHEMERAL_LAST, []);
}

function* picks(
  op: (typeof PICKS)[number],
  [start, end]: Range,
  tester: TesterFields,
  want: Want,
): Generator<Step> {
  yield wanted({ op: "setPortRange", start, end }, { ok: true });
  for (const offset of OFFSETS) yield wanted({ op, offset, tester }, want);
}

/** From each offset, as many picks as there are ports, each of which must find a new one. */
function* wraps(
  op: (typeof PICKS)[number],
  { first, count, offsets }: Table["wrap"],
): Generator<Step> {
  const last = first + count - 1;
  yield wanted({ op: "setPortRange", start: first, end: last }, { ok: true });
  for (let offset = offsets[0]; offset <= offsets[1]; offset++) {
    const reject: number[] = [];
    const step = among({ op, offset, tester: { reject } }, first, last, reject);
    for (let i = 0; i < count; i++) yield step;
  }
}

function wanted(operation: Operation, want: Want): Step {
  return {
    operation,
    expected: want,
    agrees: (got) => got.err === want.err && (want.port === undefined || got.port === want.port),
  };
}

/** Any port of `first..last` not met before will do; it is met then. */
function among(operation: Operation, first: number, last: number, met: number[]): Step {
  return {
    operation,
    expected: { port: `a new one of ${first}..${last}` },
    agrees: ({ port }) => {
      if (typeof port !== "number" || port < first || port > last) return false;
      return !met.includes(port) && met.push(port) > 0;
    },
  };
}
