// Two projects: `suite` says what portwarden does, `tidy` what its files look like.

import { defineConfig } from "vitest/config";

const TIDY = "test/tidy.test.ts";

export default defineConfig({
  test: {
    // The fuzz tests are the longest, and each keeps one core busy.
    maxWorkers: "100%",
    projects: [
      {
        test: {
          name: "suite",
          include: ["test/**/*.test.ts"],
          exclude: [TIDY],
          testTimeout: 180_000,
        },
      },
      { test: { name: "tidy", include: [TIDY] } },
    ],
  },
});
