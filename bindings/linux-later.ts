// LinuxPorts, which Node loads when it is first used, so that a program without it does not read
// the file. In other runtimes and in a bundle it is loaded from the start.
//
// The file is a function whose arguments are the parts of the package that it needs, so that there
// is no second copy of them where modules are not Node's own (Jest). A tool that collects the files
// of a program finds it by its URL.

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

/** Stands for the class: a proxy that passes every operation on to it. */
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
