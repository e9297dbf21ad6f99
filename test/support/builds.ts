// The two builds of all modules, and managers on them. The release build is the one inside the
// package; the debug build has its asserts on and can check its own invariants.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { useLoader } from "../../bindings/core/debug-instance.ts";
import { type OpenOptions, PortManager } from "../../bindings/index.ts";
import { verify } from "../../bindings/manager.ts";

export type Build = "release" | "debug";

/** Managers live in the core; Linux' ports and cooling ports have modules over a core's memory. */
export type Part = "core" | "linux" | "cooldown";

/** What `Linux2632Ports.open` runs on: both modules of one build. */
export interface Modules {
  readonly module: WebAssembly.Module;
  readonly linuxModule: WebAssembly.Module;
}

export const BUILDS: readonly Build[] = ["release", "debug"];

// The package asks for itself by name, so that sources and compiled tests find the same files.
const { resolve } = createRequire(import.meta.url);

useLoader();

const linuxModules = new Map<Build, WebAssembly.Module>();
let debug: OpenOptions | undefined;

export function bytesOf(build: Build, part: Part = "core"): Uint8Array<ArrayBuffer> {
  const path = resolve(`portwarden/${part}.wasm`);
  return new Uint8Array(
    readFileSync(build === "debug" ? path.replace(/wasm$/, "debug.wasm") : path),
  );
}

/** A core of its own: its managers live in an instance of their own. */
export function freshModule(build: Build): WebAssembly.Module {
  return new WebAssembly.Module(bytesOf(build));
}

/** The linux module of a build: each core that it is used with has an instance of its own. */
export function linuxModule(build: Build): WebAssembly.Module {
  let module = linuxModules.get(build);
  if (module === undefined) {
    module = new WebAssembly.Module(bytesOf(build, "linux"));
    linuxModules.set(build, module);
  }
  return module;
}

/** A core of its own, and the linux module for it. */
export function freshModules(build: Build): Modules {
  return { module: freshModule(build), linuxModule: linuxModule(build) };
}

/** What `PortManager.open` needs to run on a build. */
export function optionsFor(build: Build): OpenOptions {
  if (build === "release") return {};
  debug ??= {
    module: freshModule("debug"),
    cooldownModule: new WebAssembly.Module(bytesOf("debug", "cooldown")),
  };
  return debug;
}

/** What `PortGroups.open` and a list of reserved ports need to run on a build. */
export function moduleFor(build: Build): { module?: WebAssembly.Module } {
  const { module } = optionsFor(build);
  return module === undefined ? {} : { module };
}

/** What `Linux2632Ports.open` needs to run on a build. */
export function modulesFor(build: Build): Partial<Modules> {
  const { module } = optionsFor(build);
  return module === undefined ? {} : { module, linuxModule: linuxModule(build) };
}

export function openOn(build: Build, options: OpenOptions = {}): PortManager {
  return PortManager.open({ ...options, ...optionsFor(build) });
}

/** Closes a manager, whose records must be whole. */
export function closeWhole(manager: PortManager): void {
  verify(manager);
  manager.close();
}
