// Fixture: trees of groups on either build, all that a tree shows, and holders that carry a group.

import { expect } from "vitest";
import {
  MODE_BIND,
  REQUEST_GROUP,
  REQUEST_NETWORK_COUNT,
  REQUEST_NETWORKS,
  REQUEST_TRANSPORT,
} from "../../../assembly/abi.ts";
import { type Core, coreOf } from "../../../bindings/core/core.ts";
import {
  type GroupsOptions,
  groupAddress,
  type PortGroup,
  PortGroups,
} from "../../../bindings/groups/group.ts";
import { IPV4, TCP } from "../../../bindings/requests/request.ts";
import { type Build, moduleFor } from "../../support/builds.ts";

export type Inherit = "intersect" | "copy";

/** Both ways to inherit, on both builds. */
export const TREES: readonly (readonly [Build, Inherit])[] = [
  ["release", "intersect"],
  ["release", "copy"],
  ["debug", "intersect"],
  ["debug", "copy"],
];

export const BIND = "net_cls.bind_port_range";
export const CONNECT = "net_cls.connect_port_range";
export const FILES: readonly string[] = [
  BIND,
  `${BIND}.effective`,
  CONNECT,
  `${CONNECT}.effective`,
];

export function openGroups(build: Build, options: GroupsOptions = {}): PortGroups {
  return PortGroups.open({ ...options, ...moduleFor(build) });
}

export function coreFor(build: Build): Core {
  return coreOf(moduleFor(build).module);
}

/** Everything that a tree shows: each file of each group, and how many holders use the group. */
export function picture(groups: PortGroups): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  const left = ["/"];
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    const at = path === "/" ? "" : path;
    all[path] = [groups.get(path).uses, ...FILES.map((file) => groups.read(`${at}/${file}`))];
    const children = groups.list(path).filter((name) => name.endsWith("/"));
    left.push(...children.map((name) => `${at}/${name.slice(0, -1)}`));
  }
  return all;
}

/** A manager carries a group, as for an open pool, until the answer is called. */
export function carry(core: Core, group: PortGroup): () => void {
  const { exports } = core;
  const manager = exports.openManager(1, 2, 0xffffffff) >>> 0;
  core.request.fill(0);
  core.request[REQUEST_TRANSPORT >> 2] = TCP;
  core.request[REQUEST_NETWORK_COUNT >> 2] = 1;
  core.request[REQUEST_NETWORKS >> 2] = IPV4;
  core.request[REQUEST_GROUP >> 2] = groupAddress(group, core);
  const handle = exports.openPool(manager, MODE_BIND, 0) >>> 0;
  expect(handle).not.toBe(0);
  return () => {
    exports.closePool(handle);
    exports.closeManager(manager);
  };
}
