// The forecast of `plan` for the kernel's own choice, compared with the machine's kernel and real
// sockets: how many connections are made before the first is refused.

import { expect, test } from "vitest";
import { type Call, canRunKernel, openKernel } from "../fuzz/kernel/kernel.ts";
import { json } from "./run.ts";

const PORTS = 20;
const RANGE = `40000 ${40_000 + PORTS - 1}`;
const { why } = canRunKernel();

/** The forecast for a load: connections that stay open, and those that are closed at once. */
const LOADS = [
  { told: "that stay open", destinations: 2, lifetime: "1000", closes: false },
  {
    told: "that are closed at once, and wait a minute",
    destinations: 1,
    lifetime: "0.001",
    closes: true,
  },
] as const;

test.runIf(why === "").each(LOADS)(
  "the forecast for connections $told is what the kernel does",
  async (load) => {
    const { destinations, lifetime, closes } = load;
    const rate = 10;
    const to = `plan --sources 127.0.0.1 --destinations ${destinations} --rate ${rate}`;
    const ports = "--range 40000-40019 --reserved 1 --files 10000";
    const { value } = await json(`${to} --lifetime ${lifetime} ${ports} --for 30`);
    const kernel = value.kernel as { firstRefusal: number; ports: number };
    expect(kernel.ports).toBe(PORTS * destinations);
    const made = await connectionsOf(destinations, closes);
    expect(Math.round(kernel.firstRefusal * rate)).toBe(made);
  },
);

test.runIf(why !== "")("forecasts are not compared with this machine's kernel", () => {
  console.warn(`not compared with real sockets: ${why}`);
  expect(why).not.toBe("");
});

/**
 * How many connections the kernel makes before one is refused, to so many destinations in turns.
 */
async function connectionsOf(destinations: number, closes: boolean): Promise<number> {
  const calls: Call[] = [];
  for (let server = 0; server < destinations; server++) {
    calls.push(["socket", `s${server}`, "tcp4", 0]);
    calls.push(["bind", `s${server}`, "127.0.0.1", 5000 + server], ["listen", `s${server}`]);
  }
  for (let client = 0; client <= PORTS * destinations; client++) {
    const server = client % destinations;
    const [one, other] = [`c${client}`, `a${client}`];
    calls.push(["socket", one, "tcp4", 0], ["connect", one, "127.0.0.1", 5000 + server]);
    if (client === PORTS * destinations) break;
    calls.push(["accept", `s${server}`, other, []]);
    if (closes) calls.push(["close", one, false], ["close", other, false]);
  }
  const sysctl = { ip_local_port_range: RANGE, tcp_tw_reuse: "0" };
  const kernel = openKernel();
  const { answers = [], error } = await kernel.run(
    { sysctl, v4: [], v6: [], exec_as_owner: false },
    calls,
  );
  await kernel.close();
  expect(error).toBe(undefined);
  const connects = answers.filter((_, index) => calls[index]?.[0] === "connect");
  expect(connects.at(-1)).toContain("EADDRNOTAVAIL");
  return connects.filter((answer) => answer.startsWith("ok")).length;
}
