// Pages in Chromium: each in a browser of its own, which has seen nothing before.

import { type Browser, chromium } from "playwright-core";
import { CHROMIUM_ARGS, chromiumPath, NO_CHROMIUM } from "../../support/chromium.ts";
import { type Outcome, reportIn } from "./rows.ts";
import { Unavailable } from "./tools.ts";

const MS_MAX = 60_000;
const LAUNCH_MS_MAX = 30_000;

/** What a page reports, by what it prints. Throws its errors. */
export async function visit(url: string): Promise<Outcome> {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    const printed = await new Promise<string>((resolve, reject) => {
      const lines: string[] = [];
      const limit = `the page reported nothing in ${MS_MAX / 1000} s: `;
      const timer = setTimeout(() => reject(new Error(limit + lines.join(" | "))), MS_MAX);
      timer.unref();
      page.on("pageerror", reject);
      page.on("crash", () => reject(new Error("the page crashed")));
      page.on("console", (message) => {
        lines.push(message.text());
        if (message.text().startsWith("REPORT ")) resolve(message.text());
      });
      page.goto(url, { timeout: MS_MAX }).catch(reject);
    });
    return { ...reportIn(printed), version: browser.version() };
  } finally {
    await browser.close();
  }
}

function launch(): Promise<Browser> {
  const executablePath = chromiumPath();
  if (executablePath === undefined) throw new Unavailable(NO_CHROMIUM);
  const args = [...CHROMIUM_ARGS];
  return chromium.launch({ executablePath, args, timeout: LAUNCH_MS_MAX });
}
