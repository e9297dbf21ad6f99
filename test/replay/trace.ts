// Playing one trace: operations in the vectors' words, on one system that starts empty.
//
// The player writes down which ports each key has taken and never strikes one out, so that at the
// end it can give back whatever is left, also after releases that were not quite the opposite
// of their reservation.

import { EXHAUSTED, IN_USE, NO_MEMORY } from "../../assembly/abi.ts";
import type { Ask } from "../support/ask.ts";
import { BadInput } from "./input.ts";
import type { System, Tester } from "./system.ts";

/** A reservation without its port, in the vectors' words. Addresses: "" is any. */
interface Key {
  readonly networks: readonly number[];
  readonly transport: number;
  readonly addr: string;
  readonly flags: number;
  readonly device: number;
  readonly dest: { readonly addr: string; readonly port: number };
}

/** Which ports suit. Without any field: all of them. */
export interface TesterFields {
  readonly fail?: readonly number[];
  readonly failAlways?: boolean;
  readonly accept?: readonly number[];
  readonly acceptBelow?: number;
  readonly reject?: readonly number[];
}

interface Named extends Key {
  readonly port: number;
}

interface Stepped extends Key {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

interface Tested {
  readonly tester?: TesterFields;
}

interface Searching extends Tested {
  readonly offset: number;
}

interface Picking extends Searching {
  readonly op: "pick" | "pickStable";
  /** Each port that suits is then reserved, named, as connect() does. */
  readonly reserve?: Key;
}

export type Operation =
  | ({ readonly op: "reserve" } & Named & Tested)
  | ({ readonly op: "reserveEphemeral" } & Key & Searching)
  | ({ readonly op: "reserveTuple" | "release" } & Named)
  | ({ readonly op: "reserveRange" | "releaseRange" } & Stepped)
  | Picking
  | { readonly op: "setPortRange"; readonly start: number; readonly end: number }
  | { readonly op: "portRange" | "stats" };

export type Answer = Readonly<Record<string, string | number | boolean>>;

const REFUSALS = new Map([
  [IN_USE, "port-in-use"],
  [EXHAUSTED, "no-port-available"],
  [NO_MEMORY, "no-memory"],
]);

/** What a tester throws for a port that it fails on. Nothing else throws this. */
class TesterFailure extends Error {}

/** A key in the system's words, and every port that it ever took. */
interface Holder {
  readonly ask: Ask;
  readonly ports: Set<number>;
}

export class Player {
  operations = 0;
  readonly #system: System;
  readonly #holders = new Map<string, Holder>();

  constructor(system: System) {
    this.#system = system;
  }

  perform(operation: Operation): Answer {
    this.operations += 1;
    switch (operation.op) {
      case "reserve":
      case "reserveEphemeral":
        return this.#reserve(operation);
      case "reserveTuple":
        return this.#reserveTuple(operation);
      case "release":
        this.#system.release(this.#holder(operation).ask, operation.port);
        return {};
      case "reserveRange":
        return this.#reserveRange(operation);
      case "releaseRange":
        return this.#releaseRange(operation);
      case "pick":
      case "pickStable":
        return this.#pick(operation);
      case "setPortRange": {
        const isSet = this.#system.setRange(operation.start, operation.end);
        return isSet ? { ok: true } : { err: "invalid-port-range" };
      }
      case "portRange":
        return this.#system.range();
      case "stats":
        return this.#stats();
      default:
        throw new BadInput(
          `unknown operation ${JSON.stringify((operation as { op: unknown }).op)}`,
        );
    }
  }

