// Everything that portwarden/node exports: real sockets.

export {
  type ConnectionForOptions,
  connectionFor,
  HttpPortAgent,
  type HttpPortAgentOptions,
  HttpsPortAgent,
  type HttpsPortAgentOptions,
  type StickyOptions,
} from "./adapters/agent.ts";
export {
  type AutocannonClient,
  type AutocannonSetupOptions,
  autocannonSetup,
} from "./adapters/autocannon.ts";
export { type BindDatagramOptions, bindDatagram } from "./adapters/dgram.ts";
export { PortSocket, type PortSocketOptions } from "./adapters/net.ts";
export {
  type UndiciCallback,
  type UndiciConnectOptions,
  type UndiciTarget,
  undiciConnect,
} from "./adapters/undici.ts";
export type { Dial, Endpoints } from "./attempt.ts";
export {
  type ConnectOptions,
  type Connector,
  type ConnectTarget,
  createConnector,
  type DatagramSource,
} from "./connector.ts";
export { type Capacity, ConnectorError, type Exhausted } from "./connector-error.ts";
export type {
  ConnectorOptions,
  Lookup,
  LookupAddress,
  WaitOptions,
  WhenCooling,
} from "./connector-options.ts";
export type { Counts } from "./counts.ts";
export { CHANNELS, type PortEvent } from "./events.ts";
export { type HostState, readHostState } from "./machine.ts";
export type { ConnectorMetrics, Gauges, PairMetrics } from "./metrics.ts";
export type { ConnectCallback } from "./opening.ts";
export {
  type PrometheusClient,
  type PrometheusCounter,
  type PrometheusGauge,
  type PrometheusMetricOptions,
  type PrometheusMetrics,
  type PrometheusOptions,
  type PrometheusRegistry,
  prometheusMetrics,
} from "./prometheus.ts";
export { parseSources } from "./sources.ts";
export type { Spread } from "./spread.ts";
