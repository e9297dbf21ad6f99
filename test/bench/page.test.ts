// The page of bench/page in a real Chromium: what it draws is what the manager answers, it can be
// driven by pointer and by keys, and it loads nothing but its own files. Screenshots go to
// build/page-shots.

import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { SCENARIOS, selectionsOf } from "../../bench/page/settings.ts";
import {
  COOLING,
  FREE,
  HELD,
  OUTSIDE,
  RESERVED,
  SHARED,
  STATES,
  WORKER,
} from "../../bench/page/states.ts";
import { Site, type Visit, whyNoBrowser } from "../support/browser.ts";
import { contrasts } from "./on-page.ts";
import {
  check,
  isShown,
  later,
  measured,
  numberOf,
  operations,
  parityOf,
  pointAt,
  rateOf,
} from "./visitor.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FOLDER = join(ROOT, "build/page");
const SHOTS = join(ROOT, "build/page-shots");
const BYTES_MAX = 200_000;
/** How often a rate is looked at. */
const LOOKS = 3;
const DESKTOP = { viewport: { width: 1280, height: 900 } };
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true };

const missing = whyNoBrowser();
if (missing !== undefined) console.warn(`the page is not tested: ${missing}`);

describe.runIf(missing === undefined)("the page", () => {
  let site: Site;
  let visits: Visit[] = [];
  let shared: Page | undefined;

  beforeAll(async () => {
    await build({ configFile: join(ROOT, "bench/page/vite.config.ts"), logLevel: "error" });
    mkdirSync(SHOTS, { recursive: true });
    site = await Site.open(FOLDER);
  });

  afterEach(async () => {
    for (const { page } of visits) await page.context().close();
    visits = [];
  });

  afterAll(() => site?.close());

  async function visit(options: Parameters<Site["visit"]>[0] = DESKTOP): Promise<Page> {
    const opened = await site.visit(options);
    visits.push(opened);
    await opened.page.waitForFunction(() => document.querySelector("#port-answers li") !== null);
    return opened.page;
  }

  /** The page as it opens. To load it costs more than most tests: one serves all that change it by its controls. */
  async function opened(): Promise<Page> {
    if (shared === undefined) {
      shared = await visit();
      visits.pop();
      return shared;
    }
    if ((await shared.textContent("#run")) === "Pause") await shared.click("#run");
    await shared.evaluate(() => {
      (document.getElementById("clock-shown") as HTMLElement).textContent = "";
      const first = document.querySelector("[name=scenario]") as HTMLInputElement;
      first.checked = true;
      first.dispatchEvent(new Event("change"));
    });
    await shared.waitForFunction(isShown, 60_000);
    return shared;
  }

  test("the page is a folder of less than 200 KB that names its files relatively", () => {
    const files = readdirSync(FOLDER).map((name) => join(FOLDER, name));
    const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
    expect(bytes).toBeLessThan(BYTES_MAX);
    const html = readFileSync(join(FOLDER, "index.html"), "utf8");
    const named = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, name = ""]) => name);
    expect(named.length).toBeGreaterThan(2);
    expect(named.filter((name) => !name.startsWith("./"))).toEqual([]);
    expect(html).toContain("default-src 'none'");
  });

  test("the page asks for its own files only, and complains about nothing", async () => {
    const page = await visit();
    await page.click("#run");
    await page.click("#measure");
    await measured(page, 1);
    await page.click("#measure");
    const [{ requests, complaints }] = visits as [Visit];
    const files = new Set(readdirSync(FOLDER).map((name) => `${site.address}${name}`));
    expect([...requests].filter((url) => url !== site.address && !files.has(url))).toEqual([]);
    expect(requests.size).toBeGreaterThanOrEqual(4);
    expect(complaints).toEqual([]);
  });

  test("the page cannot reach any address, not even its own", async () => {
    const page = await visit();
    const tried = await page.evaluate(() =>
      fetch("./index.html").then(
        () => "allowed",
        () => "refused",
      ),
    );
    expect(tried).toBe("refused");
  });

  test("the page says what to allow where a server's own policy forbids to compile", async () => {
    const opened = await site.visit(DESKTOP);
    visits.push(opened);
    const { page } = opened;
    await page.route("**/worker-*.js", async (route) => {
      const response = await route.fetch();
      const headers = { ...response.headers(), "content-security-policy": "script-src 'self'" };
      await route.fulfill({ response, headers });
    });
    await page.reload();
    await page.waitForSelector("#trouble:visible");
    await page.click("#step");
    await page.waitForTimeout(300);
    await page.waitForSelector("#trouble:visible");
    expect(await page.textContent("#trouble")).toContain("'wasm-unsafe-eval'");
  });

  // ── The picture ─────────────────────────────────────────────────────────────────────────

  const expected: Readonly<Record<string, readonly number[]>> = {
    Calm: [FREE, HELD, SHARED, COOLING, RESERVED, OUTSIDE],
    Million: [FREE, HELD, SHARED, COOLING, RESERVED, OUTSIDE],
    TIME_WAIT: [HELD, COOLING, RESERVED, OUTSIDE],
    Full: [SHARED, RESERVED, OUTSIDE],
    Groups: [FREE, HELD, SHARED, COOLING, RESERVED, OUTSIDE],
    Workers: [FREE, RESERVED, OUTSIDE, ...[1, 2, 3, 4].map((worker) => WORKER + worker)],
    Linux: [FREE, HELD, SHARED, COOLING, RESERVED, OUTSIDE],
    Parity: [FREE, HELD, SHARED, RESERVED, OUTSIDE],
  };

  test.each(SCENARIOS.map(({ name }) => name))(
    "the page draws each port as the manager answers: %s",
    async (name) => {
      const page = await opened();
      await page.check(`text="${name}"`);
      await page.click("#run");
      await later(page, 1500);
      const { answers, wrong } = await check(page);
      expect(wrong).toEqual([]);
      const counts = STATES.map((_, state) => answers.filter((one) => one === state).length);
      for (const state of expected[name] as number[]) expect(counts[state]).toBeGreaterThan(0);
      const legend = await page.locator("#legend .count").allTextContents();
      expect(legend.map(numberOf)).toEqual(counts);
      expect(await page.textContent("#checked")).toContain("every pixel agrees");
    },
  );

  test("the page draws each port as the manager answers, with each policy", async () => {
    const page = await opened();
    await page.selectOption("[name=destinations]", "1");
    for (const system of ["netstack", "linux"] as const) {
      await page.selectOption("[name=system]", system);
      if (system === "linux") await page.selectOption("[name=rules]", "2.6.32");
      for (const selection of selectionsOf({ system, rules: "2.6.32" })) {
        await page.selectOption("[name=selection]", selection);
        await page.click("#step");
        await page.waitForFunction(isShown, 61_000);
        expect([selection, ...(await check(page)).wrong]).toEqual([selection]);
      }
    }
  });

  test("the page shows that Linux 6.18 has one parity for connect(), the other for bind()", async () => {
    const page = await opened();
    await page.check('text="Parity"');
    await page.fill("[name=rate]", "30");
    const none = (used: number): boolean => used === 0;
    const many = (used: number): boolean => used > 1000;
    for (const [rules, selection, even, odd] of [
      ["6.18", "connect()", many, none],
      ["6.18", "bind(0)", none, many],
      ["6.18", "both", many, many],
      // The control: these rules know no parity.
      ["2.6.32", "hash", many, many],
    ] as const) {
      await page.selectOption("[name=rules]", rules);
      await page.selectOption("[name=selection]", selection);
      const shown = await parityOf(page);
      expect([rules, selection, even(shown.even.used), odd(shown.odd.used), shown]).toEqual([
        ...[rules, selection, true, true, shown],
      ]);
    }
    // More connections than there are ports of one parity.
    await page.selectOption("[name=rules]", "6.18");
    await page.selectOption("[name=destinations]", "1");
    await page.fill("[name=reserved]", "32768-50001,50102-60999");
    await page.click("#reset");
    const { even, odd } = await parityOf(page);
    expect(even).toEqual({ used: 50, of: 50 });
    expect(odd.used).toBeGreaterThan(0);
  });

  test("the page shows a group its own range", async () => {
    const page = await opened();
    await page.check('text="Groups"');
    await page.selectOption("[name=place]", { label: "group /api" });
    expect(await page.inputValue("[name=first]")).toBe("39826");
    const { answers, wrong } = await check(page);
    expect(wrong).toEqual([]);
    const free = answers.flatMap((state, port) => (state === FREE ? [port] : []));
    expect(Math.min(...free)).toBeGreaterThanOrEqual(39826);
    expect(Math.max(...free)).toBeLessThanOrEqual(46883);
  });

  // ── Driving it ──────────────────────────────────────────────────────────────────────────

  test("the page runs, pauses, steps and resets", async () => {
    const page = await opened();
    const start = await operations(page);
    expect(start).toBe(60_000);
    await page.click("#run");
    await later(page, 500);
    await page.click("#run");
    expect(await page.textContent("#run")).toBe("Run");
    await page.click("#step");
    await page.waitForTimeout(300);
    const paused = await operations(page);
    await page.click("#step");
    await page.waitForFunction(isShown, paused + 1000);
    await page.click("#reset");
    await page.waitForFunction(isShown, 60_000);
  });

  test("the page says how many operations a second it makes as they are", async () => {
    const page = await opened();
    await page.check('text="Million"');
    await page.click("#run");
    await page.waitForTimeout(500);
    // On a busy machine the rate changes from second to second, so it is looked at several times.
    const ratios: number[] = [];
    for (let look = 0; look < LOOKS; look++) {
      const [from, start] = [await operations(page), performance.now()];
      await page.waitForTimeout(600);
      const made = (await operations(page)) - from;
      const perSecond = (made * 1000) / (performance.now() - start);
      ratios.push(rateOf(await page.textContent("#rate-shown")) / perSecond);
    }
    const median = ratios.sort((a, b) => a - b)[LOOKS >> 1] as number;
    expect(median).toBeGreaterThan(0.4);
    expect(median).toBeLessThan(2.5);
    const frames = await page.textContent("#frames-shown");
    const missed = await page.textContent("#missed-shown");
    console.log(`${await page.textContent("#rate-shown")}/s, ${frames} frames/s, ${missed}`);
  });

  test("the page takes another range while it runs, and refuses a wrong one", async () => {
    const page = await opened();
    await page.click("#run");
    await page.fill("[name=last]", "9990");
    await page.fill("[name=first]", "2003");
    await later(page, 200);
    const { answers, wrong } = await check(page);
    expect(wrong).toEqual([]);
    const free = answers.flatMap((state, port) => (state === FREE ? [port] : []));
    expect(Math.min(...free)).toBeGreaterThanOrEqual(2003);
    expect(Math.max(...free)).toBeLessThanOrEqual(9990);
    expect(answers[2002]).toBe(OUTSIDE);
    expect(answers[9991]).toBe(OUTSIDE);

    await page.fill("[name=last]", "2000");
    await page.locator("[name=last]").blur();
    expect((await check(page)).answers).toEqual(answers);

    await page.fill("[name=reserved]", "80-");
    await page.locator("[name=reserved]").blur();
    await page.waitForSelector("#trouble:visible");
    expect(await page.textContent("#trouble")).toContain("EINVAL");
    expect(await page.inputValue("[name=reserved]")).toBe("40000-41023,50000");
  });

  test("the page keeps to what it has when a scenario cannot be", async () => {
    const page = await opened();
    await page.fill("[name=last]", "32769");
    await page.fill("[name=reserved]", "0-80");
    await page.locator("[name=reserved]").blur();
    await page.selectOption("[name=groups]", "2");
    await page.waitForFunction(() => document.querySelector("[name=place]")?.children.length === 3);
    const start = await operations(page);
    // Two ports are too few for four.
    await page.selectOption("[name=groups]", "4");
    await page.waitForSelector("#trouble:visible");
    expect(await page.inputValue("[name=groups]")).toBe("2");
    expect(await page.inputValue("[name=last]")).toBe("32769");
    expect(await operations(page)).toBe(start);
    expect((await check(page)).wrong).toEqual([]);
  });

  test("the page names the port pointed at, its holders, and why a request is refused", async () => {
    const page = await visit();
    const { answers } = await check(page);
    for (const [state, told] of [
      [HELD, /Held by 1: towards 192\.0\.2\.\d+:443\./],
      [SHARED, /Held by [2-4]: towards 192/],
      [COOLING, /Cooling after 192/],
      [RESERVED, /passes over it: reserved/],
      [OUTSIDE, /passes over it: outside 32768\.\.60999/],
    ] as const) {
      const port = answers.findIndex((one, at) => one === state && at > 500);
      await pointAt(page, port);
      expect(await page.inputValue("#port")).toBe(`${port}`);
      await page.waitForFunction((label) => {
        return document.getElementById("port-state")?.textContent === label;
      }, STATES[state]?.label);
      expect(await page.textContent("#port-answers")).toMatch(told);
      if (state === HELD) expect(await page.textContent("#port-answers")).toContain("EADDRINUSE");
    }
  });

  test("the page works by keyboard", async () => {
    const page = await visit();
    const reached = new Set<string>();
    for (let tabs = 0; tabs < 40; tabs++) {
      await page.keyboard.press("Tab");
      reached.add(
        await page.evaluate(() => {
          const { id, name } = document.activeElement as HTMLInputElement;
          return id || name;
        }),
      );
    }
    const all = ["scenario", "run", "step", "reset", "picture", "port", "check", "measure"];
    const fields = ["system", "selection", "groups", "destinations", "place", "first", "last"];
    const more = ["reserved", "rate", "lifetime", "cooldown"];
    for (const name of [...all, ...fields, ...more]) expect(reached).toContain(name);

    await page.focus("#picture");
    for (const key of ["Home", "PageDown", "ArrowDown", "ArrowRight", "Shift+ArrowRight"]) {
      await page.keyboard.press(key);
    }
    expect(await page.inputValue("#port")).toBe(`${4096 + 256 + 1 + 16}`);
    await page.waitForFunction(() => {
      const text = document.getElementById("picture")?.getAttribute("aria-valuetext");
      return text?.startsWith("Port 4369: outside.");
    });
    await page.focus("#run");
    await page.keyboard.press("Space");
    await later(page, 100);
    await page.keyboard.press("Space");
    expect(await page.getAttribute("#run", "aria-pressed")).toBe("false");
    await page.waitForFunction(() => {
      return /\d free, .* cooling/.test(document.getElementById("summary")?.textContent ?? "");
    });
  });

  test("the page measures what a port costs, live, and can be stopped", async () => {
    const page = await visit();
    await page.click("#measure");
    await measured(page, 3);
    await page.click("#measure");
    const cells = await page.locator("#costs tr:nth-of-type(2) td").allInnerTexts();
    expect(cells).toHaveLength(3);
    for (const cell of cells)
      expect(cell).toMatch(/^[\d.]+ [nµm]s\s+[\d.]+ (?:[nµm]s )?– [\d.]+ [nµm]s$/);
    const titles = await page
      .locator("#costs td[title]")
      .evaluateAll((found) => found.map((cell) => (cell as HTMLElement).title));
    const batches = titles.map((title) =>
      /^(\d+) batches of (\d+)/.exec(title)?.slice(1).map(Number),
    );
    for (const [, of] of batches as [number, number][]) expect(of).toBeGreaterThanOrEqual(1000);
    expect(await page.locator("#chart polyline").count()).toBe(3);
    expect(await page.locator("#chart .point").count()).toBeGreaterThanOrEqual(9);
    expect(await page.textContent("#measure-status")).toBe("Stopped.");
  });

  // ── Looks ───────────────────────────────────────────────────────────────────────────────

  test.each([
    ["light", DESKTOP, "light"],
    ["dark", DESKTOP, "dark"],
    ["phone", PHONE, "light"],
    ["phone-dark", PHONE, "dark"],
  ] as const)("the page is legible: %s", async (name, options, colorScheme) => {
    const page = options === DESKTOP ? await opened() : await visit(options);
    await page.emulateMedia({ colorScheme });
    await page.check(name === "dark" ? 'text="Groups"' : 'text="Million"');
    await page.click("#run");
    await later(page, 5000);
    if (name === "dark") await page.selectOption("[name=place]", { label: "group /api" });
    await page.click("#measure");
    await measured(page, 1);
    if ((await page.textContent("#measure")) === "Stop") await page.click("#measure");
    expect((await page.evaluate(contrasts)).filter(({ ratio }) => ratio < 4.5)).toEqual([]);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(options.viewport.width);
    await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
    expect((await check(page)).wrong).toEqual([]);
  });

  test("with reduced motion the page paints twice a second, and works as fast", async () => {
    const page = await visit({ ...DESKTOP, reducedMotion: "reduce" });
    await page.evaluate(() => {
      const { prototype } = CanvasRenderingContext2D;
      const paint = prototype.putImageData as (image: ImageData, x: number, y: number) => void;
      document.body.dataset.paints = "0";
      prototype.putImageData = function (image: ImageData, x: number, y: number): void {
        document.body.dataset.paints = `${Number(document.body.dataset.paints) + 1}`;
        paint.call(this, image, x, y);
      };
    });
    await page.click("#run");
    const start = performance.now();
    await later(page, 1500);
    await page.waitForTimeout(1000);
    const seconds = (performance.now() - start) / 1000;
    const paints = Number(await page.getAttribute("body", "data-paints"));
    expect(paints).toBeGreaterThan(0);
    expect(paints).toBeLessThanOrEqual(2 * seconds + 2);
  });
});
