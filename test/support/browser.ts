// Browser: a real Chromium that opens a folder of files, served on loopback, and reports all that
// the page did.

import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { CHROMIUM_ARGS, chromiumPath, NO_CHROMIUM } from "./chromium.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};
/** The other tests keep the machine busy. */
const PATIENCE_MS = 600_000;
/** Not the root: a page that works here works under any path. */
const UNDER = "/some/where/";

/** Why no browser can be started here; undefined: one can. */
export function whyNoBrowser(): string | undefined {
  return chromiumPath() === undefined ? NO_CHROMIUM : undefined;
}

/** A page that has been opened, and what it did. */
export interface Visit {
  readonly page: Page;
  /** What it asked for, each address once. */
  readonly requests: Set<string>;
  /** What it complained about, on the console or by an exception. */
  readonly complaints: string[];
}

export class Site {
  readonly #server: Server;
  readonly #browser: Browser;
  readonly #under: string;

  private constructor(server: Server, browser: Browser, under: string) {
    this.#server = server;
    this.#browser = browser;
    this.#under = under;
  }

  /**
   * Serves a folder on loopback, and starts a browser.
   * @param under the path where the folder is.
   */
  static async open(folder: string, under: string = UNDER): Promise<Site> {
    const server = createServer(({ url = "" }, response) => {
      const [asked = ""] = url.split("?");
      const name = asked.startsWith(under) ? asked.slice(under.length) : "none";
      const path = join(folder, /(?:^|\/)$/.test(name) ? `${name}index.html` : name);
      const isThere = normalize(path).startsWith(folder) && existsSync(path);
      const type = TYPES[extname(path)] ?? "application/octet-stream";
      response.writeHead(isThere ? 200 : 404, { "content-type": type });
      response.end(isThere ? readFileSync(path) : "");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const executablePath = chromiumPath();
    if (executablePath === undefined) throw new Error(NO_CHROMIUM);
    const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGS] });
    return new Site(server, browser, under);
  }

  get address(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}${this.#under}`;
  }

  /** Opens the page in a browser of its own. */
  async visit(options: BrowserContextOptions = {}): Promise<Visit> {
    const context = await this.#browser.newContext(options);
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const requests = new Set<string>();
    const complaints: string[] = [];
    context.on("request", (request) => requests.add(request.url()));
    page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()}`));
    page.on("response", (response) => {
      if (response.status() !== 200) complaints.push(`${response.status()}: ${response.url()}`);
    });
    page.on("console", (said) => complaints.push(`${said.type()}: ${said.text()}`));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(this.address);
    return { page, requests, complaints };
  }

  async close(): Promise<void> {
    await this.#browser.close();
    this.#server.close();
  }
}
