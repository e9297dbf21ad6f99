// What the debug build exports: all of the release build, and the check of its invariants. Its
// asserts are on, so that a programmer's error traps with a file and a line.

export * from "./index";
export { verifyLinux } from "./linux/verify";
export { verify } from "./netstack/verify";
