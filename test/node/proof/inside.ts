// Inside: runs the proofs' scripts in network namespaces with 64 ports, and says where that is not
// possible.

import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { PortRange } from "../../../bindings/index.ts";
import { canMakeNamespace, runInNamespace } from "../../../bindings/node/host/namespace.ts";

export const PORTS: PortRange = { first: 40_000, last: 40_063 };
const SCRIPTS = fileURLToPath(new URL("../../../build/test/node/proof/inside/", import.meta.url));
const TIME_MS = 300_000;
const answer = canMakeNamespace();

/** Tests that need a namespace. Where there is none they are not run, and one test says so. */
export function describeInside(title: string, body: () => void): void {
  describe.runIf(answer.ok)(title, body);
  if (answer.ok) return;
  test(`${title}: not run here`, () => {
    console.warn(`${title}: not run, as no namespace can be made: ${answer.why}`);
    expect(answer.why).not.toBe("");
  });
}

/** What a script prints, as JSON. */
export async function inside<Printed>(script: string, ...args: string[]): Promise<Printed> {
  const result = await runInNamespace([`${SCRIPTS}${script}.js`, ...args], {
    portRange: PORTS,
    timeoutMs: TIME_MS,
  });
  expect(result).toMatchObject({ code: 0, timedOut: false, stderr: "" });
  return JSON.parse(result.stdout);
}
