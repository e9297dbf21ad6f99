// PortGroups: a tree of groups, each with the ports that its sockets may bind and those that they
// may connect from, and the same as control files.
//
// A group is limited by itself and by all groups above it. A range that is not set is the same as
// 1..65535, which limits nothing.

import { GROUP_BIND, GROUP_CONNECT } from "../../assembly/abi.ts";
import { setKind } from "../core/brands.ts";
import { type Core, coreOf } from "../core/core.ts";
import { checkInside, INSIDE } from "../core/inside.ts";
import { invalid, PortError, type Reason, wrongKind, wrongValue } from "../errors.ts";
import { readOptions } from "../requests/checks.ts";
import { ALL_PORTS, checkRangeObject, type PortRange, showRange } from "../requests/range.ts";
import { type GroupHolder, holdersIn } from "./holders.ts";
import { namesIn } from "./path.ts";
import { checkText, parseControl, printControl } from "./texts.ts";
import { type Group, type Kind, Tree } from "./tree.ts";

/** The options of a new tree of groups. */
export interface GroupsOptions {
  /**
   * `"intersect"`, the default: a group may use what it and all groups above it allow, and a change
   * takes effect at once in all groups below. `"copy"`: a new group starts with its parent's own
   * ranges, and from then on only its own apply, as Linux's net_cls does it with class ids.
   */
  inherit?: "intersect" | "copy" | undefined;
  /** `core.wasm`, compiled by a host that does not let this package compile it. */
  module?: WebAssembly.Module | undefined;
}

/** The ranges of a new group. An absent range is not set, or the parent's in a tree that copies. */
export interface GroupRanges {
  /** Where its sockets may bind. */
  bindPortRange?: PortRange | undefined;
  /** Where its sockets may connect from. */
  connectPortRange?: PortRange | undefined;
}

/** The ranges that a group may use, within those of all groups above it. */
export interface EffectiveRanges {
  /** Where its sockets may bind; `undefined`: nowhere, the intersection is empty. */
  readonly bind: PortRange | undefined;
  /** Where its sockets may connect from; `undefined`: nowhere. */
  readonly connect: PortRange | undefined;
}

/** One of the files that every group has. */
interface ControlFile {
  readonly kind: Kind;
  readonly isEffective: boolean;
}

/**
 * In the order in which they are listed. The names are those that cgroups v1 gives to files of
 * net_cls.
 */
const FILES: ReadonlyMap<string, ControlFile> = new Map([
  ["net_cls.bind_port_range", { kind: GROUP_BIND, isEffective: false }],
  ["net_cls.bind_port_range.effective", { kind: GROUP_BIND, isEffective: true }],
  ["net_cls.connect_port_range", { kind: GROUP_CONNECT, isEffective: false }],
  ["net_cls.connect_port_range.effective", { kind: GROUP_CONNECT, isEffective: true }],
]);

const OPTION_NAMES = ["inherit", "module"];
const RANGE_NAMES = ["bindPortRange", "connectPortRange"];

/** The object by which users see a group. */
const faces = new WeakMap<Group, PortGroup>();

// ── What other files of the facade need ───────────────────────────────────────────────────

/** The group behind the object; `undefined` if it is something else. */
let behind: (value: unknown) => Group | undefined;

/**
 * Where the core keeps a group. A caller that passes the address on must keep the object as long as
 * the core may use it: a tree whose groups have all become garbage frees its memory.
 * @throws PortError `ERR_INVALID_ARG_TYPE` (not a PortGroup), `ERR_INVALID_ARG_VALUE` (of another
 * core), `ENOENT` (it has been removed), `EBADF` (its tree has been closed).
 */
export function groupAddress(value: unknown, core: Core): number {
  checkGroup(value);
  const group = behind(value) as Group;
  const address = group.open();
  if (group.tree.core === core) return address;
  throw invalid(
    "ERR_INVALID_ARG_VALUE",
    `group ${group.path} lives in another module: open its PortGroups with the same module`,
  );
}

/**
 * Checks that a value is a group of this copy of the package.
 * @throws PortError `ERR_INVALID_ARG_TYPE`.
 */
