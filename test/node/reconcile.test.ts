// Reconciling: a connector says where it and the host differ, and corrects it when it is asked.

import { once } from "node:events";
import { connect, Socket } from "node:net";
import { endianness } from "node:os";
import { performance } from "node:perf_hooks";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  connectorWith,
  freshSources,
  openMany,
  reset,
  serve,
  until,
} from "../support/connectors.ts";

const isTold = process.platform === "linux" && endianness() === "LE";
const ONE_PORT = { first: 23_000, last: 23_000 };

afterEach(() => {
  vi.restoreAllMocks();
});

function later(ms: number): void {
  const then = performance.now() + ms;
  vi.spyOn(performance, "now").mockImplementation(() => then);
}

describe.runIf(isTold)("reconcile", () => {
  test("finds nothing where connections come and go in good order", async () => {
    const { to } = await serve();
    const connector = connectorWith();
    const sockets = await openMany(connector, to, 3);
    const nothing = { compared: true, missing: [], foreign: [], fixed: 0 };
    expect(connector.reconcile()).toEqual(nothing);
    await reset(...sockets);
    expect(connector.reconcile({ fix: true })).toEqual(nothing);
  });

  test("gives back a lost port once, when it has been missing for a second", async () => {
    const { port, to, sockets } = await serve();
    const connector = connectorWith({ portRange: ONE_PORT });
    const [source = ""] = connector.sources;
    const lost = new Socket(); // never connects, and never closes
    connector.dial(
      to,
      () => lost,
      () => undefined,
    );
    await until(() => connector.metrics().held === 1, "the port is picked");
    const destination = { address: "127.0.0.1", port };
    const missing = [{ transport: "tcp", source, port: 23_000, destination }];
    expect(connector.reconcile({ fix: true })).toMatchObject({ missing, fixed: 0 });
    later(1100);
    expect(connector.reconcile()).toMatchObject({ missing, fixed: 0 });
    expect(connector.reconcile({ fix: true })).toMatchObject({ missing, fixed: 1 });
    vi.restoreAllMocks();

    // The next owner of the port keeps it, though the lost socket closes in the end.
    const socket = await connector.connect(to);
    expect(socket.localPort).toBe(23_000);
    lost.destroy();
    await once(lost, "close");
    expect(connector.metrics().held).toBe(1);
    expect(connector.reconcile({ fix: true })).toMatchObject({ missing: [], fixed: 0 });
    await until(() => sockets.size > 0, "the connection is accepted");
    await reset(socket);
    expect(connector.metrics().held).toBe(0);
  });

  test("lists other programs' sockets, and keeps away from them when it is asked to", async () => {
    const { port, to } = await serve();
    const [source = ""] = freshSources(1);
    const connector = connectorWith({ sources: source, portRange: ONE_PORT });
    const other = connect({ ...to, localAddress: source, localPort: 23_000 });
    other.on("error", () => undefined);
    await once(other, "connect");
    const destination = { address: "127.0.0.1", port };
    const foreign = [{ transport: "tcp", source, port: 23_000, destination }];
    expect(connector.reconcile()).toMatchObject({ foreign, missing: [] });
    connector.reconcile({ fix: true });
    await expect(connector.connect(to)).rejects.toMatchObject({ exhausted: "range" });
    expect(connector.metrics().conflicts).toBe(0);
    await reset(other);
  });

  test("refuses what it does not know, and a connector that is closed", () => {
    const connector = connectorWith();
    const codeOf = (options: object): unknown => {
      try {
        return connector.reconcile(options);
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(codeOf({ fix: 1 })).toBe("ERR_INVALID_ARG_TYPE");
    expect(codeOf({ repair: true })).toBe("ERR_INVALID_ARG_VALUE");
    connector.close();
    expect(codeOf({})).toBe("EBADF");
  });
});
