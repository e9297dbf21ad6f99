// The site that `npm run docs` builds, in a real Chromium: every link leads somewhere, the search
// finds, the port map is inside, and nothing is loaded from elsewhere.

import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Site, type Visit, whyNoBrowser } from "../support/browser.ts";
import { ROOT } from "./pages.ts";

const FOLDER = join(ROOT, "build/site");
const VITEPRESS = join(ROOT, "node_modules/vitepress/bin/vitepress.js");
const BUILD_MS_MAX = 170_000;

const missing = whyNoBrowser();
if (missing !== undefined) console.warn(`the site of the pages is not tested: ${missing}`);

describe.runIf(missing === undefined)("the site of the pages", () => {
  let site: Site;
  let visit: Visit;
  let page: Page;

  beforeAll(async () => {
    await promisify(execFile)(process.execPath, [VITEPRESS, "build", "docs"], { cwd: ROOT });
    site = await Site.open(FOLDER, "/");
    visit = await site.visit();
    page = visit.page;
  }, BUILD_MS_MAX);

  afterAll(() => site?.close());

  test("has all pages within reach of the first, and no link that leads nowhere", async () => {
    const { visited, broken } = await walk(page, site.address);
    expect(broken).toEqual([]);
    const built = readdirSync(FOLDER, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".html") && name !== "404.html")
      .map((name) => name.replace(/(^|\/)index\.html$/, "$1"));
    expect([...visited].sort()).toEqual(built.sort());
    expect(built.length).toBeGreaterThan(30);
  });

  test("a link that leads nowhere is found", async () => {
    await page.goto(site.address);
    await page.evaluate(() => {
      document.body.insertAdjacentHTML("beforeend", '<a href="/guide/no-such-page.html">x</a>');
      document.body.insertAdjacentHTML("beforeend", '<a href="/glossary.html#no-such-term">y</a>');
    });
    const links = await linksOn(page, site.address);
    expect(await whyBroken(page, site.address, links, "the test")).toEqual([
      "the test: guide/no-such-page.html is not there",
      "the test: glossary.html has no #no-such-term",
    ]);
  });

  test("has a search that finds pages by their words", async () => {
    await page.goto(site.address);
    await page.click("#local-search button");
    await page.fill("#localsearch-input", "whenCooling");
    const found = await page.waitForSelector("#localsearch-list a[href*='cooldown']");
    expect(await found.isVisible()).toBe(true);
  });

  test("has the port map inside, and it runs", async () => {
    await page.goto(`${site.address}map/`);
    await page.waitForFunction(() => document.querySelector("#port-answers li") !== null);
    expect(await page.locator("canvas").count()).toBeGreaterThan(0);
  });

  test("asks for its own files only", () => {
    const foreign = [...visit.requests].filter((url) => !url.startsWith(site.address));
    expect(foreign).toEqual([]);
    expect(visit.requests.size).toBeGreaterThan(30);
  });
});

// ── Helpers ───────────────────────────────────────────────────────────────────────────────

/** Opens each page that is reached by links from the first one. */
async function walk(
  page: Page,
  address: string,
): Promise<{ visited: Set<string>; broken: string[] }> {
  const visited = new Set<string>([""]);
  const asked = new Set<string>();
  const broken: string[] = [];
  for (const path of visited) {
    await page.goto(`${address}${path}`, { waitUntil: "domcontentloaded" });
    const links = (await linksOn(page, address)).filter((link) => !asked.has(link));
    for (const link of links) asked.add(link);
    const bad = await whyBroken(page, address, links, path);
    broken.push(...bad);
    // A page that is not there cannot be opened; it has been told.
    if (bad.length > 0) continue;
    for (const link of links)
      visited.add(link.replace(/#.*/, "").replace(/(^|\/)index\.html$/, "$1"));
  }
  return { visited, broken };
}

/** Where the links of the open page lead, below the address. */
async function linksOn(page: Page, address: string): Promise<string[]> {
  const targets = await page.$$eval("a[href]", (links) =>
    links.map((link) => (link as HTMLAnchorElement).href),
  );
  const own = targets.filter((target) => target.startsWith(address));
  return [...new Set(own.map((target) => target.slice(address.length)))];
}

/** Asks the server for each link's page, and the page for its anchor. */
async function whyBroken(
  page: Page,
  address: string,
  links: readonly string[],
  from: string,
): Promise<string[]> {
  const asked = links.map((link) => link.split("#") as [string, string?]);
  return page.evaluate(
    async ([base, targets, where]) => {
      const broken: string[] = [];
      const documents = new Map<string, Document | undefined>();
      for (const [path, anchor] of targets) {
        if (!documents.has(path)) {
          const answer = await fetch(`${base}${path}`);
          const text = await answer.text();
          const parsed = new DOMParser().parseFromString(text, "text/html");
          documents.set(path, answer.ok ? parsed : undefined);
          if (!answer.ok) broken.push(`${where}: ${path} is not there`);
        }
        const id = decodeURIComponent(anchor ?? "");
        if (id !== "" && documents.get(path)?.getElementById(id) === null) {
          broken.push(`${where}: ${path} has no #${id}`);
        }
      }
      return broken;
    },
    [address, asked, from] as const,
  );
}
