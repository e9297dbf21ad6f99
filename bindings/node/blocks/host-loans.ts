// Host loans: how holders of blocks of one host lend ports to each other, over the socket that
// stands for a block. Each message is a line of JSON:
//
//   borrower                                                                    lender
//      ── {"address":"10.0.0.9","port":80,"want":8,"first":1024,"last":65535} ──▶
//      ◀── {"blocks":[640,641],"ports":[40960,40977]} ──────────────────────────
//      ── {"back":[40977]} ─────────────────────────────────────────────────────▶
//
// The connection lasts as long as a port is lent. Any process of the network namespace can connect,
// so each line is checked, and lines and times are bounded.

import { connect, type Socket } from "node:net";
import { PORT_MAX } from "../../../assembly/abi.ts";
import { parseAddress } from "../../requests/address.ts";
import { BLOCK_COUNT } from "./block-store.ts";
import type { Lent, Loan, LoanAnswer, LoanRequest } from "./loans.ts";

/** A line has so many bytes at most: the numbers of all blocks. */
const LINE_MAX = 8192;
/** So many ports are lent at a time. */
const LENT_MAX = 64;
/**
 * A process that is stopped does not answer in so many milliseconds. An answer that has come while this
 * thread was busy itself is seen before the second look at the time.
 */
const PATIENCE_MS = 250;
const LOOKS = 2;

/** Asks the holder of that name. @param onPeer is told of the connection. */
export function askHolder(
  path: string,
  request: LoanRequest,
  onPeer: (peer: Socket) => void,
): Promise<LoanAnswer> {
  return new Promise((done) => {
    const peer = connect({ path }).unref();
    onPeer(peer);
    let loan: Loan | undefined;
    let looks = 0;
    const timer = setInterval(() => {
      if (++looks === LOOKS) peer.destroy();
    }, PATIENCE_MS / LOOKS);
    peer
      .on("error", () => {})
      .on("close", () => {
        clearInterval(timer);
        loan?.onEnd();
        done({ blocks: [] });
      });
    onLines(peer, (message) => {
      if (loan !== undefined) return;
      clearInterval(timer);
      const ports = numbersOf(message, "ports", 1, PORT_MAX).slice(0, LENT_MAX);
      if (ports.length > 0) loan = loanOf(peer, ports);
      else peer.destroy();
      done({ blocks: numbersOf(message, "blocks", 0, BLOCK_COUNT - 1), loan });
    });
    send(peer, request);
  });
}

function loanOf(peer: Socket, ports: readonly number[]): Loan {
  let left = ports.length;
  return {
    ports,
    onEnd: () => {},
    giveBack(back) {
      left -= back.length;
      if (left === 0) peer.end(lineOf({ back }));
      else if (back.length > 0) send(peer, { back });
    },
  };
}

/** How a lender serves borrowers that connect. */
interface Lender {
  lend(request: LoanRequest): Lent | undefined;
  /** All blocks of the scope that the lender holds. */
  blocks(): readonly number[];
}

/** Answers a borrower that has connected, and takes back the ports that it lends. */
export function serveBorrower(peer: Socket, { lend, blocks }: Lender): void {
  let lent: Lent | undefined;
  let left = new Set<number>();
  const takeBack = (ports: readonly number[], isBroken: boolean): void => {
    const back = ports.filter((port) => left.delete(port));
    if (back.length > 0) lent?.takeBack(back, isBroken);
    if (left.size === 0) peer.destroy();
  };
  peer.unref().setTimeout(PATIENCE_MS, () => peer.destroy());
  peer.on("error", () => {}).on("close", () => takeBack([...left], true));
  onLines(peer, (message) => {
    if (lent !== undefined) {
      takeBack(numbersOf(message, "back", 1, PORT_MAX), false);
      return;
    }
    const request = requestOf(message);
    lent = request && lend(request);
    left = new Set(lent?.ports);
    if (left.size > 0) peer.setTimeout(0);
    const answer = lineOf({ blocks: blocks(), ports: [...left] });
    if (left.size > 0) peer.write(answer);
    else peer.end(answer);
  });
}

// ── Lines ─────────────────────────────────────────────────────────────────────────────────

/** Each line, parsed. A line that is not JSON ends the connection. */
function onLines(peer: Socket, onMessage: (message: unknown) => void): void {
  let text = "";
  peer.setEncoding("latin1").on("data", (data: string) => {
    text += data;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const message = parsed(text.slice(0, end));
      text = text.slice(end + 1);
      if (peer.destroyed) return;
      if (message === undefined) peer.destroy();
      else onMessage(message);
    }
    if (text.length > LINE_MAX) peer.destroy();
  });
}

function parsed(line: string): object | undefined {
  try {
    const message: unknown = JSON.parse(line);
    return typeof message === "object" && message !== null ? message : undefined;
  } catch {
    return undefined;
  }
}

function lineOf(message: object): string {
  return `${JSON.stringify(message)}\n`;
}

function send(peer: Socket, message: object): void {
  if (peer.writable) peer.write(lineOf(message));
}

function isNumber(value: unknown, first: number, last: number): value is number {
  return Number.isInteger(value) && (value as number) >= first && (value as number) <= last;
}

/** The numbers of a list that are within these bounds, each once. */
function numbersOf(message: unknown, name: string, first: number, last: number): number[] {
  const list: unknown = (message as Record<string, unknown>)[name];
  if (!Array.isArray(list)) return [];
  return [...new Set(list)].filter((one) => isNumber(one, first, last));
}

function requestOf(message: unknown): LoanRequest | undefined {
  const { address, port, want, first, last } = message as Record<string, unknown>;
  const areNumbers = isNumber(port, 0, PORT_MAX) && isNumber(want, 1, PORT_MAX);
  const isRange = isNumber(first, 1, PORT_MAX) && isNumber(last, first, PORT_MAX);
  if (!areNumbers || !isRange || typeof address !== "string") return undefined;
  try {
    // Only canonical text finds a destination.
    const { text } = parseAddress("address", address);
    return {
      address: text === "" ? address : text,
      port,
      want: Math.min(want, LENT_MAX),
      first,
      last,
    };
  } catch {
    return undefined;
  }
}
