// The numbers that the modules and the facade share. Untyped constants only: asc and tsc compile
// this same file, so there is no copy that could differ.

// ── Refusals ──────────────────────────────────────────────────────────────────────────────
// A negative result means "refused, and nothing has changed".

/** The port asked for is held in a way that does not allow sharing it. */
export const IN_USE = -1;
/** Every port of the range searched is held in a way that does not allow sharing it. */
export const EXHAUSTED = -2;
/** The manager's memory limit, or the memory of the host, does not allow one more record. */
export const NO_MEMORY = -3;
/** A range whose first port is 0, or above its last port, or beyond 65,535. */
export const BAD_RANGE = -4;
/** The group is used, or has children. */
export const BUSY = -5;
/** The port asked for lies outside the group's effective range. */
export const OUTSIDE_GROUP = -6;
/** The group's effective range has no port in common with the range to search. */
export const EMPTY_RANGE = -7;
/** A socket that already has a port, or is connected, cannot do that. */
export const BAD_STATE = -8;
/** The port lies below `ip_unprivileged_port_start`, and the socket is not privileged. */
export const NOT_PERMITTED = -10;
/** Only cooling ports are left, or the explicit port is cooling. */
export const COOLING = -11;
/** The search ended at a port that cannot be shared after all: search again, with a new draw. */
export const AGAIN = -9;

/** The local address is none of the machine's. */
export const NOT_LOCAL = -12;
/** The socket is connected, or listens. */
export const IS_CONNECTED = -13;
/** An IPv6-only socket has no way to an IPv4 address. */
export const NO_ROUTE = -14;
/** The address is of another family than the socket, or its own address. */
export const WRONG_FAMILY = -15;
/** No socket listens at the connection's destination. */
export const REFUSED = -16;
/** The socket is not connected. */
export const NOT_CONNECTED = -17;
/** The socket does not listen. */
export const NOT_LISTENING = -18;
/** No connection waits for accept(). */
export const NOTHING_WAITS = -19;
/** The connection's destination does not answer. */
export const NO_ANSWER = -20;

// ── Ports ─────────────────────────────────────────────────────────────────────────────────

export const PORT_MAX = 65535;
export const PORT_COUNT = 65536;
/** gVisor's default ephemeral range: 16000..65535. */
export const EPHEMERAL_FIRST = 16000;
export const EPHEMERAL_LAST = 65535;
/** Linux's default `ip_local_port_range`: 32768..60999. */
export const LINUX_FIRST = 32768;
export const LINUX_LAST = 60999;

// ── Reuse flags (gVisor `ports.Flags`) ────────────────────────────────────────────────────

export const MOST_RECENT = 1;
export const LOAD_BALANCED = 2;
export const TUPLE_ONLY = 4;
export const FLAG_MASK = 7;

/** The one transport with a rule of its own (gVisor: an ephemeral TCP port is never shared). */
export const TRANSPORT_TCP = 6;
export const TRANSPORT_UDP = 17;

// ── The request block ─────────────────────────────────────────────────────────────────────
// The description of a reservation or pool, written by the facade before the call, as 32-bit
// fields. Addresses are 16 bytes in network order (IPv4 as ::ffff:a.b.c.d), all zero for the any
// address.
//
//   byte  0 ┌────────────────────────────────┐
//           │ transport                      │
//         4 ├────────────────────────────────┤
//           │ device            0: none      │
//         8 ├────────────────────────────────┤  ┐
//           │ destination port               │  │
//        12 ├────────────────────────────────┤  │ laid out like a node of the table, so that
//           │ group             0: none      │  │ a flow and a request compare alike
//        16 ├────────────────────────────────┤  │
//           │ reserved ports    0: none      │  │
//        20 ├────────────────────────────────┤  │
//           │ (unused)                       │  │
//        24 ├────────────────────────────────┤  │
//           │ destination address   16 bytes │  │
//        40 ├────────────────────────────────┤  ┘
//           │ local address         16 bytes │
//        56 ├────────────────────────────────┤
//           │ flags                          │
//        60 ├────────────────────────────────┤
//           │ network count                  │
//        64 ├────────────────────────────────┤
//           │ networks          16 x 4 bytes │
//       128 └────────────────────────────────┘

export const REQUEST_TRANSPORT = 0;
export const REQUEST_DEVICE = 4;
export const REQUEST_DESTINATION_PORT = 8;
export const REQUEST_GROUP = 12;
export const REQUEST_RESERVED = 16;
export const REQUEST_DESTINATION = 24;
export const REQUEST_ADDRESS = 40;
export const REQUEST_FLAGS = 56;
export const REQUEST_NETWORK_COUNT = 60;
export const REQUEST_NETWORKS = 64;
export const REQUEST_BYTES = 128;
export const NETWORKS_MAX = 16;

// ── Groups ────────────────────────────────────────────────────────────────────────────────

/** Which of a group's two ranges: where its sockets may bind, and where they connect from. */
export const GROUP_BIND = 0;
export const GROUP_CONNECT = 1;

// ── How a pool picks ──────────────────────────────────────────────────────────────────────

/**
 * As bind() with port 0, within the group's bind range: an ephemeral TCP port is never shared
 * (gVisor `ReservePort`, port 0).
 */
export const MODE_BIND = 0;
/**
 * As connect(), within the group's connect range: each port is judged as an explicit port
 * (gVisor `PickEphemeralPort`).
 */
export const MODE_CONNECT = 1;

/** The most ports that one batch call moves; the facade splits longer lists. */
export const BATCH_MAX = 1024;

// ── Draws of bind() ───────────────────────────────────────────────────────────────────────

/** More draws may follow if the port that was found cannot be shared after all. */
export const FIRST_DRAW = 0;
/** The last draw. */
export const LAST_DRAW = 1;
/**
 * The only draw of a selection policy that is not the kernel's: fastreuse does not end its search.
 */
export const POLICY_DRAW = 2;

// ── Where the facade writes ───────────────────────────────────────────────────────────────

/** Address of the request block. */
export const REQUEST_AT = 2048;
/** Address of the batch: 32-bit offsets in, 16-bit ports in or out. */
export const BATCH_AT = 4096;

// ── Lines: what is held, flow by flow (netstack/listing.ts) ───────────────────────────────

/** Bytes of a line in the batch. */
export const LINE_BYTES = 64;
/** Address of the first line. The batch begins with the address where the lines end. */
export const LINES_AT = 4160;

// ── Singles: destinations with one port, as bytes of a snapshot (netstack/singles.ts) ─────

export const SINGLE_KIND_SHIFT = 3;
export const SINGLE_ANY = 0;
export const SINGLE_IPV4 = 1;
export const SINGLE_IPV6 = 2;
export const SINGLE_HAS_PORT = 32;
/** Bytes of singles that the batch takes. */
export const SINGLES_MAX = 2048;
