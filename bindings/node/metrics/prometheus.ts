// Prometheus: a connector's figures as metrics of a Prometheus client that the caller passes in,
// `prom-client` for instance. It counts nothing itself: it reads the figures when the registry
// collects.
//
// Several connectors may share a registry, distinguished by labels; their figures are then series
// of the same metrics.

import { isRevoked } from "../../core/brands.ts";
import { wrongType, wrongValue } from "../../errors.ts";
import { checkBoolean, checkObject, readOptions } from "../../requests/checks.ts";
import type { BlockMetrics } from "../blocks/leases.ts";
import type { Counts } from "./counts.ts";
import type { ConnectorMetrics, Gauges, PairMetrics } from "./metrics.ts";
import type { WaitHistogram } from "./wait-times.ts";

type Labels = Record<string, string>;

/** A registry of the client, as far as it is used here. */
export interface PrometheusRegistry {
  getSingleMetric(name: string): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: each client has its own class of metrics
  registerMetric(metric: any): void;
  removeSingleMetric(name: string): void;
}

/** How a metric is made, as `prom-client` takes it. */
export interface PrometheusMetricOptions {
  name: string;
  help: string;
  labelNames: string[];
  // Each client has its own class; it is only handed through.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  registers: any[];
  collect: () => void;
}

/** A gauge of the client. */
export interface PrometheusGauge {
  set(labels: Labels, value: number): void;
  reset(): void;
}

/** A counter of the client. */
export interface PrometheusCounter {
  inc(labels: Labels, value: number): void;
  reset(): void;
}

/** A Prometheus client, such as the default export of `prom-client`. */
export interface PrometheusClient {
  readonly Gauge: new (options: PrometheusMetricOptions) => PrometheusGauge;
  readonly Counter: new (options: PrometheusMetricOptions) => PrometheusCounter;
  /** The client's default registry. */
  readonly register: PrometheusRegistry;
}

/** Options of {@link prometheusMetrics}. */
export interface PrometheusOptions {
  /** The prefix of the metrics' names; `"portwarden_"` by default. */
  prefix?: string | undefined;
  /** Where the metrics are registered; the client's default registry by default. */
  registry?: PrometheusRegistry | undefined;
  /**
   * Labels on every series. Connectors that share a registry and a prefix need the same names and
   * other values.
   */
  labels?: Record<string, string> | undefined;
  /**
   * Series for each destination, too. Default true; turn it off where there are many destinations.
   */
  byDestination?: boolean | undefined;
}

/** The metrics of a connector in a registry. */
export interface PrometheusMetrics extends Disposable {
  /**
   * Takes the series out of the registry, and the metrics with the last of them. A second call
   * does nothing.
   */
  unregister(): void;
}

/** The source of the figures: a {@link Connector}. */
interface Measured {
  readonly leasesBlocks?: boolean | undefined;
  metrics(): ConnectorMetrics;
}

const PREFIX = "portwarden_";
const PREFIX_FORM = /^(?:[a-zA-Z_:][a-zA-Z0-9_:]*)?$/;
const LABEL_FORM = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;
const OUR_LABELS = ["source", "destination", "reason", "le"];

/**
 * Puts a connector's figures into a registry of a Prometheus client. With the default prefix:
 *
 * - gauges `portwarden_ports_held`, `portwarden_ports_cooling`, `portwarden_ports_quarantined`,
 *   `portwarden_ports_capacity`, `portwarden_ports_left`, `portwarden_waiting`;
 * - the histogram `portwarden_wait_seconds`: how long connections have waited;
 * - counters `portwarden_picks_total`, `portwarden_connected_total`, `portwarden_failed_total`,
 *   `portwarden_conflicts_total`, `portwarden_released_total`, `portwarden_cooled_down_total`, and
 *   `portwarden_refused_total` with the label `reason` (see {@link Exhausted});
 * - of a connector with the option `blocks`: gauges `portwarden_blocks_held`,
 *   `portwarden_blocks_draining`, `portwarden_blocks_ports`, `portwarden_blocks_ports_borrowed`,
 *   `portwarden_blocks_ports_lent`; counters
 *   `portwarden_blocks_acquired_total`, `portwarden_blocks_returned_total`,
 *   `portwarden_blocks_lost_total`, `portwarden_blocks_refused_total`,
 *   `portwarden_block_store_errors_total`, `portwarden_spilled_total`;
 * - the same by source, `portwarden_source_picks_total{source="127.0.0.2"}` and so on, without
 *   `reason`;
 * - the same by destination, `portwarden_destination_picks_total{destination="127.0.0.1:80"}` and
 *   so on, without `reason`.
 *
 * The figures are those of {@link Connector.metrics} when the registry collects, all of the same
 * moment. The series of a destination that the connector has forgotten are left out until a
 * connection goes there again.
 * @throws PortError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`; the client's error if the
 * registry has other metrics of these names. Nothing is registered then.
 * @example
 * import client from "prom-client";
 * prometheusMetrics(connector, client);
 * console.log(await client.register.metrics());
 */
