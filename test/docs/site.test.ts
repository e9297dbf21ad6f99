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
  });

  afterAll(() => site?.close());

  test("has all pages within reach of the first, and no link that leads nowhere", async () => {
    const { visited, broken } = await walk(page, site.address);
    expect(broken).toEqual([]);
    const built = readdirSync(FOLDER, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".html") && name !== "404.html")
      .map((name) => name.replace(/(^|\/)index\.html$/, "$1"));
    expect(visited.sort()).toEqual(built.sort());
    expect(built.length).toBeGreaterThan(30);
  });

  test("a link that leads nowhere is found", async () => {
    const links =
      '<a href="/guide/no-such-page.html">x</a> <a href="/glossary.html#no-such-term">y</a>';
    expect((await walk(page, site.address, links)).broken).toEqual([
      ": guide/no-such-page.html is not there",
      ": glossary.html has no #no-such-term",
    ]);
  });

  test("has pages that open, each with its heading", async () => {
    for (const path of ["reference/", "guide/connector.html", "glossary.html"]) {
      await page.goto(`${site.address}${path}`);
      expect(await page.locator("main h1").count()).toBe(1);
    }
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

interface Walk {
  readonly visited: string[];
  readonly broken: string[];
}

/** Loads each page that is reached by links from the first one, once, and looks at its links. */
function walk(page: Page, first: string, more = ""): Promise<Walk> {
  return page.evaluate(
    async ([base, links]) => {
      const documents = new Map<string, Promise<Document | undefined>>();
      const broken: string[] = [];
      const load = async (path: string): Promise<Document | undefined> => {
        const answer = await fetch(base + path);
        const text = await answer.text();
        return answer.ok ? new DOMParser().parseFromString(text, "text/html") : undefined;
      };
      const documentOf = (path: string): Promise<Document | undefined> => {
        const name = path.replace(/(^|\/)index\.html$/, "$1");
        const document = documents.get(name) ?? load(name);
        documents.set(name, document);
        return document;
      };
      /** Where a link leads, below the address; nothing where it leads elsewhere. */
      const targetOf = (link: Element, from: string): string[] => {
        const { href } = new URL(link.getAttribute("href") ?? "", base + from);
        return href.startsWith(base) ? [href.slice(base.length)] : [];
      };
      const look = async (from: string, target: string): Promise<void> => {
        const [path = "", anchor = ""] = target.split("#");
        const document = await documentOf(path);
        const id = decodeURIComponent(anchor);
        if (document === undefined) broken.push(`${from}: ${path} is not there`);
        else if (id !== "" && document.getElementById(id) === null)
          broken.push(`${from}: ${path} has no #${id}`);
      };
      const firstPage = await documentOf("");
      firstPage?.body.insertAdjacentHTML("beforeend", links);
      for (const [from, loading] of documents) {
        const found = [...((await loading)?.querySelectorAll("a[href]") ?? [])];
        for (const target of new Set(found.flatMap((link) => targetOf(link, from))))
          await look(from, target);
      }
      return { visited: [...documents.keys()], broken };
    },
    [first, more] as const,
  );
}
