// The two builds of the core, and managers on them. The release build is the one inside the
// package; the debug build has its asserts on and can check its own invariants.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type OpenOptions, PortManager } from "../../bindings/index.ts";

export type Build = "release" | "debug";

export const BUILDS: readonly Build[] = ["release", "debug"];

// The package asks for itself by name, so that sources and compiled tests find the same files.
const RELEASE_PATH = createRequire(import.meta.url).resolve("portwarden/core.wasm");
const DEBUG_PATH = RELEASE_PATH.replace(/core\.wasm$/, "core.debug.wasm");

let debug: WebAssembly.Module | undefined;

export function bytesOf(build: Build): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(build === "debug" ? DEBUG_PATH : RELEASE_PATH));
}

/** A module that nobody else has: its managers live in an instance of their own. */
export function freshModule(build: Build): WebAssembly.Module {
  return new WebAssembly.Module(bytesOf(build));
}

/** What `PortManager.open` needs to run on a build. */
export function optionsFor(build: Build): OpenOptions {
  if (build === "release") return {};
  debug ??= freshModule("debug");
  return { module: debug };
}

export function openOn(build: Build, options: OpenOptions = {}): PortManager {
  return PortManager.open({ ...options, ...optionsFor(build) });
}
