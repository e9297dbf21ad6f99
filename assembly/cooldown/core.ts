// Core: the functions of core.wasm (netstack/pools.ts) that cooldown.wasm calls; it works in the
// core's memory. The compiler takes the name of this file as that of the module to import from.

import { Address } from "../memory/arena";
import { Port } from "../ports/bitmap";

export declare function take(pool: Address, offset: u32): i32;
export declare function takeAt(pool: Address, port: Port): i32;
export declare function takeBetween(pool: Address, first: Port, last: Port, offset: u32): i32;
export declare function hasTaken(pool: Address, port: Port): bool;
export declare function freePort(pool: Address, port: Port): i32;
export declare function freeMany(pool: Address, count: u32): i32;
export declare function poolRange(pool: Address): u32;
