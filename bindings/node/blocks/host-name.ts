// Host names: names of which one holder at a time can have each, among all threads and processes of
// a Linux network namespace. A name that is held is an abstract Unix socket that listens: the
// kernel lets a single holder have it, and frees it when its process or thread ends, however that
// happens.
//
//   byte  0     the NUL of an abstract name
//         1     portwarden/1/tcp/10.0.0.1/625/         version, and what is held
//               ..............................         dots up to 108 bytes
//
// Node 20 pads a shorter name with NULs, later ones do not (libuv 1.48): then the same name would
// be two. A name of exactly 108 bytes, all that a Unix address holds, is one in all of them.

import { createServer, type Server, type Socket } from "node:net";

/** The prefix of all such names; 1 is the version of the convention. */
export const HOST_PREFIX = "portwarden/1/";
const NAME_BYTES = 108;

/** The events of a holder. */
interface HolderEvents {
  /** A process connects because it wants the name; by default the connection is closed at once. */
  wanted?(peer: Socket): void;
  /** Called a moment after the name could not be held, with the reason, unless a process has it. */
  failed(error: Error): void;
}

/** A name, as a path of `net`. */
export function hostPath(name: string): string {
  return `\0${HOST_PREFIX}${name}/`.padEnd(NAME_BYTES, ".");
}

/**
 * Holds a name until the server is closed, without keeping the process alive.
 * @returns `undefined`: another process has it, or it cannot be held (`failed`).
 */
export function holdName(path: string, { wanted, failed }: HolderEvents): Server | undefined {
  const server = createServer(wanted ?? ((peer) => peer.destroy()));
  server.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") failed(error);
  });
  // In a worker of `cluster` the primary would listen for all of them.
  server.listen({ path, exclusive: true });
  // Whether the server listens is known at once.
  return server.listening ? server.unref() : undefined;
}
