// Dial TLS: secure connections, as `tls.connect` makes them.

import { isIP } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { builtin } from "../builtin.ts";
import type { Dial } from "./attempt.ts";
import type { ConnectOptions } from "./connector.ts";

/** A way to open secure connections with these options. */
export function dialTls(options: ConnectOptions): Dial {
  // Options of portwarden must not reach Node, which would take a sticky key for a private key.
  const { tls, host, key: _key, signal: _signal, lookup: _lookup, ...rest } = options;
  const own = typeof tls === "object" ? tls : {};
  // As tls.connect does with a host: the name that the certificate must have.
  const servername = host !== undefined && isIP(host) === 0 ? { servername: host } : {};
  const passed = { ...(rest as ConnectionOptions), ...servername, ...own };
  return (ends) => builtin("tls").connect({ ...passed, ...ends });
}
