// Open memory: the objects that a connection of the connector has for as long as it is open, beside
// one of net.connect. Each way has a process, which takes two snapshots of its heap and counts the
// bytes of those objects of which there is one more for each connection.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { freshSources, serve } from "../support/connectors.ts";

/** An attempt, and three properties of the socket. */
const MORE_AT_MOST = 72 + 24;

const COUNT = 200;

/** Ways to open a connection: each sets `open`, which calls back with a socket. */
const PLAIN = `
  const open = (opened) => {
    const socket = net.connect({ host: "127.0.0.1", port, localAddress });
    socket.once("connect", () => opened(socket));
  };`;
const OURS = `
  const { createConnector } = await import("portwarden/node");
  const connector = createConnector({ sources: localAddress, cooldown: "none" });
  const open = (opened) => {
    connector.open({ host: "127.0.0.1", port }, (_, socket) => opened(socket));
  };`;

test("an open connection has one small object more than one of net.connect", async () => {
  const [plain, ours] = await Promise.all([bytesOf(PLAIN), bytesOf(OURS)]);
  expect(plain).toBeGreaterThan(300);
  expect(ours - plain).toBeLessThanOrEqual(MORE_AT_MOST);
});

test("control: one more object for each connection is found", async () => {
  const wasteful = OURS.replace("opened(socket)", "opened(Object.assign(socket, { more: {} }))");
  const [plain, ours] = await Promise.all([bytesOf(PLAIN), bytesOf(wasteful)]);
  expect(ours - plain).toBeGreaterThan(MORE_AT_MOST);
});

/** Bytes of the objects of a connection that is open. */
async function bytesOf(way: string): Promise<number> {
  const { port } = await serve();
  const folder = mkdtempSync(join(tmpdir(), "portwarden-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const given = { port, localAddress: freshSources(1)[0], folder, COUNT };
  const script = `
    import net from "node:net";
    import { readFileSync } from "node:fs";
    import { writeHeapSnapshot } from "node:v8";
    const { port, localAddress, folder, COUNT } = ${JSON.stringify(given)};
    const [before, after] = [folder + "/before", folder + "/after"];
    ${way}
    const sockets = [];
    const fill = async (count) => {
      while (sockets.length < count) sockets.push(await new Promise((resolve) => open(resolve)));
      await new Promise((resolve) => setTimeout(resolve, 20));
    };

    // By kind: how many objects there are, and how many bytes they have.
    const kindsIn = (path) => {
      const { snapshot, nodes, strings } = JSON.parse(readFileSync(path, "utf8"));
      const fields = snapshot.meta.node_fields;
      const [type, name, size] = ["type", "name", "self_size"].map((one) => fields.indexOf(one));
      const found = new Map();
      for (let at = 0; at < nodes.length; at += fields.length) {
        const kind = nodes[at + type] + " " + strings[nodes[at + name]];
        const { count, bytes } = found.get(kind) ?? { count: 0, bytes: 0 };
        found.set(kind, { count: count + 1, bytes: bytes + nodes[at + size] });
      }
      return found;
    };

    // What there is but once is there before; and nothing is read before both are written.
    await fill(COUNT);
    writeHeapSnapshot(before);
    await fill(2 * COUNT);
    writeHeapSnapshot(after);
    const earlier = kindsIn(before);
    let sum = 0;
    for (const [kind, { count, bytes }] of kindsIn(after)) {
      const least = earlier.get(kind) ?? { count: 0, bytes: 0 };
      if (count - least.count > COUNT / 2) sum += bytes - least.bytes;
    }
    console.log(sum / COUNT);
    process.exit();`;
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const args = ["--input-type=module", "--eval", script];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd }, (error, out) => {
      if (error) reject(error);
      else resolve(Number(out));
    });
  });
}
