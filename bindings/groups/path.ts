// Paths: how groups and their control files are named. "/" is the root; "/web/api" is api below
// web.

import { invalid, PortError, show, wrongType } from "../errors.ts";
import { byteLength } from "./texts.ts";

/** Bytes of one name at most, as in Linux's file systems (`NAME_MAX`). */
const NAME_BYTES_MAX = 255;

/**
 * The names in an absolute path, from the root down; none for the root itself.
 * @throws PortError `ERR_INVALID_ARG_TYPE`; `ERR_INVALID_ARG_VALUE` (not absolute, an empty name,
 * "." or "..", a control character); `ENAMETOOLONG` (a name of more than 255 bytes of UTF-8).
 */
export function namesIn(path: unknown): string[] {
  if (typeof path !== "string") throw wrongType("path", 'a path such as "/web/api"', path);
  if (path === "/") return [];
  if (!path.startsWith("/")) throw badPath("must be absolute, such as /web/api", path);
  const names = path.slice(1).split("/");
  for (const name of names) checkName(name, path);
  return names;
}

/** The path of a name below a path. */
export function below(path: string, name: string): string {
  return path === "/" ? `/${name}` : `${path}/${name}`;
}

function checkName(name: string, path: string): void {
  if (name === "") throw badPath("must have a name after every slash, and end without one", path);
  if (name === "." || name === "..") throw badPath('must not hold "." or ".."', path);
  if (/\p{Cc}/u.test(name)) throw badPath("must not hold control characters", path);
  const bytes = byteLength(name);
  if (bytes <= NAME_BYTES_MAX) return;
  const message = `a name in a path has up to ${NAME_BYTES_MAX} bytes, got ${bytes}: ${show(name)}`;
  throw new PortError("ENAMETOOLONG", "name-too-long", message);
}

function badPath(rule: string, path: string): PortError {
  return invalid("ERR_INVALID_ARG_VALUE", `path ${rule}, got ${show(path)}`);
}
