// Addresses as sockets of a dual-stack host name them: which network an address belongs to, and
// which local one is used towards it. The any address is "", as the port manager has it.

const MAPPED = "::ffff:";
const ANY = ["", "0.0.0.0", "::"];
export const IPV4 = 4;
export const IPV6 = 6;

export interface Place {
  readonly network: number;
  readonly address: string;
}

/** An IPv4 address that is written as an IPv6 one is an IPv4 address. */
export function placeOf(text: string): Place {
  const plain = text.startsWith(MAPPED) ? text.slice(MAPPED.length) : text;
  return {
    network: plain.includes(":") ? IPV6 : IPV4,
    address: ANY.includes(plain) ? "" : plain,
  };
}

/** A connection to the any address reaches this host. */
export function remoteOf(text: string): Place {
  const { network, address } = placeOf(text);
  return { network, address: address === "" ? loopbackOf(network) : address };
}

export function loopbackOf(network: number): string {
  return network === IPV4 ? "127.0.0.1" : "::1";
}

/** The address that routing chooses towards one of this host's own. */
export function localOf({ network, address }: Place): string {
  return isLoopback(address) ? loopbackOf(network) : address;
}

export function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/** As getsockname writes it. */
export function written(address: string, isIPv6: boolean): string {
  if (address === "") return isIPv6 ? "::" : "0.0.0.0";
  return isIPv6 && !address.includes(":") ? `${MAPPED}${address}` : address;
}
