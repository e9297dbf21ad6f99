// Builtins: modules of Node that not every program needs, each loaded when it is first used.
//
// They are not imported either, since an import reads every export of a module: an import of
// node:http or node:https loads the whole of Node's `fetch` that way, which is most of a cold
// start.

interface Builtins {
  readonly crypto: typeof import("node:crypto");
  readonly dns: typeof import("node:dns");
  readonly dgram: typeof import("node:dgram");
  readonly fs: typeof import("node:fs");
  readonly http: typeof import("node:http");
  readonly https: typeof import("node:https");
  readonly tls: typeof import("node:tls");
}

/** A module of Node, loaded if it has not been. */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] {
  return process.getBuiltinModule(`node:${name}`) as Builtins[Name];
}

/** Any class: a constructor with a prototype. */
type Class = abstract new (...args: never) => object;

/**
 * A class to extend that stands for another, which is loaded when the first object is made.
 * @param load answers the other class.
 */
export function loadedLater<Base extends Class>(load: () => Base): Base {
  function Later(...args: unknown[]): object {
    const base = load();
    Object.setPrototypeOf(Later, base);
    Object.setPrototypeOf(Later.prototype, base.prototype);
    return Reflect.construct(base, args, new.target as unknown as Class);
  }
  return Later as unknown as Base;
}
