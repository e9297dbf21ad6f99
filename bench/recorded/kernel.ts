// Recorded: what choosing a local port costs in a live kernel as the range fills. Reference rows
// from another machine; nothing is held against them.
//
// Linux 6.18 in a virtual machine with two cores, range 32768..60999, loopback, one destination:
// medians of four runs, in microseconds. The range was filled by the very call that is timed, so
// free ports lay together. At 100 % the call is refused. A connect() is a whole handshake, of which
// about 13 us have nothing to do with the port.

import type { Session } from "../harness/session.ts";

type Recorded = readonly [percent: number, connect: number, inRange: number, bind: number];

// `inRange`: connect() of a socket whose IP_LOCAL_PORT_RANGE is the whole range.
const CURVE: readonly Recorded[] = [
  [0, 13.0, 12.8, 1.4],
  [25, 12.9, 12.8, 1.72],
  [49.9, 19.4, 13.2, 1713],
  [50.1, 1145, 12.7, 4743],
  [75, 658, 12.9, 4479],
  [90, 646, 13.1, 5022],
  [99, 740, 14.5, 4831],
  [99.9, 702, 18.4, 7472],
  [100, 2546, 2531, 11165],
];

export function keepRecorded(session: Session): void {
  for (const [occupancy, connect, inRange, bind] of CURVE) {
    const keep = (row: string, us: number): void => {
      session.keepOne(
        { suite: "linux-6.18", workload: row, occupancy },
        "Linux (recorded)",
        us * 1000,
      );
    };
    keep("bind/together", bind);
    keep("connect/together", connect);
    keep("connect in range/together", inRange);
  }
}
