// Picking: a port that a tester accepts, which nothing reserves (gVisor `PickEphemeralPort`).

import { PortError, wrongType } from "./errors.ts";
import { checkVerdict, type PortTester, type Reserving } from "./reserving.ts";

/**
 * Offers the ports of the ephemeral range to a tester, each once, from an offset on.
 * @throws PortError `EADDRNOTAVAIL` (none was accepted), `EBADF`; what the tester throws.
 */
export function pick(reserving: Reserving, test: PortTester, offset: number): number {
  const { first, last } = reserving.range();
  const count = last - first + 1;
  const start = offset % count;
  for (let index = 0; index < count; index++) {
    const port = first + ((start + index) % count);
    const isAccepted = checkVerdict(test(port));
    reserving.open(); // the tester may have closed the manager
    if (isAccepted) return port;
  }
  throw new PortError(
    "EADDRNOTAVAIL",
    "no-port-available",
    `the tester accepted none of the ports ${first}..${last}`,
    { syscall: "connect", port: 0, searched: { first, last } },
  );
}

/** @throws PortError `ERR_INVALID_ARG_TYPE`: it is no function. */
export function checkTester(test: unknown, optional: boolean): void {
  if (typeof test === "function" || (optional && test === undefined)) return;
  throw wrongType("test", "a function that answers a boolean", test);
}
