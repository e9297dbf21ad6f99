// Managers that are closed or forgotten give back all that they held. Each story runs in a process
// of its own: it loads the package as a user does, can call the garbage collector, and can be
// stopped if it does not end.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** For scripts that run for a few seconds. */
const TIMEOUT_MS = 600_000;

test("a manager closes whatever it holds: many spaces, each with many addresses", async () => {
  const figures = await evaluate(`
    import { PortManager } from "portwarden";
    const figures = [];
    for (let round = 0; round < 60; round++) {
      const manager = PortManager.open();
      for (let transport = 0; transport < round; transport++) {
        for (const end of [1, 2, 3]) {
          const request = { networks: [4, 6], transport, address: "10.0.0." + end };
          manager.reservePort({ ...request, port: 80 });
          manager.reservePort({ ...request, port: 81, destination: { port: end } });
        }
      }
      manager.close();
      figures.push(PortManager.open().stats().memory.used);
    }
    console.log(JSON.stringify(figures));
  `);
  expect(new Set(figures).size).toBe(1);
});

test("a manager that closes leaves nothing behind, wherever its records lay", async () => {
  const figures = await evaluate(`
    import { PortManager } from "portwarden";
    const figures = [];
    const ports = new Uint16Array(65);
    for (let round = 0; round < 600; round++) {
      const manager = PortManager.open();
      for (let transport = 30; transport < 60; transport++) {
        for (const end of [1, 2, 3]) {
          const pool = manager.pool({ networks: [4], transport, address: "10.0.0." + end });
          pool.takeMany(ports);
        }
      }
      if (round % 100 === 99) figures.push(manager.stats().memory.taken);
      manager.close();
    }
    console.log(JSON.stringify(figures));
  `);
  expect(figures).toHaveLength(6);
  expect(figures).toEqual(figures.map(() => figures[0]));
});

test.each([
  ["a manager that is forgotten gives its memory back", "{}"],
  [
    "a manager that is forgotten while its ports cool down gives its memory back",
    '{ cooldown: 1000, selection: "fifo" }',
  ],
])("%s", async (_name, options) => {
  const figures = await evaluate(`
    import { PortManager } from "portwarden";
    const ports = new Uint16Array(1000);
    const fill = () => {
      const manager = PortManager.open({ portRange: { first: 1, last: 65535 } });
      const pool = manager.pool({ networks: [4, 6], transport: 17, ...${options} });
      pool.takeMany(ports);
      for (const port of ports.subarray(500)) pool.coolDown(port, 0);
    };
    const taken = () => PortManager.open().stats().memory.taken;
    const figures = [];
    for (let round = 0; round < 6; round++) {
      for (let turn = 0; turn < 100; turn++) fill();
      for (let turn = 0; turn < 3; turn++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      figures.push(taken());
    }
    console.log(JSON.stringify(figures));
  `);
  // 100 managers of two bitmaps each are 1.7 MB; six times that would be seen.
  expect(figures.at(-1)).toBeLessThan((figures[0] as number) * 2.5);
});

/** Runs a script, which prints the figures that it has measured. */
function evaluate(script: string): Promise<number[]> {
  const cwd = fileURLToPath(new URL("../../..", import.meta.url));
  const args = ["--expose-gc", "--input-type=module", "--eval", script];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd, timeout: TIMEOUT_MS }, (error, out) => {
      if (error) reject(error.killed ? new Error("it went on without end") : error);
      else resolve(JSON.parse(out) as number[]);
    });
  });
}
