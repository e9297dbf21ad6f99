// Prometheus: what the real prom-client prints is what the connector's metrics say, at every
// collection.

import client from "prom-client";
import { expect, test } from "vitest";
import {
  type Connector,
  type ConnectorMetrics,
  type PairMetrics,
  prometheusMetrics,
} from "../../bindings/node/index.ts";
import { connectorWith, freshSources, openMany, reset, serve } from "../support/connectors.ts";

type Series = Map<string, number>;

const FIGURES: [figure: keyof PairMetrics, name: string, type: string][] = [
  ["held", "ports_held", "gauge"],
  ["cooling", "ports_cooling", "gauge"],
  ["quarantined", "ports_quarantined", "gauge"],
  ["capacity", "ports_capacity", "gauge"],
  ["left", "ports_left", "gauge"],
  ["picks", "picks_total", "counter"],
  ["connected", "connected_total", "counter"],
  ["failed", "failed_total", "counter"],
  ["refused", "refused_total", "counter"],
  ["conflicts", "conflicts_total", "counter"],
  ["released", "released_total", "counter"],
  ["cooledDown", "cooled_down_total", "counter"],
];

/** What a histogram's series have behind its name. */
const PART = /_(?:bucket|sum|count)$/;

/** The lines of the text format, by name and labels; each at most once, each with a type. */
function parse(text: string): { series: Series; types: Map<string, string> } {
  const series: Series = new Map();
  const types = new Map<string, string>();
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) types.set(type[1] as string, type[2] as string);
    if (line.startsWith("#")) continue;
    const [, name, labels = "", value] =
      /^([a-zA-Z_:][\w:]*)(\{.*\})? ([\d.e-]+)$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`not a series: ${line}`);
    expect(types.has(name) || types.get(name.replace(PART, "")) === "histogram", line).toBe(true);
    expect(series.has(name + labels), line).toBe(false);
    series.set(name + labels, Number(value));
  }
  return { series, types };
}

/** What must be printed for these metrics. */
function expected(metrics: ConnectorMetrics, prefix = "portwarden_", also = ""): Series {
  const series: Series = new Map();
  const bare = also === "" ? "" : `{${also}}`;
  const put = (name: string, labels: string, value: number): void => {
    series.set(prefix + name + labels, value);
  };
  const joined = (label: string): string => `{${[also, label].filter((one) => one !== "").join()}}`;
  for (const [figure, name] of FIGURES) {
    if (figure !== "refused") put(name, bare, metrics[figure]);
    for (const [source, figures] of Object.entries(metrics.bySource)) {
      put(`source_${name}`, joined(`source="${source}"`), figures[figure]);
    }
    for (const [destination, figures] of Object.entries(metrics.byDestination)) {
      put(`destination_${name}`, joined(`destination="${destination}"`), figures[figure]);
    }
  }
  for (const [reason, count] of Object.entries(metrics.refusals)) {
    put("refused_total", joined(`reason="${reason}"`), count);
  }
  put("waiting", bare, metrics.waiting);
  const { buckets, sumMs, count } = metrics.waits;
  for (const { atMostMs, count } of buckets) {
    const le = atMostMs === Number.POSITIVE_INFINITY ? "+Inf" : atMostMs / 1000;
    put(
      "wait_seconds_bucket",
      `{${[`le="${le}"`, also].filter((one) => one !== "").join()}}`,
      count,
    );
  }
  put("wait_seconds_sum", bare, sumMs / 1000);
  put("wait_seconds_count", bare, count);
  for (const [destination, { waiting }] of Object.entries(metrics.byDestination)) {
    put("destination_waiting", joined(`destination="${destination}"`), waiting);
  }
  return series;
}

function sorted(series: Series): [string, number][] {
  return [...series].sort(([a], [b]) => (a < b ? -1 : 1));
}

async function expectAgrees(registry: client.Registry, connector: Connector): Promise<Series> {
  const { series } = parse(await registry.metrics());
  expect(sorted(series)).toEqual(sorted(expected(connector.metrics())));
  return series;
}

function registered(): { registry: client.Registry; connector: Connector } {
  const registry = new client.Registry();
  const connector = connectorWith();
  prometheusMetrics(connector, client, { registry });
  return { registry, connector };
}

