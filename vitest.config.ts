// Five projects: `ports` says what managers and systems answer, `suite` what they do with sockets, processes and pages,
// `alone` what wants a process of its own, `tidy` what the files look like, and `browser` replays the
// recorded answers in a page, where there is a Chromium, and runs the blocks of code that need one.

import { availableParallelism } from "node:os";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { pageBlocks } from "./test/docs/page-blocks.ts";
import { BUILT, built } from "./test/support/built.ts";
import { CHROMIUM_ARGS, chromiumPath, NO_CHROMIUM } from "./test/support/chromium.ts";

const TIDY = "test/package/tidy.test.ts";
const PAGES = "test/replay/browser/**/*.test.ts";
/** Files that touch nothing but memory. A process runs many of them, each in its own module scope. */
const PURE = ["api", "core", "fuzz", "invalid-input", "limits", "replay", "stories"];
/** These have sockets; a process runs many of them, too. */
const SOCKETS = ["bench", "cli", "docs", "fuzz/{node,kernel}", "node", "package", "support"];
/** These watch what is collected and how much memory is taken, or share hooks: each has a process. */
const ALONE = [
  ...["test/api/life.test.ts", "test/limits/*.test.ts", "test/node/adapters/*.test.ts"],
  "test/api/**/{cleanup,closing,containers,detours,manager,regressions,shared-memory,small,stats}.test.ts",
];
const filesIn = (folders: readonly string[]): string[] => {
  return folders.map((folder) => `test/${folder}/**/*.test.ts`);
};
/** What takes long begins first, so that nothing long is left when all else is done. */
const LONGEST = [
  ...["bench/page", "cli/demo", "docs/site", "bench/command", "node/proof/every-ending"],
  ...["replay/netstack", "node/blocks/chaos", "fuzz/linux-6.18/differential", "package/package"],
  ...["node/proof/share", "api/state/snapshot", "fuzz/linux-6.18/state", "node/proof/foreign"],
  ...["fuzz/netstack/netstack", "docs/blocks", "fuzz/canaries", "api/netstack/closing"],
];
const TURNS = ["browser", "alone", "suite", "ports"];
const LAUNCH_MS_MAX = 60_000;
/** A test that hangs is ended, and named, some time; none is a matter of how busy the machine is. */
const HANGING_MS = 600_000;

const executablePath = chromiumPath();
if (executablePath === undefined) console.warn(`${PAGES} are not run: ${NO_CHROMIUM}`);

const browser: TestProjectInlineConfiguration = {
  plugins: [pageBlocks()],
  // Known from the start, so that no page is loaded anew when it is found.
  optimizeDeps: { include: ["@assemblyscript/loader"] },
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

/** The longest files first, then project after project, for a process runs files of one. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const places = LONGEST.map((name) => `/test/${name}.test.ts`);
    const placeOf = ({ moduleId }: TestSpecification): number => {
      const place = places.findIndex((path) => moduleId.endsWith(path));
      return place < 0 ? places.length : place;
    };
    const sorted = await super.sort(files);
    const turnOf = ({ project }: TestSpecification): number => TURNS.indexOf(project.name);
    return sorted.sort((a, b) => placeOf(a) - placeOf(b) || turnOf(a) - turnOf(b));
  }
}

function onBuilt(test: TestProjectInlineConfiguration["test"]): TestProjectInlineConfiguration {
  const more = { testTimeout: HANGING_MS, hookTimeout: HANGING_MS };
  return {
    plugins: [built()],
    test: { ...test, ...more, server: { deps: { external: [BUILT] } } },
  };
}

export default defineConfig({
  test: {
    // More than there are cores: some keep one busy, others wait for servers, pages and clocks.
    maxWorkers: 2 * availableParallelism(),
    sequence: { sequencer: LongestFirst },
    projects: [
      onBuilt({
        name: "ports",
        isolate: false,
        include: filesIn(PURE),
        exclude: [...ALONE, ...filesIn(SOCKETS), PAGES],
      }),
      onBuilt({
        name: "suite",
        isolate: false,
        include: filesIn(SOCKETS),
        exclude: [TIDY, ...ALONE],
      }),
      onBuilt({ name: "alone", include: ALONE }),
      { test: { name: "tidy", include: [TIDY] } },
      ...(executablePath === undefined ? [] : [browser]),
    ],
  },
});
