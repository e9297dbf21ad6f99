// Core: what cooldown.wasm calls of core.wasm (netstack/pools.ts), over whose memory it works. The
// compiler takes this file's name for that of the module which the functions are imported from.

import { Address } from "../memory/arena";
import { Port } from "../ports/bitmap";

export declare function take(pool: Address, offset: u32): i32;
export declare function takeAt(pool: Address, port: Port): i32;
export declare function takeBetween(pool: Address, first: Port, last: Port, offset: u32): i32;
export declare function hasTaken(pool: Address, port: Port): bool;
export declare function freePort(pool: Address, port: Port): i32;
export declare function freeMany(pool: Address, count: u32): i32;
export declare function poolRange(pool: Address): u32;
