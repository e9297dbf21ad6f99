// What an adapter replaces or ignores of its tool's options is honoured or refused: each option
// that the tools document stands in a table of the docs, and the tables say what is true.

import http from "node:http";
import https from "node:https";
import autocannon from "autocannon";
import { Agent, request } from "undici";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { PortError } from "../../../bindings/index.ts";
import {
  autocannonSetup,
  bindDatagram,
  type Connector,
  connectionFor,
  HttpPortAgent,
  HttpsPortAgent,
  PortSocket,
  undiciConnect,
} from "../../../bindings/node/index.ts";
import { optionsIn, SOURCES as TOOLS, tableOf } from "./documented.ts";
import { atEnd, connect, expectOurs, type Fixture, get, httpFixture } from "./fixture.ts";

/** Another value than the connector's own choice. */
const ASKED: Record<string, unknown> = {
  localPort: 45_001,
  autoSelectFamily: false,
  hints: 1,
  host: "127.0.0.1",
  address: "127.0.0.1",
};

const valueFor = (name: string): unknown => ASKED[name] ?? 7;

/** How each adapter is asked for an option: what is thrown, or fails. */
const ASK: Record<string, (connector: Connector, options: object) => unknown> = {
  "http agents": (connector, options) =>
    failure(
      http.get({ host: "127.0.0.1", port: 9, agent: new HttpPortAgent(connector), ...options }),
    ),
  "https agents": (connector, options) =>
    failure(
      https.get({ host: "127.0.0.1", port: 9, agent: new HttpsPortAgent(connector), ...options }),
    ),
  undici: (connector, options) => undiciConnect(connector, options),
  autocannon: (connector, tlsOptions) =>
    autocannonSetup(connector)({ opts: { tlsOptions }, ipc: false }),
  UDP: (connector, options) => bindDatagram(connector, { type: "udp4", ...options }),
  PortSocket: (connector, options) =>
    new PortSocket(connector, options).connect({ host: "127.0.0.1", port: 9, ...options }),
};

describe.each(Object.entries(TOOLS))("the table of %s", (heading, sources) => {
  const { connector, refused, tool, unseen } = tableOf(heading);

  test("has each option that the tool documents, once", () => {
    const all = [...connector, ...refused, ...tool, ...unseen].sort();
    const documented = [...new Set(sources.flatMap(optionsIn))];
    expect(documented.filter((name) => !all.includes(name))).toEqual([]);
    expect(all).toEqual([...new Set(all)]);
  });
});

const REFUSING = Object.keys(ASK).map((heading) => [heading, tableOf(heading).refused] as const);

test.each(REFUSING)("the table of %s calls refused what is refused", async (heading, refused) => {
  expect(refused).not.toEqual([]);
  const one = connect();
  for (const name of refused) {
    const asked = async () => ASK[heading]?.(one, { [name]: valueFor(name) });
    await expect(asked(), name).rejects.toThrow(PortError);
    await expect(asked(), name).rejects.toMatchObject({ code: "ERR_INVALID_ARG_VALUE" });
    await expect(asked(), name).rejects.toThrow(new RegExp(`: ${name} must be `));
  }
});

test("an option that no table has is found", () => {
  const { connector, tool } = tableOf("http agents");
  const known = [...connector, ...tool];
  const documented = TOOLS["http agents"]?.flatMap(optionsIn) ?? [];
  // The row of what is refused is left out on purpose.
  expect(documented.filter((name) => !known.includes(name))).toContain("localPort");
});

describe("an option that asks for what a connector does anyway", () => {
  test.each([{ autoSelectFamily: true }, { hints: 0 }, { localPort: undefined }])(
    "is accepted: %j",
    async (options) => {
      const { port, came } = await httpFixture();
      const agent = new HttpPortAgent(connect());
      await get(`http://127.0.0.1:${port}/`, { agent, ...options });
      expectOurs(came);
    },
  );
});

describe("a local port", () => {
  test("is refused among the options of an agent, before there is one", () => {
    for (const Class of [HttpPortAgent, HttpsPortAgent]) {
      expect(() => new Class(connect(), { localPort: 45_001 })).toThrow("localPort must be left");
    }
  });

  test("is refused by a request without an agent", async () => {
    const options = { createConnection: connectionFor(connect()), localPort: 45_001 };
    await expect(get("http://127.0.0.1:9/", options)).rejects.toThrow("localPort must be left");
  });

  test("is refused by a WebSocket through an agent, and without one", async () => {
    const connector = connect();
    const agent = new HttpPortAgent(connector);
    for (const way of [{ agent }, { createConnection: connectionFor(connector) }]) {
      const options = { ...way, localPort: 45_001 } as object;
      const error = await new Promise<Error>((resolve) => {
        new WebSocket("ws://127.0.0.1:9/", options).on("error", resolve);
      });
      expect(error.message).toContain("localPort must be left");
    }
  });
});

describe("a lookup of the request's own", () => {
  const lookup = (_name: string, _options: object, done: (...answer: unknown[]) => void): void =>
    done(null, [{ address: "127.0.0.1", family: 4 }]);
  const byAgent = (connector: Connector, url: string): Promise<unknown> =>
    get(url, { agent: new HttpPortAgent(connector), lookup: lookup as never });
  const byFunction = (connector: Connector, url: string): Promise<unknown> =>
    get(url, { createConnection: connectionFor(connector), lookup: lookup as never });
  const byUndici = async (connector: Connector, url: string): Promise<unknown> => {
    const dispatcher = new Agent({
      connect: undiciConnect(connector, { lookup: lookup as never }),
    });
    atEnd(() => dispatcher.destroy());
    return (await request(url, { dispatcher })).body.text();
  };
  const byAutocannon = async (connector: Connector, url: string): Promise<unknown> => {
    const result = await autocannon({
      ...{ url, connections: 1, amount: 1, setupClient: autocannonSetup(connector) },
      tlsOptions: { lookup: lookup as never },
    });
    return result["2xx"];
  };

  test.each([
    ["an agent", byAgent],
    ["connectionFor", byFunction],
    ["undici", byUndici],
    ["autocannon", byAutocannon],
  ])("is used by %s", async (_name, ask) => {
    const fixture: Fixture = await httpFixture();
    // The connector's own finds no such name.
    await ask(connect(), `http://nowhere.invalid:${fixture.port}/`);
    expectOurs(fixture.came);
    expect(fixture.came).toHaveLength(1);
  });
});

function failure(asked: http.ClientRequest): Promise<never> {
  return new Promise((_, reject) => void asked.on("error", reject));
}