  /** Gives everything back and closes. The answer should be zero in every field. */
  drain(): Answer {
    for (const { ask, ports } of this.#holders.values()) {
      for (const port of ports) this.#releaseAll(ask, port);
    }
    return { ...this.#stats(), bytes: this.#system.close() };
  }

  /** Closes a system that is no longer in order, so whatever it says about that is no news. */
  abandon(): void {
    try {
      this.#system.close();
    } catch {}
  }

  #reserve(operation: Operation & { op: "reserve" | "reserveEphemeral" }): Answer {
    const { ask, ports } = this.#holder(operation);
    const reserve = (test?: Tester): number =>
      operation.op === "reserve"
        ? this.#system.reserve(ask, operation.port, test)
        : this.#system.search(ask, operation.offset, test);

    const { tester } = operation;
    const answer =
      tester === undefined ? inWords(reserve()) : asked(reserve, (port) => suits(tester, port));
    return noted(answer, ports);
  }

  #reserveTuple(operation: Operation & { op: "reserveTuple" | "release" }): Answer {
    const { ask, ports } = this.#holder(operation);
    const ok = this.#system.tuple(ask, operation.port) === operation.port;
    if (ok) ports.add(operation.port);
    return { ok };
  }

  #reserveRange(operation: Operation & Stepped): Answer {
    const { ask, ports } = this.#holder(operation);
    let reserved = 0;
    for (let port = operation.from; port <= operation.to; port += operation.step) {
      if (this.#system.reserve(ask, port) !== port) continue;
      ports.add(port);
      reserved += 1;
    }
    return { reserved };
  }

  #releaseRange(operation: Operation & Stepped): Answer {
    const { ask } = this.#holder(operation);
    for (let port = operation.from; port <= operation.to; port += operation.step) {
      this.#system.release(ask, port);
    }
    return {};
  }

  #pick({ op, offset, tester = {}, reserve }: Picking): Answer {
    const pick = (test: Tester): number =>
      op === "pick" ? this.#system.pick(offset, test) : this.#system.pickStable(offset, test);
    if (reserve === undefined) return asked(pick, (port) => suits(tester, port));

    const { ask, ports } = this.#holder(reserve);
    const isTaken = (port: number): boolean => this.#system.reserve(ask, port) === port;
    return noted(
      asked(pick, (port) => suits(tester, port) && isTaken(port)),
      ports,
    );
  }

  #stats(): Answer {
    const { descriptors, counters, references } = this.#system.stats();
    return { descriptors, counters, refs: references };
  }

  #releaseAll(ask: Ask, port: number): void {
    for (let releases = 0; this.#system.release(ask, port); releases++) {
      if (releases > this.operations) throw new Error(`port ${port} is never free of references`);
    }
  }

  #holder(key: Key): Holder {
    const { networks, transport, addr, flags, device, dest } = key;
    const text = `${networks}|${transport}|${addr}|${flags}|${device}|${dest.addr}|${dest.port}`;
    let holder = this.#holders.get(text);
    if (holder === undefined) {
      if (flags >>> 3 !== 0) throw new RangeError(`flags ${flags} are not three bits`);
      const destination = { address: dest.addr, port: dest.port };
      const ask = { networks, transport, address: addr, flags, device, destination };
      holder = { ask, ports: new Set() };
      this.#holders.set(text, holder);
    }
    return holder;
  }
}

/** The answer to a call that takes a tester, with how often the tester was asked. */
function asked(ask: (test: Tester) => number, test: Tester): Answer {
  let calls = 0;
  try {
    const port = ask((candidate) => {
      calls += 1;
      return test(candidate);
    });
    return { ...inWords(port), calls };
  } catch (error) {
    if (error instanceof TesterFailure) return { err: "tester-error", calls };
    throw error;
  }
}

function inWords(port: number): Answer {
  return port > 0 ? { port } : { err: REFUSALS.get(port) ?? `refusal ${port}` };
}

function noted(answer: Answer, ports: Set<number>): Answer {
  if (typeof answer.port === "number") ports.add(answer.port);
  return answer;
}

function suits(tester: TesterFields, port: number): boolean {
  if (tester.failAlways || tester.fail?.includes(port)) throw new TesterFailure();
  if (tester.accept !== undefined && !tester.accept.includes(port)) return false;
  if (tester.acceptBelow !== undefined && port >= tester.acceptBelow) return false;
  return !tester.reject?.includes(port);
}
