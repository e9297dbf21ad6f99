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
export {
  type AutocannonShares,
  type AutocannonWorkerOptions,
  autocannonWorkers,
} from "./adapters/autocannon-workers.ts";
export { type BindDatagramOptions, bindDatagram } from "./adapters/dgram.ts";
export { PortSocket, type PortSocketOptions } from "./adapters/net.ts";
export {
  type UndiciCallback,
  type UndiciConnectOptions,
  type UndiciTarget,
  undiciConnect,
} from "./adapters/undici.ts";
export {
  BLOCK_PORTS,
  type BlockGrant,
  type BlockScope,
  type BlockStore,
  blockScope,
  type HeldBlocks,
  type Renewal,
} from "./blocks/block-store.ts";
export { type EtcdBlocksOptions, etcdBlocks } from "./blocks/etcd-blocks.ts";
export { hostBlocks } from "./blocks/host-blocks.ts";
export { BLOCKS_CHANNEL, type BlockEvent, type BlockMetrics } from "./blocks/leases.ts";
export { memoryBlocks } from "./blocks/memory-blocks.ts";
export { type RedisBlocksOptions, redisBlocks } from "./blocks/redis-blocks.ts";
export { type SliceOptions, sliceBlocks } from "./blocks/slice-blocks.ts";
export {
  type ConnectionInfo,
  connectionInfo,
  type Dial,
  type Endpoints,
} from "./connector/attempt.ts";
export type { ConnectCallback } from "./connector/connect-operation.ts";
export {
  type ConnectOptions,
  type Connector,
  type ConnectTarget,
  createConnector,
  type DatagramSource,
} from "./connector/connector.ts";
export { type Capacity, ConnectorError, type Exhausted } from "./connector/connector-error.ts";
export type {
  ConnectorOptions,
  Lookup,
  LookupAddress,
  WaitOptions,
} from "./connector/connector-options.ts";
export { type HostState, readHostState } from "./host/host-state.ts";

export type { PortDifference, ReconcileOptions, Reconciliation } from "./host/reconcile.ts";

export type { ListenRange } from "./listening/candidates.ts";
export { type LeaseOptions, leasePort, type PortLease } from "./listening/lease-port.ts";
export { type ListenOptions, listenOn } from "./listening/listen-on.ts";
export type { Listener } from "./listening/try-listen.ts";

export type { Counts } from "./metrics/counts.ts";

export { CHANNELS, type PortEvent } from "./metrics/events.ts";
export type { ConnectorMetrics, Gauges, PairMetrics } from "./metrics/metrics.ts";
export {
  type PrometheusClient,
  type PrometheusCounter,
  type PrometheusGauge,
  type PrometheusMetricOptions,
  type PrometheusMetrics,
  type PrometheusOptions,
  type PrometheusRegistry,
  prometheusMetrics,
} from "./metrics/prometheus.ts";
export type { WaitHistogram } from "./metrics/wait-times.ts";
export { parseSources } from "./sources/sources.ts";
export type { Spread } from "./sources/spread.ts";
