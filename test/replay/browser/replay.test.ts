// The replays in a page: the vectors that Node replays from files are fetched, and every recorded
// answer must be given by the modules as the browser has compiled them. As many operations are
// played as in Node.

import { expect, test } from "vitest";
import { useLoader } from "../../../bindings/core/debug-instance.ts";
import { PortManager } from "../../../bindings/index.ts";
import { LINUX_SEED, NETSTACK } from "../counts.ts";
import { replayLinuxLine } from "../linux.ts";
import { openLinuxPorts } from "../linux-ports.ts";
import { PoolSystem, ReservationSystem } from "../manager.ts";
import { type Counts, newCounts, replayLine, replayTable } from "../netstack.ts";
import type { System } from "../system.ts";

declare global {
  interface ImportMeta {
    /** Of vite: where the files are served that a pattern names. */
    glob(pattern: string, options: object): Record<string, string>;
  }
}

/** Of so many traces the debug build replays one. */
const EVERY = 4;
const NETSTACK_URLS = import.meta.glob("../../vectors/netstack/*.{gz,json}", {
  query: "?url",
  import: "default",
  eager: true,
});
const LINUX_URLS = import.meta.glob("../../vectors/linux-seed/*.gz", {
  query: "?url",
  import: "default",
  eager: true,
});
const MODULE_URLS = import.meta.glob("../../../build/{core,linux,cooldown}.debug.wasm", {
  query: "?url",
  import: "default",
  eager: true,
});

test("this is a page, and the vectors are there", () => {
  expect(document.defaultView).toBe(globalThis);
  expect(navigator.userAgent).toContain("Chrome");
  expect(Object.keys(NETSTACK_URLS)).toHaveLength(10);
  expect(Object.keys(LINUX_URLS)).toHaveLength(9);
  expect(Object.keys(MODULE_URLS)).toHaveLength(3);
});

test("the release build answers in a page as gVisor did, through reservations", () =>
  netstack(() => new ReservationSystem(PortManager.open())));

test("the release build answers in a page as gVisor did, through pools", () =>
  netstack(() => new PoolSystem(PortManager.open())));

test("the debug build answers in a page as gVisor did, through reservations and pools in turn", async () => {
  const [module, cooldownModule] = await Promise.all([debug("core"), debug("cooldown")]);
  let opened = 0;
  await netstack(() => {
    const Opened = ++opened % 2 === 0 ? ReservationSystem : PoolSystem;
    return new Opened(PortManager.open({ module, cooldownModule }));
  }, EVERY);
});

test("the release build answers in a page as Linux 2.6.32 did", () => linux({}));

test("the debug build answers in a page as Linux 2.6.32 did", async () => {
  const [module, linuxModule] = await Promise.all([debug("core"), debug("linux")]);
  await linux({ module, linuxModule }, EVERY);
});

async function netstack(open: () => System, every = 1): Promise<void> {
  const counts = newCounts();
  for (const [path, url] of Object.entries(NETSTACK_URLS)) {
    const text = await fetched(url);
    if (path.endsWith(".json")) replayTable(text, path, open, counts);
    else {
      eachLine(text, every, (line, place) => replayLine(line, `${path}:${place}`, open, counts));
    }
  }
  if (every === 1) expect(counts).toEqual(NETSTACK);
  expect(counts).toMatchObject({ mismatching: 0, mismatches: [] });
  expect(counts.traces).toBeGreaterThanOrEqual(Math.floor(NETSTACK.traces / every));
}

async function linux(modules: Parameters<typeof openLinuxPorts>[1], every = 1): Promise<void> {
  const counts: Counts = newCounts();
  const open = (hint: number) => openLinuxPorts(hint, modules);
  for (const [path, url] of Object.entries(LINUX_URLS)) {
    const text = await fetched(url);
    eachLine(text, every, (line, place) => {
      replayLinuxLine(line, `${path}:${place}`, open, counts);
    });
  }
  if (every === 1) expect(counts).toEqual(LINUX_SEED);
  expect(counts).toMatchObject({ mismatching: 0, mismatches: [] });
  expect(counts.traces).toBeGreaterThanOrEqual(LINUX_SEED.traces / every);
}

useLoader();

/** A module of the debug build, compiled by the page. */
function debug(name: string): Promise<WebAssembly.Module> {
  return WebAssembly.compileStreaming(
    fetch(MODULE_URLS[`../../../build/${name}.debug.wasm`] ?? ""),
  );
}

/** The text of a file, unpacked unless the server has left that to the browser. */
async function fetched(url: string): Promise<string> {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (!isPacked) return new TextDecoder().decode(bytes);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function eachLine(
  text: string,
  every: number,
  visit: (line: string, number: number) => void,
): void {
  for (const [index, line] of text.split("\n").entries()) {
    if (line !== "" && (index + 1) % every === 0) visit(line, index + 1);
  }
}
