// LinuxPorts, which Node loads when it is first used: a program that has no use for the rules of
// Linux does not read them. Everywhere else, and in a bundle, it is there from the start.
//
// The file is a function of what it needs of the package, so that there is no second copy of that
// where modules are not Node's own (Jest). A tool that collects the files of a program finds it by
// its URL.

import * as core from "#core";
import type { LinuxPorts as Loaded } from "./linux/rules/6.18/ports.ts";

type Class = typeof Loaded;

let loaded: Class | undefined;

/** The class itself. */
function load(): Class {
  if (loaded === undefined) {
    const file = new URL("./linux.cjs", import.meta.url);
    const require = process.getBuiltinModule("node:module").createRequire(file);
    loaded = require("./linux.cjs")(core).LinuxPorts as Class;
  }
  return loaded;
}

/** Stands for the class: whatever is done with it is done with that. */
export const LinuxPorts: Class = /* @__PURE__ */ new Proxy(
  function LinuxPorts() {} as unknown as Class,
  {
    get: (_, name) => Reflect.get(load(), name),
    set: (_, name, value) => Reflect.set(load(), name, value),
    has: (_, name) => Reflect.has(load(), name),
    ownKeys: () => Reflect.ownKeys(load()),
    getOwnPropertyDescriptor: (standIn, name) => {
      const own = Reflect.getOwnPropertyDescriptor(load(), name);
      // A proxy may not say that what can be written where it stands cannot.
      if (name !== "prototype") return own;
      return { ...Reflect.getOwnPropertyDescriptor(standIn, name), value: load().prototype };
    },
    defineProperty: (_, name, descriptor) => Reflect.defineProperty(load(), name, descriptor),
    deleteProperty: (_, name) => Reflect.deleteProperty(load(), name),
    getPrototypeOf: () => Reflect.getPrototypeOf(load()),
    construct: (_, args, target) =>
      Reflect.construct(load(), args, target === LinuxPorts ? load() : target),
  },
);