test("the text agrees with connector.metrics() at every step", async () => {
  const registry = new client.Registry();
  const connector = connectorWith({ sources: freshSources(2), cooldown: 60_000 });
  const metrics = prometheusMetrics(connector, client, { registry });
  await expectAgrees(registry, connector);
  const { to, close } = await serve();
  const open = await openMany(connector, to, 16);
  await expect(connector.connect(to)).rejects.toThrow();
  const full = await expectAgrees(registry, connector);
  expect(full.get("portwarden_ports_held")).toBe(16);
  expect(full.get('portwarden_refused_total{reason="destination"}')).toBe(1);
  for (const socket of open.slice(0, 5)) socket.destroy();
  await reset(...open.slice(5));
  await close();
  await expect(connector.connect(to)).rejects.toThrow();
  const after = await expectAgrees(registry, connector);
  expect(after.get("portwarden_ports_cooling")).toBe(5);
  expect(after.get(`portwarden_destination_failed_total{destination="127.0.0.1:${to.port}"}`)).toBe(
    1,
  );
  await expectAgrees(registry, connector);
  metrics.unregister();
  metrics.unregister();
  expect((await registry.metrics()).trim()).toBe("");
});

test("each metric has its type, a help text, and is read alone, too", async () => {
  const { registry, connector } = registered();
  const { to } = await serve();
  const socket = await connector.connect(to);
  const text = await registry.metrics();
  const { types } = parse(text);
  for (const [, name, type] of FIGURES) {
    for (const scope of ["", "source_", "destination_"]) {
      expect(types.get(`portwarden_${scope}${name}`)).toBe(type);
      expect(text).toMatch(new RegExp(`^# HELP portwarden_${scope}${name} \\S`, "m"));
    }
  }
  expect(types.size).toBe(3 * FIGURES.length + 3);
  expect(await registry.getSingleMetricAsString("portwarden_ports_held")).toContain(
    "portwarden_ports_held 1",
  );
  await reset(socket);
  expect(await registry.getSingleMetricAsString("portwarden_ports_held")).toContain(
    "portwarden_ports_held 0",
  );
});

test("counters never go down, also of destinations that were forgotten in between", async () => {
  const { registry, connector } = registered();
  const seen: Series = new Map();
  const names: string[] = [];
  const knock = async (index: number): Promise<void> => {
    const host = `127.9.${index >> 8}.${index & 255}`;
    names.push(`${host}:9`);
    await expect(connector.connect({ host, port: 9 })).rejects.toMatchObject({
      code: "ECONNREFUSED",
    });
  };
  const look = async (): Promise<Series> => {
    const series = await expectAgrees(registry, connector);
    for (const [name, value] of series) {
      if (!/_total\b/.test(name)) continue;
      expect(value, name).toBeGreaterThanOrEqual(seen.get(name) ?? 0);
      seen.set(name, value);
    }
    return series;
  };
  const first = 'portwarden_destination_picks_total{destination="127.9.0.1:9"}';
  await knock(1);
  await knock(1);
  expect((await look()).get(first)).toBe(2);
  for (let index = 2; index < 1200; index++) await knock(index);
  expect((await look()).has(first)).toBe(false);
  expect(connector.metrics().picks).toBe(names.length);
  await knock(1);
  const after = await look();
  expect(after.get(first)).toBe(3);
  expect(after.get("portwarden_picks_total")).toBe(names.length);
  expect(after.get("portwarden_failed_total")).toBe(names.length);
});

test("without destinations there are no series by destination", async () => {
  const registry = new client.Registry();
  const connector = connectorWith();
  prometheusMetrics(connector, client, { registry, byDestination: false });
  const { to } = await serve();
  const socket = await connector.connect(to);
  const { series } = parse(await registry.metrics());
  const wanted = expected({ ...connector.metrics(), byDestination: {} });
  expect(sorted(series)).toEqual(sorted(wanted));
  await reset(socket);
});

test("a prefix and labels name the metrics, and labels distinguish two connectors", async () => {
  const registry = new client.Registry();
  const [one, two] = [connectorWith(), connectorWith()];
  const options = { registry, prefix: "lab:ports_" };
  const ofOne = prometheusMetrics(one, client, { ...options, labels: { job: "one" } });
  const ofTwo = prometheusMetrics(two, client, { ...options, labels: { job: "two" } });
  const { to } = await serve();
  const open = await openMany(one, to, 3);
  const both = [
    ...expected(one.metrics(), "lab:ports_", 'job="one"'),
    ...expected(two.metrics(), "lab:ports_", 'job="two"'),
  ];
  expect(sorted(parse(await registry.metrics()).series)).toEqual(sorted(new Map(both)));
  ofOne.unregister();
  expect(sorted(parse(await registry.metrics()).series)).toEqual(
    sorted(expected(two.metrics(), "lab:ports_", 'job="two"')),
  );
  ofTwo[Symbol.dispose]();
  expect((await registry.metrics()).trim()).toBe("");
  await reset(...open);
});

