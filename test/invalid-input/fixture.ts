// Fixture: a manager that holds every kind of port, so that a bad call has something to break, and
// the check that it has broken nothing.

import { inspect } from "node:util";
import { expect } from "vitest";
import {
  PortError,
  type PortManager,
  type PortPool,
  type Reservation,
  type Stats,
  TCP,
} from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";
import { type Build, openOn } from "../support/builds.ts";

export interface Fixture {
  readonly manager: PortManager;
  readonly pool: PortPool;
  readonly reservation: Reservation;
  /** Another manager of the same instance, with a reservation of its own. */
  readonly other: PortManager;
  readonly strange: Reservation;
}

/** What an act is refused with. */
export interface Refused {
  readonly code: string;
  readonly reason?: string;
  readonly syscall?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly searched?: { readonly first: number; readonly last: number } | undefined;
  /** Parts of the message. */
  readonly says?: string | readonly string[];
}

/** A value that is wrong, what to call it, and how it is refused. */
export type Row<R extends Refused = Refused> = readonly [name: string, value: unknown, refused: R];

/** The same refusal, with that in its message. */
export function says<R extends Refused>(refused: R, text: string): R {
  return { ...refused, says: text };
}

/** Rows of values that are refused in one way, and speak for themselves. */
export function all<R extends Refused>(refused: R, ...values: readonly unknown[]): Row<R>[] {
  const show = (value: unknown): string => inspect(value, { breakLength: Number.MAX_VALUE });
  return values.map((value) => [show(value), value, refused]);
}

/** The shortest module there is: it exports nothing. */
export const EMPTY_MODULE: WebAssembly.Module = new WebAssembly.Module(
  Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0),
);

/** A request that is right in every way. */
export const RIGHT: { networks: number[]; transport: number; port: number } = {
  networks: [4],
  transport: TCP,
  port: 80,
};

export const TYPE: Refused = { code: "ERR_INVALID_ARG_TYPE" };
export const VALUE: Refused = { code: "ERR_INVALID_ARG_VALUE" };
export const OUT: Refused = { code: "ERR_OUT_OF_RANGE" };
export const BAD_PORT: Refused = { code: "ERR_SOCKET_BAD_PORT" };
export const BAD_ADDRESS: Refused = { code: "ERR_INVALID_IP_ADDRESS" };
export const BAD_RANGE: Refused = { code: "EINVAL", reason: "invalid-port-range" };
export const CLOSED: Refused = { code: "EBADF", reason: "closed" };

export function openFixture(build: Build): Fixture {
  const manager = openOn(build, { seed: 1, portRange: { first: 2000, last: 2009 } });
  const other = openOn(build);
  const pool = manager.pool({ networks: [4], transport: TCP, flags: { loadBalanced: true } });
  pool.take();
  manager.reserveTuple({ ...RIGHT, networks: [4, 6], destination: { address: "9.9.9.9" } });
  manager.reserveTuple({ ...RIGHT, address: "10.0.0.1", flags: { tupleOnly: true } });
  manager.reserveTuple({ ...RIGHT, address: "10.0.0.1", flags: { tupleOnly: true } });
  const reservation = manager.reservePort({ networks: [4], transport: TCP, port: 443 });
  const strange = other.reservePort({ networks: [4], transport: TCP, port: 443 });
  return { manager, pool, reservation, other, strange };
}

export function closeFixture({ manager, other }: Fixture): void {
  manager.close();
  other.close();
}

/** The act is refused in that way. */
export function expectError(act: () => unknown, { says = [], ...rest }: Refused): PortError {
  const error = caught(act);
  expect(error).toBeInstanceOf(PortError);
  expect(error).toMatchObject({ name: "PortError", ...rest });
  const { message } = error as PortError;
  expect(message).toMatch(new RegExp(`^${rest.code}: .`));
  for (const part of [says].flat()) expect(message).toContain(part);
  return error as PortError;
}

/** The act is refused as a mistake, unless another reason is given, and neither manager has changed in any figure. */
export function expectRefused(
  fixture: Fixture,
  act: (fixture: Fixture) => unknown,
  refused: Refused,
): void {
  const before = picture(fixture);
  expectError(() => act(fixture), { reason: "invalid-argument", ...refused });
  expect(picture(fixture)).toEqual(before);
}

/** The act throws what the caller's own code throws, and neither manager has changed. */
export function expectThrown(
  fixture: Fixture,
  act: (fixture: Fixture) => unknown,
  error: unknown,
): void {
  const before = picture(fixture);
  expect(caught(() => act(fixture))).toBe(error);
  expect(picture(fixture)).toEqual(before);
}

/** Everything that both managers show. */
export function picture({ manager, other, pool, reservation, strange }: Fixture): unknown {
  verify(manager);
  verify(other);
  const held = [1, 80, 443, ...Array.from({ length: 12 }, (_, index) => 1999 + index)];
  return {
    figures: [manager, other].map((one) => withoutPeak(one.stats())),
    ranges: [manager.portRange(), other.portRange()],
    held: [pool.held, ...held.map((port) => pool.has(port))],
    free: held.map((port) => manager.isAvailable({ networks: [4], transport: TCP, port })),
    released: [reservation.released, strange.released],
  };
}

/** A port is held while a tester is asked about it, which only the peak shows afterwards. */
function withoutPeak({ totals: { peak: _, ...totals }, ...figures }: Stats): unknown {
  return { ...figures, totals };
}

export function caught(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return "nothing was thrown";
}

/** The code of the error of ours that an act throws; "ok": it throws none. */
export function codeOf(act: () => unknown): string {
  const error = caught(act);
  if (error === "nothing was thrown") return "ok";
  if (error instanceof PortError) return error.code;
  throw error;
}

export function throwing(error: unknown): () => never {
  return () => {
    throw error;
  };
}

/** The object with an accessor, which does something when it is read. */
export function getting<T extends object>(object: T, name: string, get: () => unknown): T {
  return Object.defineProperty(object, name, { enumerable: true, get });
}

/** An act that sets properties. */
export function setting(target: object, values: object): () => void {
  return () => void Object.assign(target, values);
}

/** A value of another type than the parameter's, as a caller without TypeScript may pass it. */
export function wrong<T>(value: unknown): T {
  return value as T;
}
