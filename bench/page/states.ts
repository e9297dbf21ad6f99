// States: what a port in the picture can be, as one byte, and how each state is named and coloured.

/** A state's place in the list is its byte. */
export const FREE = 0;
export const HELD = 1;
export const SHARED = 2;
export const COOLING = 3;
export const RESERVED = 4;
export const OUTSIDE = 5;
/** Held by worker n: this and n, from 1 to 4. */
export const WORKER = 5;

interface State {
  /** Names the custom property of page.css that has its colour. */
  readonly name: string;
  readonly label: string;
  readonly meaning: string;
}

/** In the order of their bytes. */
export const STATES: readonly State[] = [
  { name: "free", label: "free", meaning: "no connection has it" },
  { name: "held", label: "held", meaning: "one connection has it" },
  { name: "shared", label: "shared", meaning: "connections to several destinations have it" },
  { name: "cooling", label: "cooling", meaning: "released, and cooling, as in TIME_WAIT" },
  { name: "reserved", label: "reserved", meaning: "automatic picks pass over it" },
  { name: "outside", label: "outside", meaning: "outside the range seen from here" },
  ...[1, 2, 3, 4].map((worker) => ({
    name: `worker-${worker}`,
    label: `worker ${worker}`,
    meaning: "a connection of that worker has it",
  })),
];

export const PORTS = 65536;