export function prometheusMetrics(
  connector: Measured,
  client: PrometheusClient,
  options: PrometheusOptions = {},
): PrometheusMetrics {
  if (isRevoked(connector) || typeof connector?.metrics !== "function")
    throw wrongType("connector", "a connector", connector);
  const valid = "a Prometheus client, with Gauge, Counter and register";
  if (
    isRevoked(client) ||
    typeof client?.Gauge !== "function" ||
    typeof client.Counter !== "function"
  )
    throw wrongType("client", valid, client);
  const { prefix, registry, labels, byDestination } = checkOptions(options, client);
  const member: Member = { connector, labels, byDestination };
  const board = boardOf(registry, prefix);
  board.join(member, client);
  const unregister = (): void => board.leave(member);
  return { unregister, [Symbol.dispose]: unregister };
}

const NAMES = ["prefix", "registry", "labels", "byDestination"];

type CheckedOptions = { [Name in keyof PrometheusOptions]-?: NonNullable<PrometheusOptions[Name]> };

function checkOptions(options: PrometheusOptions, client: PrometheusClient): CheckedOptions {
  const {
    prefix = PREFIX,
    registry = client.register,
    labels = {},
    byDestination = true,
  } = readOptions("options", options, NAMES);
  if (typeof prefix !== "string") throw wrongType("prefix", "a string", prefix);
  if (!PREFIX_FORM.test(prefix))
    throw wrongValue("prefix", "the beginning of a metric's name", prefix);
  if (typeof registry?.registerMetric !== "function")
    throw wrongType("registry", "a registry of the client", registry);
  checkObject("labels", labels, "an object of names and texts");
  for (const [name, value] of Object.entries(labels)) {
    if (!LABEL_FORM.test(name) || OUR_LABELS.includes(name))
      throw wrongValue("labels", `names of labels other than ${OUR_LABELS.join(", ")}`, name);
    if (typeof value !== "string") throw wrongType(`labels.${name}`, "a string", value);
  }
  checkBoolean("byDestination", byDestination);
  return { prefix, registry, labels: { ...labels }, byDestination };
}

// ── Boards ────────────────────────────────────────────────────────────────────────────────

/** A connector whose figures are shown. */
interface Member {
  readonly connector: Measured;
  readonly labels: Labels;
  readonly byDestination: boolean;
}

/** A metric, and a connector's values in it. */
interface Description {
  readonly type: "Gauge" | "Counter";
  readonly name: string;
  readonly help: string;
  /** The label beside those of the member. */
  readonly label?: "source" | "destination" | "reason";
  /** Value by value of the label; by `""` without one. */
  readonly values: (metrics: ConnectorMetrics) => Iterable<readonly [string, number]>;
}

const BOARDS = new WeakMap<PrometheusRegistry, Map<string, Board>>();

function boardOf(registry: PrometheusRegistry, prefix: string): Board {
  const boards = BOARDS.get(registry) ?? new Map<string, Board>();
  BOARDS.set(registry, boards);
  const known = boards.get(prefix);
  const board = known === undefined || known.wasCleared ? new Board(registry, prefix) : known;
  boards.set(prefix, board);
  return board;
}

/** The metrics of one prefix in one registry, and the connectors whose figures they show. */
class Board {
  readonly #registry: PrometheusRegistry;
  readonly #prefix: string;
  readonly #members: Set<Member> = new Set();
  /** The metrics that are registered, by name. */
  readonly #metrics: Map<string, unknown> = new Map();
  /** The pairs' figures in the collection under way. */
  #now: Map<Member, ConnectorMetrics> | undefined;

  constructor(registry: PrometheusRegistry, prefix: string) {
    this.#registry = registry;
    this.#prefix = prefix;
  }

