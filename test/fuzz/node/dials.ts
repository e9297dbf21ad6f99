// Dials of the connector's fuzzer: real sockets, sockets that never connect, and errors as the
// system has them.

import { connect, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Dial } from "../../../bindings/node/index.ts";
import type { Chance } from "./chance.ts";

const ERRORS: readonly (readonly [code: string, syscall: string])[] = [
  ["EADDRINUSE", "bind"],
  ["EACCES", "bind"],
  ["EADDRINUSE", "connect"],
  ["EADDRNOTAVAIL", "connect"],
  ["EMFILE", "socket"],
  ["ENFILE", "socket"],
  ["ECONNREFUSED", "connect"],
];

function errorOf(code: string, syscall: string): Error {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
}

/** Something in the way of a dial: most have nothing in it. */
type Fault = "none" | "throws" | "fails" | "hangs" | "odd";
const FAULTS: readonly Fault[] = ["none", "none", "none", "throws", "fails", "hangs", "odd"];

/** A dial that is drawn again for each attempt: real, or not. */
export function dialOf(chance: Chance, absent: ReadonlySet<string>, isTls: boolean): Dial {
  return (ends) => {
    if (absent.has(ends.localAddress)) throw errorOf("EADDRNOTAVAIL", "bind");
    const [code, syscall] = chance.oneOf(ERRORS);
    switch (chance.oneOf(FAULTS)) {
      case "throws":
        throw errorOf(code, syscall);
      case "fails":
        return new Socket().destroy(errorOf(code, syscall));
      case "hangs":
        return new Socket();
      case "odd":
        return chance.oneOf<unknown>([undefined, null, {}, Promise.resolve()]) as Socket;
      default:
        return isTls ? connectTls({ ...ends, rejectUnauthorized: false }) : connect(ends);
    }
  };
}