export function checkGroup(value: unknown): void {
  if (behind(value) !== undefined) return;
  throw wrongKind("group", "PortGroup", "a PortGroup, as PortGroups makes them", value);
}

/** Has the group been removed, or its tree been closed? */
export function isGone(face: PortGroup): boolean {
  return (behind(face) as Group).isGone;
}

/**
 * Why a group allows nothing of what was asked for, naming the groups that are the reason: those
 * with the highest first and the lowest last port.
 * @param kind `GROUP_BIND` or `GROUP_CONNECT`.
 * @param asked the range to be searched, or the explicit port.
 */
export function explainEmpty(face: PortGroup, kind: Kind, asked?: PortRange): string {
  const group = behind(face) as Group;
  const what = kind === GROUP_BIND ? "bind port range" : "connect port range";
  const [low, high] = limitsOf(group, kind);
  const from = low.own(kind);
  const to = high.own(kind);
  if (from.first > to.last) {
    const both = `${low.path} has ${showRange(from)} and ${high.path} has ${showRange(to)}`;
    return `the ${what} of group ${group.path} is empty: ${both}`;
  }
  const range = `the ${what} of group ${group.path} is ${showRange({ ...to, first: from.first })}`;
  if (asked === undefined) return range;
  const outside = showRange(asked);
  if (asked.last < from.first) return `${range}, set by ${low.path}: ${outside} is below it`;
  if (asked.first > to.last) return `${range}, set by ${high.path}: ${outside} is above it`;
  return range;
}

/** The groups that limit a group, the topmost first, with their own ranges. */
export function chainOf(face: PortGroup): {
  readonly tree: object;
  readonly copies: boolean;
  readonly chain: readonly { path: string; bind: PortRange; connect: PortRange }[];
} {
  const group = behind(face) as Group;
  const chain = group.limits().map((one) => ({
    path: one.path,
    bind: one.own(GROUP_BIND),
    connect: one.own(GROUP_CONNECT),
  }));
  return { tree: group.tree, copies: group.tree.copies, chain };
}

/** The path of the group that keeps a port outside of a group's range. */
export function limitingPath(face: PortGroup, kind: Kind, port: number): string {
  const [low, high] = limitsOf(behind(face) as Group, kind);
  return port < low.own(kind).first ? low.path : high.path;
}

/** The groups that limit a group at its low and at its high end; the topmost of equals. */
function limitsOf(group: Group, kind: Kind): [low: Group, high: Group] {
  const [top = group, ...others] = group.limits();
  let low = top;
  let high = top;
  for (const other of others) {
    const { first, last } = other.own(kind);
    if (first > low.own(kind).first) low = other;
    if (last < high.own(kind).last) high = other;
  }
  return [low, high];
}

// ── One group ─────────────────────────────────────────────────────────────────────────────

/**
 * A group: the ports that its sockets may bind, and those that they may connect from. Made by
 * {@link PortGroups.create}. Every use throws PortError `ENOENT` when the group has been removed
 * and `EBADF` when its tree has been closed.
 */
export class PortGroup {
  readonly #group: Group;

  static {
    setKind(PortGroup, "PortGroup");
    behind = (value) =>
      typeof value === "object" && value !== null && #group in value ? value.#group : undefined;
  }

  constructor(token: symbol, group: Group) {
    checkInside(token, "PortGroup", "PortGroups.create()");
    this.#group = group;
  }

  /** The absolute path, such as `/web/api`. It stays when the group has been removed. */
  get path(): string {
    return this.#group.path;
  }