  join(member: Member, client: PrometheusClient): void {
    this.#checkLabels(member);
    const before = new Set(this.#metrics.keys());
    try {
      for (const description of descriptionsFor(member)) {
        this.#register(description, client, Object.keys(member.labels));
      }
      this.#registerHistogram();
    } catch (error) {
      for (const name of this.#metrics.keys()) if (!before.has(name)) this.#remove(name);
      throw error;
    }
    this.#members.add(member);
    this.#now = undefined;
  }

  leave(member: Member): void {
    if (!this.#members.delete(member)) return;
    this.#now = undefined;
    if (this.#members.size > 0) return;
    for (const name of this.#metrics.keys()) this.#remove(name);
  }

  /** Has the registry been emptied? */
  get wasCleared(): boolean {
    return this.#metrics.size > 0 && ![...this.#metrics.keys()].some((name) => this.#isThere(name));
  }

  #isThere(name: string): boolean {
    return this.#registry.getSingleMetric(name) === this.#metrics.get(name);
  }

  #checkLabels({ labels }: Member): void {
    for (const other of this.#members) {
      const names = Object.keys(other.labels);
      const isSame = names.sort().join() === Object.keys(labels).sort().join();
      const isOther = names.some((name) => other.labels[name] !== labels[name]);
      if (isSame && isOther) continue;
      const valid =
        "of the same names as another connector's in this registry, and of other values";
      throw wrongValue("labels", valid, labels);
    }
  }

  #register(description: Description, client: PrometheusClient, labelNames: string[]): void {
    const { type, help, label } = description;
    const name = this.#prefix + description.name;
    if (this.#metrics.has(name)) return;
    const options = {
      name,
      help,
      labelNames: label === undefined ? labelNames : [...labelNames, label],
      registers: [this.#registry],
    };
    const { Gauge, Counter } = client;
    if (type === "Gauge") {
      const collect = (): void => this.#show(description, gauge, gauge.set);
      const gauge = new Gauge({ ...options, collect });
      this.#metrics.set(name, gauge);
    } else {
      const collect = (): void => this.#show(description, counter, counter.inc);
      const counter = new Counter({ ...options, collect });
      this.#metrics.set(name, counter);
    }
  }

  /**
   * A histogram of counts that exist already, which a client's own class of histograms does not
   * accept.
   */
  #registerHistogram(): void {
    const name = this.#prefix + HISTOGRAM;
    if (this.#metrics.has(name)) return;
    const metric = new WaitMetric(name, () => this.#figures());
    this.#registry.registerMetric(metric);
    this.#metrics.set(name, metric);
  }

  #remove(name: string): void {
    if (this.#isThere(name)) this.#registry.removeSingleMetric(name);
    this.#metrics.delete(name);
  }

  /** Sets all values again; `put` is the metric's method for that. */
  #show<Metric extends { reset(): void }>(
    { label, values }: Description,
    metric: Metric,
    put: (this: Metric, labels: Labels, value: number) => void,
  ): void {
    metric.reset();
    for (const [{ labels, byDestination }, metrics] of this.#figures()) {
      if (label === "destination" && !byDestination) continue;
      for (const [of, value] of values(metrics)) {
        put.call(metric, label === undefined ? labels : { ...labels, [label]: of }, value);
      }
    }
  }

  /** A registry collects all its metrics in one go, so that they show the same moment. */
  #figures(): Map<Member, ConnectorMetrics> {
    if (this.#now === undefined) {
      this.#now = new Map([...this.#members].map((one) => [one, one.connector.metrics()]));
      queueMicrotask(() => {
        this.#now = undefined;
      });
    }
    return this.#now;
  }
}

/** One figure of a histogram, as `prom-client` shows it. */
interface HistogramValue {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName: string;
}

/**
 * A histogram that shows what connectors have counted. It behaves as a metric of `prom-client`.
 */
class WaitMetric {
  readonly name: string;
  readonly help: string = WAIT_TIMES;
  readonly type = "histogram";
  readonly aggregator = "sum";
  readonly #figures: () => ReadonlyMap<Member, ConnectorMetrics>;

  constructor(name: string, figures: () => ReadonlyMap<Member, ConnectorMetrics>) {
    this.name = name;
    this.#figures = figures;
  }

  /** Called by the registry. */
  async get(): Promise<object> {
    const values = [...this.#figures()].flatMap(([{ labels }, { waits }]) =>
      this.#valuesOf(labels, waits),
    );
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values };
  }

  /** Called by the registry's `resetMetrics`: counters of a connector only grow. */
  reset(): void {}

  #valuesOf(labels: Labels, { count, sumMs, buckets }: WaitHistogram): HistogramValue[] {
    const { name } = this;
    const rows = buckets.map(({ atMostMs, count }) => ({
      labels: { le: Number.isFinite(atMostMs) ? atMostMs / 1000 : "+Inf", ...labels },
      value: count,
      metricName: `${name}_bucket`,
    }));
    return [
      ...rows,
      { labels, value: sumMs / 1000, metricName: `${name}_sum` },
      { labels, value: count, metricName: `${name}_count` },
    ];
  }
}

// ── Metrics ───────────────────────────────────────────────────────────────────────────────

const GAUGES: readonly (readonly [keyof Gauges, string, string])[] = [
  ["held", "ports_held", "Local ports held by connections and attempts"],
  ["cooling", "ports_cooling", "Local ports that cool down before they may be used again"],
  ["quarantined", "ports_quarantined", "Local ports quarantined because other programs hold them"],
  ["capacity", "ports_capacity", "Connections that fit to one destination"],
  ["left", "ports_left", "Connections that still fit to the destination with least left"],
];

const COUNTERS: readonly (readonly [keyof Counts, string, string])[] = [
  ["picks", "picks_total", "Local ports picked for a connection, further attempts included"],
  ["connected", "connected_total", "Connections that came to be"],
  ["failed", "failed_total", "Attempts to connect that failed, not because of the local port"],
  ["refused", "refused_total", "Connections refused for want of a local port or a file"],
  ["conflicts", "conflicts_total", "Picked local ports that others turned out to have"],
  ["released", "released_total", "Local ports given back"],
  ["cooledDown", "cooled_down_total", "Local ports given back into cooldown"],
];

const BLOCKS: readonly (readonly [keyof BlockMetrics, string, string])[] = [
  ["held", "blocks_held", "Blocks of 64 ports that are leased"],
  ["draining", "blocks_draining", "Leased blocks that run dry before they go back"],
  ["ports", "blocks_ports", "Local ports of the leased blocks"],
  ["borrowed", "blocks_ports_borrowed", "Local ports borrowed of blocks that others have"],
  ["lent", "blocks_ports_lent", "Local ports of the leased blocks that are lent to others"],
  ["acquired", "blocks_acquired_total", "Blocks leased"],
  ["returned", "blocks_returned_total", "Blocks given back"],
  ["lost", "blocks_lost_total", "Blocks that were lost"],
  ["refused", "blocks_refused_total", "Requests for a block that got none"],
  ["storeErrors", "block_store_errors_total", "Requests that the store of blocks did not answer"],
  ["spilled", "spilled_total", "Connections begun from ports of others, not lent"],
];

const HISTOGRAM = "wait_seconds";
const WAIT_TIMES = "How long connections have waited for a local port or a file";
const WAITING = "Connections that wait for a local port or a file";

/** The metrics without destinations. */
const PLAIN: readonly Description[] = [
  ...[...GAUGES, ...COUNTERS].map(([figure, name, help]): Description => {
    const type = name.endsWith("_total") ? "Counter" : "Gauge";
    if (figure !== "refused") {
      return { type, name, help, values: (metrics) => [["", metrics[figure]]] };
    }
    return {
      type,
      name,
      help,
      label: "reason",
      values: ({ refusals }) => Object.entries(refusals),
    };
  }),
  { type: "Gauge", name: "waiting", help: WAITING, values: ({ waiting }) => [["", waiting]] },
  ...byLabel("source", ({ bySource }) => bySource),
];

/** The metrics of a connector that leases blocks. */
const OF_BLOCKS: readonly Description[] = BLOCKS.map(([figure, name, help]) => ({
  type: name.endsWith("_total") ? "Counter" : "Gauge",
  name,
  help,
  values: ({ blocks }) => (blocks === undefined ? [] : [["", blocks[figure]]]),
}));

const BY_DESTINATION: readonly Description[] = [
  ...byLabel("destination", ({ byDestination }) => byDestination),
  {
    type: "Gauge",
    name: "destination_waiting",
    help: WAITING,
    label: "destination",
    values: ({ byDestination }) => valuesOf(byDestination, ({ waiting }) => waiting),
  },
];

function descriptionsFor({ connector, byDestination }: Member): Description[] {
  const ofBlocks = connector.leasesBlocks === true ? OF_BLOCKS : [];
  return [...PLAIN, ...ofBlocks, ...(byDestination ? BY_DESTINATION : [])];
}

function byLabel(
  label: "source" | "destination",
  of: (metrics: ConnectorMetrics) => Readonly<Record<string, PairMetrics>>,
): Description[] {
  return [...GAUGES, ...COUNTERS].map(([figure, name, help]) => ({
    type: name.endsWith("_total") ? "Counter" : "Gauge",
    name: `${label}_${name}`,
    help: `${help}, by ${label}`,
    label,
    values: (metrics) => valuesOf(of(metrics), (figures) => figures[figure]),
  }));
}

function valuesOf<T>(
  by: Readonly<Record<string, T>>,
  value: (figures: T) => number,
): [string, number][] {
  return Object.entries(by).map(([name, figures]) => [name, value(figures)]);
}
