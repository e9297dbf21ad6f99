// Times of gVisor's own port manager: reference rows from another machine, with Go 1.19.8. Medians
// of five runs or more; nothing is checked against them.

type AtOccupancy = readonly (readonly [percent: number, ns: number])[];

/** Nanoseconds to take and free an ephemeral port, by percent of 16000..65535 held. */
export const EPHEMERAL: Readonly<Record<string, AtOccupancy>> = {
  tcp: [
    [0, 1188],
    [50, 3534],
    [90, 14600],
    [99, 113500],
    [99.9, 920300],
    [100, 52760000],
  ],
  udp: [
    [0, 1243],
    [50, 3313],
    [90, 10900],
    [99, 101900],
    [99.9, 906900],
    [100, 48200000],
  ],
};

/** Nanoseconds per port: all of 16000..65535, the last percent of them, giving back. */
export const FILL = { all: 188_700, "last percent": 12_030_000, drain: 389 } as const;

/**
 * Nanoseconds per connection from a random offset, by the number of destinations, while 0 to 50,
 * 50 to 90 and 90 to 99 % of the range are held towards each.
 */
export const CONNECT: Readonly<Record<number, readonly [number, number, number]>> = {
  1: [1552, 11_800, 633_800],
  10: [1341, 10_200, 440_200],
  100: [1991, 26_100, 768_500],
  1000: [11_400, 239_900, 1_210_000],
};

/** Nanoseconds on one port with a listener and a million accepted connections. */
export const ACCEPTS = {
  accept: 1178,
  "exclusive bind, refused": 24_030_000,
  "bind with the listener's flags": 24_930_000,
  "reservePort of a new tuple": 16_750_000,
  "reserveTuple of a new tuple": 191,
} as const;

/** Bytes of heap in use per live reservation. */
export const MEMORY: Readonly<Record<string, number>> = {
  "49,536 binds": 1320,
  "1,040,256 tuples, 21 destinations": 197,
  "1,000,000 tuples, 1,000 destinations": 197,
  "1,000,000 accepted, one port": 201,
};
