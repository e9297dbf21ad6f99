// The Chromium of the machine, for tests that need a page. None is downloaded.

import { existsSync } from "node:fs";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** How it is started: headless, also as root in a container, and silent towards the network. */
export const CHROMIUM_ARGS: readonly string[] = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

export const NO_CHROMIUM: string =
  `no Chromium on this machine: none of ${PLACES.join(", ")}, and the environment names none ` +
  "(CHROMIUM); Debian has it as a package: apt-get install chromium";

/** Where it is; `undefined`: it is not there. */
export function chromiumPath(): string | undefined {
  const named = process.env.CHROMIUM;
  return (named === undefined ? PLACES : [named]).find((path) => existsSync(path));
}
