// Life of trees and lists that are never closed: the core takes them back once they are forgotten,
// and not before.

import { describe, expect, test } from "vitest";
import { BUSY } from "../../../assembly/abi.ts";
import { type Core, coreOf } from "../../../bindings/core/core.ts";
import { groupAddress, PortGroups } from "../../../bindings/groups/group.ts";
import { ReservedPorts, reservedAddress } from "../../../bindings/groups/reserved.ts";
import { PortManager } from "../../../bindings/manager.ts";
import { freshModule } from "../../support/builds.ts";
import { type Call, collectUntil, watch } from "../../support/collecting.ts";
import { carry } from "./fixture.ts";

describe("a tree that is forgotten is closed", () => {
  test("after the holders that still carried its groups", async () => {
    const { module, core, closed } = watched();
    const end = ((): (() => void) => carry(core, PortGroups.open({ module }).create("/a")))();
    await collectUntil(() => closed.length > 0);
    const answers = (): number[] => closed.map(({ answer }) => answer);
    expect(answers()).toEqual([BUSY]);
    end();
    const groups = PortGroups.open({ module });
    expect(answers()).toEqual([BUSY, 0]);
    groups.close();
    expect(answers()).toEqual([BUSY, 0, 0]);
  });

  test("with a manager whose pool carries a group, whichever is collected first", async () => {
    const { module, core, closed } = watched();
    const root = ((): number => {
      const groups = PortGroups.open({ module });
      const group = groups.create("/a/b");
      PortManager.open({ module })
        .pool({ networks: [4], transport: 6, group })
        .take();
      return groupAddress(groups.root, core);
    })();
    // The last request is remembered, and its group with it.
    using other = PortManager.open({ module });
    other.isAvailable({ networks: [4], transport: 6, port: 80 });
    const isClosed = (): boolean =>
      closed.some(({ given, answer }) => given === root && answer === 0);
    await collectUntil(() => {
      PortGroups.open({ module }).close();
      return isClosed();
    });
    expect(isClosed()).toBe(true);
  });

  test("but not as long as a manager lives in which something carries its group", async () => {
    const { module, closed } = watched();
    using manager = PortManager.open({ module });
    (() => {
      const group = PortGroups.open({ module }).create("/a/b");
      manager.reservePort({ networks: [4], transport: 6, group });
    })();
    let rounds = 0;
    await collectUntil(() => closed.length > 0 || rounds++ > 20);
    expect(closed.filter(({ answer }) => answer !== BUSY)).toEqual([]);
    expect(manager.stats().references).toBe(1);
  });
});

test("a list of reserved ports that is forgotten is closed", async () => {
  const { module, core } = watched();
  const { closeReserved: lists } = watch(core, "closeReserved");
  const kept = new ReservedPorts("1-9", { module });
  (() => reservedAddress(new ReservedPorts("80", { module }), core))();
  await collectUntil(() => lists.length > 0);
  expect(lists).toHaveLength(1);
  expect([kept.text, kept.size]).toEqual(["1-9", 9]);
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** A module of its own, whose core is watched: which trees were to be closed. */
function watched(): { module: WebAssembly.Module; core: Core; closed: Call[] } {
  const module = freshModule("release");
  const core = coreOf(module);
  return { module, core, closed: watch(core, "closeTree").closeTree };
}
