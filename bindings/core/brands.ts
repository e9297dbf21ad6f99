// Brands: tell the class of an object, also when it comes from another realm (a vm context, a
// frame) or from another copy of the package, where `instanceof` says no.

const typedArray = Object.getPrototypeOf(Uint16Array.prototype) as object;
const tag = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag);

/** The name of a typed array's class, such as `"Uint16Array"`; `undefined`: the value is none. */
export function typedArrayName(value: unknown): string | undefined {
  return tag?.get?.call(value) as string | undefined;
}

/** Is it a revoked Proxy? Any other use of one throws a TypeError of the engine. */
export function isRevoked(value: unknown): boolean {
  try {
    Array.isArray(value);
    return false;
  } catch {
    return true;
  }
}

/**
 * The key by which a class of the package marks its objects; the same in all copies of the package.
 */
const KIND = Symbol.for("portwarden.kind");

/** Marks the objects of a class of the package. */
export function setKind(of: { prototype: object }, kind: string): void {
  Object.defineProperty(of.prototype, KIND, { value: kind });
}

/**
 * The name of the package's class that an object is of, in this copy or in another. Never throws.
 */
export function kindOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  try {
    const kind: unknown = Reflect.get(value, KIND);
    return typeof kind === "string" ? kind : undefined;
  } catch {
    return undefined; // a revoked Proxy
  }
}
