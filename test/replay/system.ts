// What a replay plays on: the port manager's words, its pools, or the reference model, behind one
// face. A system gets each key once, in the vectors' words, and makes its own request of it;
// from then on an operation is that request and a port.
//
// A refusal is one of the negative numbers of `assembly/abi`. What a tester throws comes out.

/** A reservation without its port, in the vectors' words. Addresses: "" is any. */
export interface Key {
  readonly networks: readonly number[];
  readonly transport: number;
  readonly addr: string;
  readonly flags: number;
  readonly device: number;
  readonly dest: { readonly addr: string; readonly port: number };
}

export type Tester = (port: number) => boolean;

export interface System<Request = unknown> {
  request(key: Key): Request;

  reserve(request: Request, port: number, test?: Tester): number;
  reserveEphemeral(request: Request, offset: number, test?: Tester): number;
  reserveTuple(request: Request, port: number): boolean;
  /** False: the key did not hold the port. */
  release(request: Request, port: number): boolean;

  pick(offset: number, test: Tester): number;
  pickStable(offset: number, test: Tester): number;

  setPortRange(first: number, last: number): boolean;
  portRange(): { first: number; last: number };
  stats(): { descriptors: number; counters: number; refs: number };

  /** Closes the system; the bytes that it still uses beyond those in use when it was opened. */
  close(): number;
}
