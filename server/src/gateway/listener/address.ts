/** The address of the peer, behind proxies that the operator trusts. */
import { BlockList, isIP } from "node:net";

export type TrustedProxies = Pick<BlockList, "check">;

/** What a request says of where it comes from. */
export interface Forwarded {
  readonly socket: { readonly remoteAddress?: string | undefined };
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** @throws Error that names an entry which is neither an address nor a CIDR range. */
export function trustedProxies(entries: readonly string[]): TrustedProxies {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", prefix, ...more] = entry.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    const bits = family === "ipv6" ? 128 : 32;
    if (
      isIP(address) === 0 ||
      more.length > 0 ||
      (prefix !== undefined && !(/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits))
    ) {
      throw new Error(
        `http.trusted_proxies has ${JSON.stringify(entry)}, which is neither an address nor a CIDR range`,
      );
    }
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}

/** `X-Forwarded-For` is read from its end, as far as the hops are trusted; the first that is not is the peer. */
export function addressOf(request: Forwarded, trusted: TrustedProxies): string {
  const hops = [request.headers["x-forwarded-for"] ?? []]
    .flat()
    .join(",")
    .split(",")
    .map((hop) => hop.trim());
  let address = plain(request.socket.remoteAddress ?? "");
  for (let hop = hops.pop(); hop && isIP(hop) !== 0 && isTrusted(address, trusted); hop = hops.pop())
    address = plain(hop);
  return address;
}

export function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}

export function isTrusted(peer: string, trusted: TrustedProxies): boolean {
  const address = plain(peer);
  const family = isIP(address);
  return family !== 0 && trusted.check(address, family === 6 ? "ipv6" : "ipv4");
}

/** IPv4 in IPv6's clothes is IPv4. */
function plain(address: string): string {
  return address.startsWith("::ffff:") && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}
