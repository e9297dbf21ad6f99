// Three projects: `suite` says what portwarden does, `tidy` what its files look like, and `browser` replays the
// recorded answers in a page, where there is a Chromium.

import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { BUILT, built } from "./test/support/built.ts";
import { CHROMIUM_ARGS, chromiumPath, NO_CHROMIUM } from "./test/support/chromium.ts";

const TIDY = "test/package/tidy.test.ts";
const PAGES = "test/replay/browser/**/*.test.ts";
const LAUNCH_MS_MAX = 60_000;
/** A test that hangs is ended some time; none is a matter of how busy the machine is. */
const HANGING_MS = 1_800_000;

const executablePath = chromiumPath();
if (executablePath === undefined) console.warn(`${PAGES} are not run: ${NO_CHROMIUM}`);

const browser: TestProjectInlineConfiguration = {
  // Known from the start, so that no page is loaded anew when it is found.
  optimizeDeps: { include: ["@assemblyscript/loader", "ipaddr.js"] },
  test: {
    name: "browser",
    include: [PAGES],
    testTimeout: HANGING_MS,
    hookTimeout: HANGING_MS,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      api: { host: "127.0.0.1" },
      provider: playwright({
        launchOptions: {
          ...(executablePath === undefined ? {} : { executablePath }),
          args: [...CHROMIUM_ARGS],
          timeout: LAUNCH_MS_MAX,
        },
      }),
      instances: [{ browser: "chromium" }],
    },
  },
};

export default defineConfig({
  test: {
    // The fuzz tests keep a core busy each; others wait for servers, pages and clocks meanwhile.
    maxWorkers: "150%",
    projects: [
      {
        plugins: [built()],
        test: {
          name: "suite",
          server: { deps: { external: [BUILT] } },
          include: ["test/**/*.test.ts"],
          exclude: [TIDY, PAGES],
          testTimeout: HANGING_MS,
          hookTimeout: HANGING_MS,
        },
      },
      { test: { name: "tidy", include: [TIDY] } },
      ...(executablePath === undefined ? [] : [browser]),
    ],
  },
});