test("all figures of one collection are of the same moment, read once", async () => {
  const registry = new client.Registry();
  const connector = connectorWith();
  let reads = 0;
  const counted = {
    metrics: () => {
      reads++;
      return connector.metrics();
    },
  };
  prometheusMetrics(counted, client, { registry });
  expect(reads).toBe(0);
  await registry.metrics();
  expect(reads).toBe(1);
  await registry.metrics();
  expect(reads).toBe(2);
});

test("a registry that was cleared, or reset, can be used again", async () => {
  const registry = new client.Registry();
  const connector = connectorWith();
  const old = prometheusMetrics(connector, client, { registry });
  registry.resetMetrics();
  await expectAgrees(registry, connector);
  registry.clear();
  prometheusMetrics(connector, client, { registry });
  old.unregister();
  await expectAgrees(registry, connector);
});

test("metrics go into the default registry, and out as OpenMetrics", async () => {
  const connector = connectorWith();
  const metrics = prometheusMetrics(connector, client);
  await expectAgrees(client.register, connector);
  metrics.unregister();
  expect(client.register.getMetricsAsArray()).toEqual([]);
  const open = new client.Registry<client.OpenMetricsContentType>();
  open.setContentType(client.Registry.OPENMETRICS_CONTENT_TYPE);
  prometheusMetrics(connector, client, { registry: open });
  const text = await open.metrics();
  expect(text).toContain("# TYPE portwarden_picks counter");
  expect(text).toContain("portwarden_picks_total 0");
  expect(text.trimEnd().endsWith("# EOF")).toBe(true);
});

test("a closed connector still tells its figures", async () => {
  const { registry, connector } = registered();
  const { to } = await serve();
  const socket = await connector.connect(to);
  connector.close();
  expect((await expectAgrees(registry, connector)).get("portwarden_ports_held")).toBe(1);
  await reset(socket);
  const after = await expectAgrees(registry, connector);
  expect(after.get("portwarden_ports_held")).toBe(0);
  expect(after.get("portwarden_released_total")).toBe(1);
});

test("mistakes are refused, and register nothing", async () => {
  const registry = new client.Registry();
  const connector = connectorWith();
  const make = prometheusMetrics as (...given: unknown[]) => unknown;
  const mistakes: [given: unknown[], code: string, named: RegExp][] = [
    [[undefined, client], "ERR_INVALID_ARG_TYPE", /connector/],
    [[connector], "ERR_INVALID_ARG_TYPE", /client/],
    [[connector, { Gauge: client.Gauge }], "ERR_INVALID_ARG_TYPE", /client/],
    [[connector, client, 5], "ERR_INVALID_ARG_TYPE", /options/],
    [[connector, client, { registry, prefx: "a" }], "ERR_INVALID_ARG_VALUE", /known are .*prefix/],
    [[connector, client, { registry, prefix: 5 }], "ERR_INVALID_ARG_TYPE", /prefix/],
    [[connector, client, { registry, prefix: "a b" }], "ERR_INVALID_ARG_VALUE", /prefix/],
    [[connector, client, { registry: {} }], "ERR_INVALID_ARG_TYPE", /registry/],
    [[connector, client, { registry, labels: "job" }], "ERR_INVALID_ARG_TYPE", /labels/],
    [[connector, client, { registry, labels: { source: "a" } }], "ERR_INVALID_ARG_VALUE", /source/],
    [[connector, client, { registry, labels: { "a-b": "a" } }], "ERR_INVALID_ARG_VALUE", /a-b/],
    [[connector, client, { registry, labels: { job: 5 } }], "ERR_INVALID_ARG_TYPE", /labels\.job/],
    [[connector, client, { registry, byDestination: 1 }], "ERR_INVALID_ARG_TYPE", /byDestination/],
  ];
  for (const [given, code, named] of mistakes) {
    expect(() => make(...given)).toThrow(
      expect.objectContaining({ name: "PortError", code, message: expect.stringMatching(named) }),
    );
  }
  expect(registry.getMetricsAsArray()).toEqual([]);
  prometheusMetrics(connector, client, { registry, labels: { job: "one" } });
  for (const labels of [{}, { job: "one" }, { task: "two" }]) {
    expect(() => make(connectorWith(), client, { registry, labels })).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" }),
    );
  }
});

test("a name that the registry has already is refused by the client, and nothing is left behind", () => {
  const registry = new client.Registry();
  const other = new client.Gauge({
    name: "portwarden_waiting",
    help: "theirs",
    registers: [registry],
  });
  expect(() => prometheusMetrics(connectorWith(), client, { registry })).toThrow(
    /already been registered/,
  );
  expect(registry.getMetricsAsArray()).toEqual([other]);
});