  /**
   * The group's own limit of the ports that bind() gets, explicit or not; `undefined`, the same as
   * 1..65535: none. Setting it takes effect at once, also in the groups below; sockets that have a
   * port keep it.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `EINVAL` (`invalid-port-range`).
   */
  get bindPortRange(): PortRange | undefined {
    return limitOf(this.#group, GROUP_BIND);
  }

  set bindPortRange(range: PortRange | undefined) {
    this.#group.setOwn(GROUP_BIND, checkLimit("bindPortRange", range));
  }

  /**
   * The group's own limit of the local ports that connect() picks; otherwise as {@link
   * bindPortRange}. It never concerns the port that is connected to.
   */
  get connectPortRange(): PortRange | undefined {
    return limitOf(this.#group, GROUP_CONNECT);
  }

  set connectPortRange(range: PortRange | undefined) {
    this.#group.setOwn(GROUP_CONNECT, checkLimit("connectPortRange", range));
  }

  /** The ranges that the group may use now: its own ranges within those of all groups above it. */
  get effective(): EffectiveRanges {
    const group = this.#group;
    return { bind: group.effective(GROUP_BIND), connect: group.effective(GROUP_CONNECT) };
  }

  /**
   * How many sockets, open pools and reservation objects are in the group. A reservation whose port
   * was given back in another way than by its `release()`, say through a pool or by value without
   * naming the group, counts until its manager closes.
   */
  get uses(): number {
    return this.#group.uses;
  }

  /**
   * Takes the group out of its tree (Linux: rmdir of a control group).
   * @throws PortError `EBUSY`: it is in use, has children, or is the root.
   */
  remove(): void {
    this.#group.remove();
  }
}

// ── The tree ──────────────────────────────────────────────────────────────────────────────

/**
 * A tree of groups. Paths are absolute, `/` is the root, a name is any text of up to 255 bytes
 * without slashes and control characters that is not `.` or `..`. Every method that takes a path
 * throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` or `ENAMETOOLONG` for a bad one,
 * and `EBADF` when the tree has been closed.
 *
 * Every group has four control files: `net_cls.bind_port_range` and `net_cls.connect_port_range`
 * have its own ranges; the files with `.effective` at the end have its effective ranges, read-only.
 * No group can have one of these names.
 */
export class PortGroups implements Disposable {
  readonly #tree: Tree;

  private constructor(token: symbol, tree: Tree) {
    checkInside(token, "PortGroups", "PortGroups.open()");
    this.#tree = tree;
  }

  /**
   * Opens a tree with nothing but its root. Its groups serve all managers of the same module.
   * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ENOBUFS`;
   * `ERR_WEBASSEMBLY_NOT_SUPPORTED` (no `module` is given, and the host does not let the package
   * compile its own).
   */
  static open(options: GroupsOptions = {}): PortGroups {
    const { inherit = "intersect", module } = readOptions("options", options, OPTION_NAMES);
    if (inherit !== "intersect" && inherit !== "copy") {
      throw wrongValue("inherit", '"intersect" or "copy"', inherit);
    }
    return new PortGroups(INSIDE, new Tree(coreOf(module), inherit === "copy"));
  }

  /** The group `/`. */
  get root(): PortGroup {
    return faceOf(this.#tree.root);
  }

  /**
   * Makes a group, and those above it that are missing, without ranges of their own. If one is
   * refused, none has been made.
   * @throws PortError `EEXIST` (there is such a group, or the name is a control file's), `ENOBUFS`,
   * those of a bad range ({@link PortGroup.bindPortRange}) and of a bad path.
   */
  create(path: string, ranges: GroupRanges = {}): PortGroup {
    const names = namesIn(path);
    const limits = checkRanges(ranges);
    const file = names.find((name) => FILES.has(name));
    if (file !== undefined) throw refused("EEXIST", "exists", `${file} is a control file's name`);
    const [above, missing] = this.#descend(names);
    if (missing.length === 0) throw refused("EEXIST", "exists", `there is a group ${path} already`);
    return faceOf(above.grow(missing, limits));
  }

  /**
   * The group at a path; each time the same object.
   * @throws PortError `ENOENT`, `ENOTDIR` (a control file), and those of a bad path.
   */
  get(path: string): PortGroup {
    const { group, file } = this.#find(path);
    if (file !== undefined) throw refused("ENOTDIR", "is-file", `${path} is a control file`);
    return faceOf(group);
  }

  /**
   * The text of a control file: `low high` and a newline; for an effective range without ports
   * the newline alone.
   * @throws PortError `ENOENT`, `EISDIR` (a group), `ENOTDIR` (below a file), and those of a bad path.
   */
  read(path: string): string {
    const { group, file } = this.#findFile(path);
    return printControl(file.isEffective ? group.effective(file.kind) : group.own(file.kind));
  }

  /**
   * Writes a control file: two ports apart by blanks, as in `20000 20999`, or by a dash, as in
   * `20000-20999`; blanks around them and one newline at the end are passed over. The empty text
   * changes nothing; anything else that is not two ports is refused, and the old range stays.
   * @throws PortError `EINVAL` (`invalid-text`, `invalid-port-range`), `E2BIG` (20 bytes or more),
   * `EACCES` (an `.effective` file), `ENOENT`, `EISDIR`, `ENOTDIR`, `ERR_INVALID_ARG_TYPE`, and
   * those of a bad path.
   */
  write(path: string, text: string): void {
    checkText("text", text);
    const { group, file } = this.#findFile(path);
    if (file.isEffective) {
      const message = `${path} can only be read: write ${path.replace(/\.effective$/, "")}`;
      throw refused("EACCES", "read-only", message);
    }
    group.setOwn(file.kind, parseControl(text, group.own(file.kind)));
  }

  /**
   * Lists a group: its control files, then the groups below it with a slash at the end, sorted.
   * @throws PortError `ENOENT`, `ENOTDIR` (a control file), and those of a bad path.
   */
  list(path: string): string[] {
    const { group, file } = this.#find(path);
    if (file !== undefined) throw refused("ENOTDIR", "is-file", `${path} is a control file`);
    const groups = [...group.children.keys()].sort().map((name) => `${name}/`);
    return [...FILES.keys(), ...groups];
  }

  /**
   * The holders in a group: the ports that managers hold for it, and the sockets of `LinuxPorts` by
   * the rules of 6.18, as plain records. Groups below it have holders of their own.
   * @throws PortError `ENOENT`, `ENOTDIR` (a control file), and those of a bad path.
   */
  holders(path: string): IterableIterator<GroupHolder> {
    return holdersIn(this.#tree.core, this.get(path));
  }

  /**
   * Frees everything; the groups cannot be used any more. A second call does nothing.
   * @throws PortError `EBUSY` as long as any group is in use.
   */
  close(): void {
    this.#tree.close();
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** The last existing group on a path, and the names that are left. */
  #descend(names: readonly string[]): [group: Group, left: readonly string[]] {
    let group = this.#tree.root;
    group.open();
    for (const [index, name] of names.entries()) {
      const child = group.children.get(name);
      if (child === undefined) return [group, names.slice(index)];
      group = child;
    }
    return [group, []];
  }

  #find(path: string): { group: Group; file: ControlFile | undefined } {
    const [group, [name, ...rest]] = this.#descend(namesIn(path));
    if (name === undefined) return { group, file: undefined };
    const file = FILES.get(name);
    if (file === undefined) {
      throw refused("ENOENT", "not-found", `no ${path}: group ${group.path} has no ${name}`);
    }
    if (rest.length === 0) return { group, file };
    throw refused("ENOTDIR", "is-file", `no ${path}: ${name} is a control file`);
  }

  #findFile(path: string): { group: Group; file: ControlFile } {
    const { group, file } = this.#find(path);
    if (file !== undefined) return { group, file };
    throw refused("EISDIR", "is-group", `${path} is a group; its files are in list("${path}")`);
  }
}

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

function faceOf(group: Group): PortGroup {
  let face = faces.get(group);
  if (face === undefined) {
    face = new PortGroup(INSIDE, group);
    faces.set(group, face);
  }
  return face;
}

function limitOf(group: Group, kind: Kind): PortRange | undefined {
  const { first, last } = group.own(kind);
  return first === ALL_PORTS.first && last === ALL_PORTS.last ? undefined : { first, last };
}

function checkLimit(name: string, range: PortRange | undefined): PortRange {
  return range === undefined ? ALL_PORTS : checkRangeObject(name, range, "undefined is no limit");
}

function checkRanges(ranges: GroupRanges): Map<Kind, PortRange> {
  const { bindPortRange: bind, connectPortRange: connect } = readOptions(
    "ranges",
    ranges,
    RANGE_NAMES,
  );
  const limits = new Map<Kind, PortRange>();
  if (bind !== undefined) limits.set(GROUP_BIND, checkLimit("bindPortRange", bind));
  if (connect !== undefined) limits.set(GROUP_CONNECT, checkLimit("connectPortRange", connect));
  return limits;
}

function refused(code: string, reason: Reason, message: string): PortError {
  return new PortError(code, reason, message);
}
