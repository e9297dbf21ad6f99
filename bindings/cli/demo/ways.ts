// Ways: the three ways to open a connection that are compared, with one interface.

import { connect, type Socket } from "node:net";
import type { PortRange } from "../../index.ts";
import { createConnector } from "../../node/index.ts";
import type { WayName } from "./options.ts";
import type { Destination } from "./servers.ts";

/** A way to open connections. */
export interface Way {
  readonly name: WayName;
  /** The ports that it can use. */
  readonly range: PortRange;
  /** Opens a connection: the socket once it is connected; rejects with the way's own error. */
  open(destination: Destination): Promise<Socket>;
  /** Ports that the way still holds when all its sockets have closed; ends it. */
  close(): number;
}

/** What the ways may use. */
interface WayOptions {
  /** The local address, where a way can choose it. */
  readonly source: string;
  /** The ports that the kernel chooses from. */
  readonly kernelRange: PortRange;
  /** The ports that portwarden chooses from. */
  readonly portwardenRange: PortRange;
}

/** Makes a new way. */
export function makeWay(name: WayName, options: WayOptions): Way {
  if (name === "portwarden") return portwarden(options);
  const local = name === "localAddress" ? { localAddress: options.source } : {};
  return {
    name,
    range: options.kernelRange,
    open: (destination) => connected(connect({ ...destination, ...local })),
    close: () => 0,
  };
}

function portwarden({ source, portwardenRange }: WayOptions): Way {
  const connector = createConnector({
    ...{ sources: source, portRange: portwardenRange },
    // All ways may use up the range.
    headroom: 0,
  });
  return {
    name: "portwarden",
    range: portwardenRange,
    open: (destination) => connector.connect({ ...destination }),
    close: () => {
      const { held } = connector.metrics();
      connector.close();
      return held;
    },
  };
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}
